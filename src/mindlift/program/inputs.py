"""A program's inputs on this machine: staged once, kept in the cache, fetched again where they have changed."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from mindlift.errors import ConfigError, StageError
from mindlift.model_utils.inputs import Source
from mindlift.model_utils.staging import members, unpacked
from mindlift.model_utils.staging.stager import Stager, beside
from mindlift.model_utils.streaming import start
from mindlift.model_utils.streaming.arrivals import Arriving
from mindlift.model_utils.streaming.streamer import ALL, Streamer
from mindlift.program import web
from mindlift.program.channels import Channel, is_web
from mindlift.storage.copying import copy as transfer
from mindlift.storage.errors import MoxFileRespException
from mindlift.storage.places import locate
from mindlift.storage.url import is_remote, join


def check_exists(channel: Channel) -> None:
    """ConfigError for an input that is not there; a web server is asked when it is fetched."""
    if is_web(channel.place):
        return
    store, key = locate(channel.place)
    with bucket_of(channel):
        found = store.stat(key)
    if found is None:
        where = "in the bucket" if is_remote(channel.place) else "on this machine"
        raise ConfigError(f"{channel.option}: {channel.place} does not exist {where}")


@contextlib.contextmanager
def bucket_of(channel: Channel) -> Iterator[None]:
    """ConfigError if the store says that there is no such bucket."""
    try:
        yield
    except MoxFileRespException as err:
        if err.resp is None or err.resp.errorCode != "NoSuchBucket":
            raise
        raise ConfigError(f"{channel.option}: {channel.place}: there is no such bucket") from err


class InputStager:
    """Stages below the cache of `stager`; with `unpacks`, archives are unpacked.

    With `first`, folders of a bucket are only begun: they arrive until `close`, files with these prefixes at first.
    """

    def __init__(self, stager: Stager, unpacks: bool, first: tuple[str, ...] | None = None):
        self.stager, self.unpacks, self.first = stager, unpacks, first
        self.begun: list[tuple[Streamer, Arriving]] = []

    def close(self) -> None:
        for streamer, _ in self.begun:
            streamer.close()

    def await_first(self) -> None:
        """Until the files of `first` are here. ConfigError for a prefix that no name has."""
        wanted = [
            [name for name in arriving.names if name.startswith(self.first or ())]
            for _, arriving in self.begun
        ]
        for prefix in self.first or ():
            if not any(name.startswith(prefix) for names in wanted for name in names):
                raise ConfigError(
                    f"--first {prefix}: no file of an input that is a folder in a bucket begins like that; names are"
                    " below the folder, such as train/"
                )
        for names, (streamer, _) in zip(wanted, self.begun):
            streamer.order(names)
        for names, (_, arriving) in zip(wanted, self.begun):
            for name in names:
                arriving.wait(f"{arriving.root}/{name}")
            self.stager.say(f"{len(names):,} of {len(arriving.names):,} files of {arriving.root} are here")

    def begin(self, source: Source) -> Path:
        streamer, target, control = start.start(
            self.stager, source, start.How(takes=ALL), sys.stderr.fileno()
        )
        self.begun.append((streamer, Arriving(target, control, self.stager.timeout_s, self.stager.say)))
        return target

    def stage(self, channel: Channel) -> Path:
        """Where the program finds the input: a folder or a file. A local one is used in place."""
        path = self.staged(channel)
        if channel.local and os.path.realpath(path) != os.path.realpath(channel.local):
            link(Path(channel.local), path, channel)
            return Path(channel.local)
        return path

    def staged(self, channel: Channel) -> Path:
        source = Source(channel.place, channel.name if is_web(channel.place) else "")
        opens = self.unpacks and members.is_archive(web.file_name(channel.place))
        target = self.stager.place("data" if opens else "inputs", source)
        if not channel.is_stored and not is_web(channel.place):
            path = Path(channel.place)
            if not opens or path.is_dir():
                return path
            with self.stager.alone(target, channel.place):
                return unpacked.of_file(self.stager, path, target)
        if self.first is not None and start.is_folder(source):
            return self.begin(source)
        with self.stager.alone(target, channel.place):
            if is_web(channel.place):
                path = web.fetch(
                    channel.place,
                    target.with_name(f"{target.name}-file") / web.file_name(channel.place),
                    self.stager.say,
                )
                return unpacked.of_file(self.stager, path, target) if opens else path
            return self.from_bucket(channel, source, target, opens)

    def from_bucket(self, channel: Channel, source: Source, target: Path, opens: bool) -> Path:
        store, key = locate(channel.place)
        entry = store.stat(key)
        if entry is None:
            raise StageError(f"{channel.option}: {channel.place} does not exist any more")
        if not entry.is_folder and opens:
            return unpacked.of_object(self.stager, source, entry, target)
        folder, _, name = channel.place.rstrip("/").rpartition("/")
        is_file = not entry.is_folder
        report = transfer.copy_tree(
            folder if is_file else join(channel.place, ""),
            str(target),
            [name] if is_file else None,
            manifest=beside(target, "sync"),
            delete=not is_file,
            say=self.stager.say,
            show_bar=self.stager.show_bar,
        )
        if not report.expected + report.unchanged:
            raise StageError(f"{channel.option}: {channel.place} is empty")
        return target / name if is_file else target


def link(path: Path, target: Path, channel: Channel) -> None:
    """Make `path` a link to `target`, in place of an earlier link or an empty folder."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink():
            path.unlink()
        elif path.is_dir():
            path.rmdir()
        path.symlink_to(target)
    except OSError as err:
        raise ConfigError(
            f"--local {channel.name}={path} can't be made a link to the data: {err.strerror}"
        ) from err
