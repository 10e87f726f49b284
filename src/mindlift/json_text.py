"""JSON from outside, within limits: whatever is wrong with it is a ValueError."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Dict

from mindlift import limits

Record = Dict[str, Any]  # a JSON object
MARKS = (b",", b"[", b"{")  # before each value of a list, and each entry of an object
TOO_LONG = b"!"


def parse(text: str | bytes, unique: bool = False) -> Any:
    """The value of a text. ValueError if it is no JSON, too large or too deep; json.loads has a RecursionError for the last.

    Of a name that an object has twice json.loads keeps the last value; `unique` makes it a ValueError.

    Each value of a list and each entry of an object comes after one of MARKS.
    """
    if len(text) > limits.JSON_BYTES:
        raise ValueError(f"it has {len(text):,} bytes, more than {limits.JSON_BYTES:,}")
    if len(text) > limits.JSON_VALUES and count_values(text) > limits.JSON_VALUES:
        raise ValueError(f"it has more than {limits.JSON_VALUES:,} values")
    try:
        return json.loads(text, object_pairs_hook=once if unique else None)
    except RecursionError:
        raise ValueError("its lists are nested too deep") from None


def once(pairs: list[tuple[str, Any]]) -> Record:
    """ValueError for a name that is there twice."""
    found: Record = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{name} is there twice")
        found[name] = value
    return found


def count_values(text: str | bytes) -> int:
    """How many there are at most."""
    if isinstance(text, str):
        return sum(text.count(mark.decode()) for mark in MARKS)
    return sum(map(text.count, MARKS))


def read(path: Path) -> Any:
    """The value of a file. OSError if it can't be read, else as `parse`."""
    with open(path, "rb") as file:
        return parse(file.read(limits.JSON_BYTES + 1))


def blocks(file: BinaryIO, size: int = limits.JSON_LINE_BYTES) -> Iterator[bytes]:
    """The lines of a file, about `size` bytes of whole lines at a time; one above the limit as one that is no JSON."""
    rest = b""
    for block in iter(lambda: file.read(size), b""):
        whole_lines, newline, tail = block.rpartition(b"\n")
        if newline:
            yield rest + whole_lines + newline
            rest = b""
        rest += tail
        if len(rest) > limits.JSON_LINE_BYTES:
            rest = TOO_LONG
    if rest:
        yield rest


def read_records(path: Path) -> tuple[list[Record], int]:
    """The records of a file of JSON lines and how many lines are none; ([], 0) if there is no file.

    ValueError if all of them together have more than limits.JSON_LINES_VALUES values.
    """
    found: list[Record] = []
    skipped = values = 0
    if path.exists():
        with open(path, "rb") as file:
            for block in blocks(file):
                values += count_values(block)
                if values > limits.JSON_LINES_VALUES:
                    raise ValueError(f"{path} has more than {limits.JSON_LINES_VALUES:,} values")
                records, more = parse_records(block)
                found += records
                skipped += more
    return found, skipped


def parse_lines(text: bytes) -> list[Record]:
    """The records of JSON lines. What is none is passed over, such as a last line that a kill cut short."""
    return parse_records(text)[0]


def parse_records(text: bytes) -> tuple[list[Record], int]:
    """The same, and how many lines are no records; a last one that has not ended is still being written."""
    lines = [line for line in text.split(b"\n") if line.strip()]
    found = []
    with contextlib.suppress(ValueError):  # one call for all lines takes half the time of one for each
        found = parse(b"[" + b",".join(lines) + b"]")
    if len(found) != len(lines):
        found = [_parse_line(line) for line in lines]
    records = [record for record in found if isinstance(record, dict)]
    is_cut = bool(lines) and not text.endswith(b"\n") and not isinstance(_parse_line(lines[-1]), dict)
    return records, len(lines) - len(records) - is_cut


def _parse_line(line: bytes) -> object:
    try:
        return parse(line) if len(line) <= limits.JSON_LINE_BYTES else None
    except ValueError:
        return None
