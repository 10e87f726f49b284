"""MD5s of an object's parts, taken while their bytes pass."""

from __future__ import annotations

import hashlib

from mindlift.storage.copying.local_files import md5_between
from mindlift.storage.s3.etags import part_sizes
from mindlift.storage.store import Entry


class PartSums:
    """Of the parts that an object most probably has; of others on demand. Threads may share it."""

    def __init__(self, entry: Entry):
        self.size = entry.size
        self.part = next(iter(part_sizes(entry.size, entry.etag)), 0)
        self.known: dict[tuple[int, int], bytes] = {}

    def whole_parts(self, length: int) -> int:
        """The length of ranges that have only whole parts in them, about `length`; `length` where parts are much longer."""
        return max(length // self.part, 1) * self.part if 0 < self.part <= 2 * length else length

    def passing(self, start: int) -> Passing:
        """For the bytes from `start` on, which come in their order."""
        return Passing(self, start)

    def add(self, passed: Passing) -> None:
        self.known.update(passed.found)

    def digest(self, descriptor: int, start: int, end: int) -> bytes:
        """Of a part in the file; it is read only if it has not passed as a whole."""
        return self.known.get((start, end)) or md5_between(descriptor, start, end)


class Passing:
    """MD5s of the parts that begin and end in one run of bytes."""

    def __init__(self, sums: PartSums, start: int):
        self.part, self.size, self.at = sums.part, sums.size, start
        self.first = start if self.part and start % self.part == 0 else -1
        self.md5 = hashlib.md5()
        self.found: dict[tuple[int, int], bytes] = {}

    def update(self, piece: memoryview) -> None:
        if not self.part:
            return
        while piece:
            end = min((self.at // self.part + 1) * self.part, self.size)
            taken, piece = piece[: end - self.at], piece[end - self.at :]
            self.at += len(taken)
            if self.first >= 0:
                self.md5.update(taken)
            if self.at == end:
                self.end_part(end)

    def end_part(self, end: int) -> None:
        if self.first >= 0:
            self.found[self.first, end] = self.md5.digest()
        self.first, self.md5 = end, hashlib.md5()
