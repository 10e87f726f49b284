"""The list of what copies have brought over: a local file of JSON lines in the order of keys, replaced as a whole.

While a copy runs, what it brings is appended to a journal beside it, in the order of arrival, so that a copy that is killed
is continued by the next one. At its end the journal goes into the list.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterable, Iterator, Set
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from mindlift import json_text, limits
from mindlift.files import atomic_file, remove_file
from mindlift.storage.copying.plan import Known
from mindlift.storage.copying.spool import SortedSpool
from mindlift.storage.store import Entry


def known_to(path: Path, source: str, target: str) -> Iterator[Known]:
    """What `path` and its journal know of a copy from `source` to `target`, in the order of keys; nothing of another one.

    In the list, what comes after a damaged line is not known.
    """
    return newest(listed(path, source, target), journalled(path, source, target))


def newest(*sides: Iterable[Known]) -> Iterator[Known]:
    """Merge lists in the order of keys; of one key what the last of them says."""
    last: Known | None = None
    for each in heapq.merge(*sides, key=key_of):
        if last is not None and last.source.key != each.source.key:
            yield last
        last = each
    if last is not None:
        yield last


def key_of(known: Known) -> str:
    return known.source.key


def listed(path: Path, source: str, target: str) -> Iterator[Known]:
    try:
        with open(path, "rb") as file:
            yield from records(file, head_of(source, target))
    except (FileNotFoundError, ValueError, TypeError, IndexError):
        return


def records(file: BinaryIO, head: dict[str, str]) -> Iterator[Known]:
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


def journalled(path: Path, source: str, target: str) -> Iterator[Known]:
    """What copies have brought that did not come to their end. Lines that a kill has cut short are passed over."""
    found: SortedSpool[Known] = SortedSpool(key_of)
    with suppress(FileNotFoundError), open(journal_of(path), "rb") as file:
        if file.readline(limits.JSON_LINE_BYTES) != line_of(head_of(source, target)):
            return
        for block in json_text.blocks(file):
            for line in block.splitlines():
                with suppress(ValueError, TypeError):
                    key, then, now = json_text.parse(line)
                    if isinstance(key, str):
                        found.append(Known(Entry(key, *then), Entry(key, *now)))
    yield from newest(found)


def journal_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.journal")


def head_of(source: str, target: str) -> dict[str, str]:
    return {"source": source, "target": target}


def line_of(value: object) -> bytes:
    """In ASCII: names may have line separators of Unicode in them, or bytes that are no text."""
    return json.dumps(value).encode() + b"\n"


def row_of(known: Known) -> bytes:
    return line_of([known.source.key, *([side.size, side.etag, side.modified_ns] for side in known)])


def read_manifest(path: Path, source: str, target: str) -> dict[str, Known]:
    """The same as a whole, by keys."""
    return {known.source.key: known for known in known_to(path, source, target)}


def write_manifest(path: Path, source: str, target: str, known: Iterable[Known]) -> None:
    """`known` in the order of keys."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as file:
        file.write(line_of(head_of(source, target)))
        file.writelines(map(row_of, known))


class Journal:
    """Notes what one copy brings over. Not for two copies to one target at a time, which a lock keeps apart."""

    def __init__(self, path: Path, source: str, target: str):
        self.path, self.source, self.target = path, source, target
        self.brought: SortedSpool[Known] = SortedSpool(key_of)
        self.file: FileIO | None = None

    def append(self, known: Known) -> None:
        self.brought.append(known)
        if self.file is None:
            self.file = self.opened()
        self.file.write(row_of(known))

    def opened(self) -> FileIO:
        """Go on with that of a copy that was killed."""
        path, head = journal_of(self.path), line_of(head_of(self.source, self.target))
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open(path, "a+b", buffering=0)  # noqa: SIM115 - closed by `close`
        file.seek(0)
        if file.readline(len(head)) != head:
            file.truncate(0)
            file.write(head)
        else:
            file.write(b"\n")  # the end of a line that was cut short
        return file

    def close(self, forgotten: Set[str]) -> None:
        """Take what is `forgotten` out of the list, and put in what was brought over."""
        if self.file is not None:
            self.file.close()
        if not self.brought and not forgotten and self.path.is_file() and not journal_of(self.path).is_file():
            return
        kept = (
            each for each in known_to(self.path, self.source, self.target) if key_of(each) not in forgotten
        )
        write_manifest(self.path, self.source, self.target, newest(kept, self.brought))
        remove_file(journal_of(self.path))
