"""The one rule for the files of a run: what is none of ours is passed over, and counted in one warning for each file.

A byte that is not UTF-8, a line that is no JSON object, a record without what makes it one: a run is read in spite of
them. What is ours and damaged falls back to what was there before it, as a checkpoint to the one before.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Union

from mindlift import json_text
from mindlift.errors import DataError
from mindlift.json_text import Record
from mindlift.language import localized

Place = Union[str, "os.PathLike[str]"]
SAID: list[str] = []  # files and folders that this process has warned of


def read_records(path: Path, is_ours: Callable[[Record], bool] = bool) -> list[Record]:
    """The records of a file of JSON lines; [] if there is no file. DataError if no run could have written it."""
    try:
        found, skipped = json_text.read_records(path)
    except ValueError as err:
        raise DataError(f"{err}; no run writes so many: move it away") from err
    return _ours(found, skipped, path, is_ours)


def parse_records(text: bytes, place: Place, is_ours: Callable[[Record], bool] = bool) -> list[Record]:
    """The same of a text that was read at `place`."""
    return _ours(*json_text.parse_records(text), place, is_ours)


def _ours(found: list[Record], skipped: int, place: Place, is_ours: Callable[[Record], bool]) -> list[Record]:
    ours = [record for record in found if is_ours(record)]
    say_skipped(place, skipped + len(found) - len(ours))
    return ours


def read_object(path: Path) -> Record:
    """A file that is one JSON object; {} if there is none, or none that can be read."""
    try:
        found = json_text.read(path)
    except FileNotFoundError:
        return {}
    except ValueError:
        found = None
    return found if isinstance(found, dict) else say_damaged(path)


def parse_object(text: bytes, place: Place) -> Record:
    """The same of a text that was read at `place`."""
    try:
        found = json_text.parse(text)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else say_damaged(place)


def say_damaged(place: Place) -> Record:
    warn(place, f"{os.fspath(place)} is damaged and is passed over")
    return {}


def say_skipped(place: Place, count: int) -> None:
    if count:
        what = "1 line that is" if count == 1 else f"{count} lines that are"
        warn(place, f"{os.fspath(place)} has {what} not MindLift's or damaged; passed over")


def warn(place: Place, text: str) -> None:
    """A warning on stderr, once in a process for each place."""
    if os.fspath(place) not in SAID:
        SAID.append(os.fspath(place))
        print(localized(f"warning: {text}"), file=sys.stderr, flush=True)


def integer(raw: object) -> int | None:
    """An integer of JSON that every reader of it can hold."""
    return raw if isinstance(raw, int) and not isinstance(raw, bool) and abs(raw) < 2**53 else None


def beginnings(note: Record) -> list[float]:
    """When the trainings of a run began, by its run.json: seconds since the epoch. [] for a run of an older version."""
    begun = note.get("begun")
    return (
        [float(each) for each in begun if isinstance(each, (int, float))] if isinstance(begun, list) else []
    )
