"""Why a training begins a new run where there are earlier ones: a line for the user, '' where there are none."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from mindlift import yaml_text
from mindlift.json_text import Record
from mindlift.runs.choose import Wanted, meant
from mindlift.runs.folder import options_in, read_config
from mindlift.runs.paths import NOTE, RESULT, run_folders
from mindlift.runs.provenance import CONFIG
from mindlift.runs.records import parse_object, read_object, say_damaged
from mindlift.runs.remote import run_names
from mindlift.storage.places import exists, read
from mindlift.storage.url import is_remote, join

SHOWN = 3  # options of many


@dataclass(frozen=True)
class Earlier:
    """A run that there is: its name, whether it has ended, its run.json, and its options, which are read when asked for."""

    name: str
    is_over: bool
    note: Record
    options: Callable[[], Mapping[str, object]]


def of_folder(base: Path, wanted: Wanted, but: str) -> str:
    """By the newest run in a folder, `but` being the new one."""
    roots = [root for root in run_folders(base) if root.name != but]
    if not roots:
        return ""
    root = roots[-1]
    options = functools.partial(options_here, root / CONFIG)
    return reason(Earlier(root.name, (root / RESULT).exists(), read_object(root / NOTE), options), wanted)


def of_bucket(url: str, wanted: Wanted) -> str:
    """By the newest run below a URL."""
    name = next(run_names(url), None)
    if name is None:
        return ""
    run = join(url, name)
    note = parse_object(read(join(run, NOTE)), join(run, NOTE))
    return reason(Earlier(name, exists(join(run, RESULT)), note, functools.partial(options_at, run)), wanted)


def options_here(path: Path) -> Mapping[str, object]:
    return read_config(path)[0]


def options_at(run: str) -> Mapping[str, object]:
    place = join(run, CONFIG)
    try:
        return options_in(yaml_text.parse(read(place)))
    except FileNotFoundError:
        return {}
    except yaml.YAMLError:
        return say_damaged(place)


def reason(earlier: Earlier, wanted: Wanted) -> str:
    """Pure but for reading the options of a run with others."""
    name = earlier.name
    if earlier.note.get("fingerprint") == wanted.mark and earlier.is_over:
        return f"a new run begins: {name} has ended"
    if earlier.note.get("fingerprint") == wanted.mark:
        return f"a new run begins: {name} has no complete checkpoint to continue from"
    found = differences(earlier, wanted)
    others = ", ".join(found[:SHOWN]) + (f" and {len(found) - SHOWN} more" if len(found) > SHOWN else "")
    return f"a new run begins: {name} was made with {others or 'other options'}"


def differences(earlier: Earlier, wanted: Wanted) -> list[str]:
    """`lr 0.1 (now 0.2)` of each option that differs, and of the number of ranks."""
    there = earlier.options()
    found = [
        f"{name} {shown(there[name])} (now {shown(value)})"
        for name, value in wanted.identity.items()
        if name in there and plain(meant(name, there)) != plain(value) and not is_filled_in(name, value)
    ]
    ranks = earlier.note.get("ranks")
    if isinstance(ranks, int) and ranks != wanted.ranks:
        found.append(f"ranks {ranks} (now {wanted.ranks})")
    return found


def is_filled_in(name: str, value: object) -> bool:
    """A folder that the platform has filled, which counts for nothing: see choose.fingerprint."""
    return name == "data_url" and not is_remote(str(value or ""))


def plain(value: object) -> object:
    """As YAML gives it back."""
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def shown(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return ",".join(map(shown, value))
    return (
        "not set"
        if value is None or value == ""
        else str(value).lower()
        if isinstance(value, bool)
        else str(value)
    )
