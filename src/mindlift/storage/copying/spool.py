"""Lists that may be of a million: what is above a share of memory waits in a temporary file without a name."""

from __future__ import annotations

import heapq
import pickle
import tempfile
from collections.abc import Iterator
from typing import IO, Callable, Generic, TypeVar

from mindlift.errors import StorageError

MOST = 50_000  # in memory at a time; 400 bytes each
T = TypeVar("T")


class Spool(Generic[T]):
    """Items in the order in which they are appended. They may be read again and again, once it is complete."""

    def __init__(self, most: int = MOST):
        self.most, self.count = most, 0
        self.newest: list[T] = []
        self.file: IO[bytes] | None = None
        self.starts: list[int] = []

    def __len__(self) -> int:
        return self.count

    def append(self, item: T) -> None:
        self.newest.append(item)
        self.count += 1
        if len(self.newest) >= self.most:
            self.put_away(self.newest)
            self.newest = []

    def put_away(self, items: list[T]) -> None:
        """StorageError if the folder for temporary files takes no more."""
        try:
            if self.file is None:
                self.file = tempfile.TemporaryFile(prefix="mindlift-spool-")  # noqa: SIM115 - closed with the spool
            self.starts.append(self.file.seek(0, 2))
            pickle.dump(items, self.file, pickle.HIGHEST_PROTOCOL)
            self.file.flush()
        except OSError as err:
            place = tempfile.gettempdir()
            raise StorageError(
                f"can't write to {place}, where the list of what to copy waits: {err.strerror}; set TMPDIR to another folder"
            ) from err

    def blocks(self) -> Iterator[list[T]]:
        for start in self.starts:
            yield self.load(start)
        if self.newest:
            yield self.newest

    def load(self, start: int) -> list[T]:
        assert self.file is not None
        self.file.seek(start)
        found: list[T] = pickle.load(self.file)  # what this process has written a moment ago
        return found

    def __iter__(self) -> Iterator[T]:
        for block in self.blocks():
            yield from block


class SortedSpool(Generic[T]):
    """Items that come in any order and are read in the order of `key`."""

    def __init__(self, key: Callable[[T], str], most: int = MOST):
        self.key, self.most = key, most
        self.newest: list[T] = []
        self.runs: list[Spool[T]] = []  # each is sorted
        self.count = 0

    def __len__(self) -> int:
        return self.count

    def append(self, item: T) -> None:
        self.newest.append(item)
        self.count += 1
        if len(self.newest) >= self.most:
            run: Spool[T] = Spool(max(1, self.most // 16))
            for each in sorted(self.newest, key=self.key):
                run.append(each)
            self.runs.append(run)
            self.newest = []

    def __iter__(self) -> Iterator[T]:
        return iter(heapq.merge(*self.runs, sorted(self.newest, key=self.key), key=self.key))
