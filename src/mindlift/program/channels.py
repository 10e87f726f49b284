"""What a program gets and what it leaves: named places, and the local paths that it is told of. Pure but for paths."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mindlift.errors import ConfigError
from mindlift.storage.url import as_folder, is_remote, is_url, local_path, parse

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_-]*)\}")
SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
WEB = ("http", "https")
WAYS = ("args", "env", "none")


@dataclass(frozen=True)
class Channel:
    """`place` is a URL or an absolute local path; `local` is where the program wants it, '' for anywhere."""

    name: str
    place: str
    is_output: bool
    local: str = ""

    @property
    def option(self) -> str:
        """What it is called on the command line of `mindlift run`, for messages."""
        return f"--{'output' if self.is_output else 'input'} {self.name}"

    @property
    def is_stored(self) -> bool:
        return is_remote(self.place)


def key_of(name: str) -> str:
    """data-dir and data_dir are one name: programs read either as the other."""
    return name.replace("-", "_")


def is_web(place: str) -> bool:
    found = SCHEME.match(place)
    return bool(found) and found.group(1).lower() in WEB  # type: ignore[union-attr]


def shown(place: str) -> str:
    """A place for the log: without what may be a signature."""
    return place.partition("?")[0] if is_web(place) else place


def read_channels(
    inputs: Sequence[str], outputs: Sequence[str], local: Sequence[str] = ()
) -> tuple[Channel, ...]:
    """The channels of `NAME=PLACE` words; ConfigError for what can't be meant."""
    channels = [read_channel(word, False) for word in inputs] + [read_channel(word, True) for word in outputs]
    names = [key_of(channel.name) for channel in channels]
    twice = sorted({channel.name for channel in channels if names.count(key_of(channel.name)) > 1})
    if twice:
        raise ConfigError(f"{' and '.join(twice)}: two inputs or outputs can't have one name")
    for word in local:
        name, path = split(word, "--local")
        if key_of(name) not in names:
            raise ConfigError(f"--local {word}: no --input or --output has the name {name}")
        if is_url(path):
            raise ConfigError(
                f"--local {word} is a URL; give a path of this machine, such as {name}=/cache/{name}"
            )
        at = names.index(key_of(name))
        channels[at] = replace(channels[at], local=os.path.abspath(local_path(path)))
    check_places(channels)
    return tuple(channels)


def read_channel(word: str, is_output: bool) -> Channel:
    option = "--output" if is_output else "--input"
    name, place = split(word, option)
    scheme = SCHEME.match(place)
    known = ("obs", "s3", "file") if is_output else ("obs", "s3", "file", *WEB)
    if scheme and scheme.group(1).lower() not in known:
        raise ConfigError(
            f"{option} {name}={shown(place)}: {scheme.group(1)}:// is unknown here; use a local path or"
            f" {', '.join(f'{each}://' for each in known)}"
        )
    if is_remote(place):
        parse(place)
    elif not is_web(place):
        place = os.path.abspath(local_path(place))
    return Channel(name, place, is_output)


def split(word: str, option: str) -> tuple[str, str]:
    name, found, place = word.partition("=")
    if not found or not place:
        raise ConfigError(f"{option} {word}: expected NAME=PLACE, such as data_dir=obs://bucket/folder/")
    if not NAME.fullmatch(name):
        raise ConfigError(
            f"{option} {word}: {name!r} is no name of an argument; use letters, digits and _, such as data_dir"
        )
    return name, place


def check_places(channels: Sequence[Channel]) -> None:
    outputs = [channel for channel in channels if channel.is_output]
    for output in outputs:
        for other in channels:
            if other is not output and is_inside(output.place, other.place):
                raise ConfigError(
                    f"{output.option}: {output.place} is inside {other.option}, {shown(other.place)};"
                    " results need a folder of their own"
                )
    paths = [channel.local or channel.place for channel in channels if channel.local or not channel.is_stored]
    for channel in channels:
        if channel.local and paths.count(channel.local) > 1:
            raise ConfigError(f"--local {channel.name}={channel.local}: another channel has this path")


def is_inside(place: str, other: str) -> bool:
    """Whether `place` is `other` or below it."""
    if is_remote(place) != is_remote(other) or is_web(other):
        return False
    return as_folder(whole(place)).startswith(as_folder(whole(other)))


def whole(place: str) -> str:
    """Bucket and key, or the real path: the same for all spellings."""
    remote = parse(place)
    return f"{remote.bucket}/{remote.key}" if remote else os.path.realpath(place)


def check_program(
    words: Sequence[str], channels: Sequence[Channel], way: str, env: Mapping[str, str]
) -> None:
    """ConfigError if the program is told of a channel by somebody else too."""
    for channel in handed_over(words, channels):
        names = {channel.name, key_of(channel.name), channel.name.replace("_", "-")}
        for word in words[1:] if way == "args" else ():
            if word.startswith("-") and word.lstrip("-").partition("=")[0] in names:
                raise ConfigError(
                    f"{channel.option}: the program's arguments have {word.partition('=')[0]} already; drop it, or"
                    f" write {{{channel.name}}} where the path goes"
                )
        if way == "env" and key_of(channel.name) in env:
            raise ConfigError(
                f"{channel.option} --as env: the variable {key_of(channel.name)} is set already; unset it, or choose"
                " another name"
            )


def handed_over(words: Sequence[str], channels: Sequence[Channel]) -> list[Channel]:
    """Those that are not named by {NAME} in the program's own words."""
    return [channel for channel in channels if not any(f"{{{channel.name}}}" in word for word in words)]


def hand_over(
    words: Sequence[str], channels: Sequence[Channel], paths: Mapping[str, str], way: str
) -> tuple[list[str], dict[str, str]]:
    """The program's words with the local paths in them, and variables to add to its environment.

    Arguments have the form --NAME=PATH, as ModelArts appends them: one word, which a parser that knows only
    some of the arguments (argparse's parse_known_args) can't take apart into an option and a positional argument.
    """
    left = handed_over(words, channels)
    filled = [PLACEHOLDER.sub(lambda found: paths.get(found.group(1), found.group()), word) for word in words]
    if way == "args":
        return [*filled, *(f"--{channel.name}={paths[channel.name]}" for channel in left)], {}
    named = {key_of(channel.name): paths[channel.name] for channel in left}
    return filled, named if way == "env" else {}
