"""Why a training begins a new run where there are earlier ones: a line for the user, '' where there are none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from mindlift import yaml_text
from mindlift.json_text import Record
from mindlift.runs.folder import options_in, read_config
from mindlift.runs.paths import NOTE, RESULT, run_folders
from mindlift.runs.provenance import CONFIG
from mindlift.runs.records import parse_object, read_object, say_damaged
from mindlift.runs.remote import run_like
from mindlift.storage.places import exists, read
from mindlift.storage.url import is_remote, join

SHOWN = 3  # options of many


@dataclass(frozen=True)
class Wanted:
    """What must be equal for a run to be continued: its fingerprint, and the options and number of ranks behind it."""

    mark: str
    identity: Mapping[str, object]
    ranks: int


@dataclass(frozen=True)
class Earlier:
    """A run that there is: its name, whether it has ended, its run.json, and its options, which are read when asked for."""

    name: str
    is_over: bool
    note: Record
    options: Callable[[], Mapping[str, object]]


def of_folder(base: Path, wanted: Wanted, but: str) -> str:
    """By the newest run in a folder, `but` being the new one."""
    for root in reversed([each for each in run_folders(base) if each.name != but]):
        over, note = (root / RESULT).exists(), read_object(root / NOTE)
        return reason(Earlier(root.name, over, note, lambda root=root: read_config(root / CONFIG)[0]), wanted)
    return ""


def of_bucket(url: str, wanted: Wanted) -> str:
    """By the newest run below a URL."""
    for name in run_like(url):
        run = join(url, name)
        if exists(join(run, NOTE)):
            note = parse_object(read(join(run, NOTE)), join(run, NOTE))
            return reason(
                Earlier(name, exists(join(run, RESULT)), note, lambda run=run: options_at(run)), wanted
            )
    return ""


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
    begins = f"a new run begins: {earlier.name}"
    if earlier.note.get("fingerprint") == wanted.mark:
        return f"{begins} has " + ("ended" if earlier.is_over else "no complete checkpoint to continue from")
    found = differences(earlier, wanted)
    shown = ", ".join(found[:SHOWN]) + (f" and {len(found) - SHOWN} more" if len(found) > SHOWN else "")
    return f"{begins} was made with {shown or 'other options'}"


def differences(earlier: Earlier, wanted: Wanted) -> list[str]:
    """`lr 0.1 (now 0.2)` of each option that differs, and of the number of ranks."""
    there = earlier.options()
    found = [
        f"{name} {shown(there[name])} (now {shown(value)})"
        for name, value in wanted.identity.items()
        if name in there and plain(there[name]) != plain(value) and not is_filled_in(name, value)
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
