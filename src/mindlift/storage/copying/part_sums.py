"""MD5s of a file's parts, each taken by the thread that brings the last of its bytes."""

from __future__ import annotations

import threading

from mindlift.storage.copying.local_files import md5_between
from mindlift.storage.s3.etags import part_sizes
from mindlift.storage.store import Entry


class PartSums:
    """Of the parts that an object most probably has; of others on demand."""

    def __init__(self, entry: Entry):
        self.size = entry.size
        self.part = next(iter(part_sizes(entry.size, entry.etag)), 0)
        self.lock = threading.Lock()
        self.missing = {
            start: min(self.part, self.size - start)
            for start in range(0, self.size, self.part or self.size or 1)
        }
        self.known: dict[tuple[int, int], bytes] = {}

    def add(self, descriptor: int, start: int, length: int) -> None:
        """The bytes from `start` on are there now."""
        if self.part:
            for first in range(start - start % self.part, start + length, self.part):
                self.count(descriptor, first, start, start + length)

    def count(self, descriptor: int, first: int, start: int, end: int) -> None:
        last = min(first + self.part, self.size)
        with self.lock:
            self.missing[first] -= min(end, last) - max(start, first)
            is_whole = not self.missing[first]
        if is_whole:
            self.known[first, last] = md5_between(descriptor, first, last)

    def digest(self, descriptor: int, start: int, end: int) -> bytes:
        return self.known.get((start, end)) or md5_between(descriptor, start, end)
