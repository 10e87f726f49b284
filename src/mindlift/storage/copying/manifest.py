"""The list of what a copy has brought over: a local file of JSON lines in the order of keys, replaced as a whole."""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterable, Iterator, Mapping, Set
from pathlib import Path
from typing import BinaryIO

from mindlift import json_text
from mindlift.files import atomic_file
from mindlift.storage.copying.plan import Known
from mindlift.storage.store import Entry


def known_to(path: Path, source: str, target: str) -> Iterator[Known]:
    """What `path` knows of a copy from `source` to `target`, in the order of keys; nothing of another one.

    What comes after a damaged line is not known.
    """
    try:
        with open(path, "rb") as file:
            yield from records(file, {"source": source, "target": target})
    except (FileNotFoundError, ValueError, TypeError, IndexError):
        return


def records(file: BinaryIO, head: Mapping[str, str]) -> Iterator[Known]:
    """ValueError, TypeError or IndexError for a line that is none."""
    is_first, at = True, ""
    for block in json_text.blocks(file):
        lines = block.splitlines()
        rows = json_text.parse(b"[" + b",".join(lines) + b"]")
        if is_first and rows[:1] != [head]:
            return
        for key, source, target in rows[1:] if is_first else rows:
            if key < at:
                raise ValueError(f"{key!r} after {at!r}")
            at = key
            yield Known(Entry(key, *source), Entry(key, *target))
        is_first = False


def read_manifest(path: Path, source: str, target: str) -> dict[str, Known]:
    """The same as a whole, by keys."""
    return {known.source.key: known for known in known_to(path, source, target)}


def write_manifest(path: Path, source: str, target: str, known: Iterable[Known]) -> None:
    """`known` in the order of keys. In ASCII: names may have line separators of Unicode in them, or bytes that are no text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as file:
        file.write(json.dumps({"source": source, "target": target}).encode() + b"\n")
        for each in known:
            sides = [[side.size, side.etag, side.modified_ns] for side in each]
            file.write(json.dumps([each.source.key, *sides]).encode() + b"\n")


def update_manifest(
    path: Path, source: str, target: str, forgotten: Set[str], brought: Iterable[Known]
) -> None:
    """Take out what is `forgotten`, and put in what was `brought` over, in the order of keys."""
    kept = (each for each in known_to(path, source, target) if each.source.key not in forgotten)
    merged = heapq.merge(kept, brought, key=lambda known: known.source.key)
    write_manifest(path, source, target, merged)
