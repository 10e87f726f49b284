"""Objects to local files: small ones whole, large ones in ranges by several threads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from typing import Callable, TypeVar

from mindlift.errors import TransferError
from mindlift.locks import create_held
from mindlift.storage.copying.job import CHANGES, Advance, Job, Unit
from mindlift.storage.copying.local_files import (
    LocalTarget,
    allocate,
    disk_errors,
    remove,
    settle,
    write_at,
)
from mindlift.storage.copying.part_sums import PartSums
from mindlift.storage.copying.plan import Known, is_same
from mindlift.storage.copying.shared_file import SharedFile
from mindlift.storage.http1 import Headers
from mindlift.storage.retry import Broken, Changed
from mindlift.storage.s3.store import S3Store
from mindlift.storage.store import Entry, LocalStore

RANGE = 32 << 20  # bytes of a large object that one thread asks for at a time, about
Result = TypeVar("Result")


class Download:
    """Object to local file."""

    def __init__(self, job: Job, advance: Advance):
        assert isinstance(job.source_store, S3Store)
        assert isinstance(job.target_store, LocalStore)
        self.store, self.prefix, self.advance = job.source_store, job.source, advance
        self.target = LocalTarget(job.target_store, job.target)
        self.retries = self.store.service.retries
        self.open: set[LargeDownload] = set()

    def close(self) -> None:
        for large in list(self.open):
            large.discard()

    def units(self, entry: Entry) -> Iterator[Unit]:
        if entry.size <= RANGE:
            yield lambda: self.whole(entry)
            return
        large = LargeDownload(self, entry)
        for start in large.starts():
            yield lambda start=start: large.piece(start)  # type: ignore[misc]

    def object(self, entry: Entry) -> Entry:
        return Entry(self.prefix + entry.key, entry.size, entry.etag, entry.modified_ns)

    def whole(self, entry: Entry) -> Known:
        path = self.target.path(entry.key)
        part = self.target.part(path)
        with disk_errors(path, part):
            descriptor = create_held(part)
            try:
                found = self.fill(descriptor, entry)
                known = settle(descriptor, part, path, found)
            finally:
                os.close(descriptor)
        self.advance(found.size)
        return known

    def fill(self, descriptor: int, entry: Entry) -> Entry:
        """Write the object to an empty file; returns `entry`, or what the object is if it has changed since it was listed."""
        for attempt in range(CHANGES):
            try:
                if entry.size:
                    self.ask(entry, partial(self.receive_whole, descriptor, entry))
                break
            except Changed as err:
                entry = self.again(entry, err, attempt)
                os.ftruncate(descriptor, 0)
        return entry

    def receive_whole(self, descriptor: int, entry: Entry) -> None:
        sums = PartSums(entry)
        headers = self.receive(descriptor, entry, sums, 0, entry.size)
        self.check(descriptor, entry, sums, headers)

    def receive(self, descriptor: int, entry: Entry, sums: PartSums, start: int, length: int) -> Headers:
        """Some bytes of the object to the same place of a file; the answer's headers."""
        at, passing = start, sums.passing(start)

        def sink(piece: memoryview) -> None:
            nonlocal at
            passing.update(piece)
            at += write_at(descriptor, piece, at)

        store = self.store
        headers = store.service.http.get(
            store.bucket, self.prefix + entry.key, sink, start, length, entry.etag, entry.size
        )
        sums.add(passing)
        return headers

    def check(self, descriptor: int, entry: Entry, sums: PartSums, headers: Headers | None = None) -> None:
        """Whether the MD5 of what came is the object's, as far as its ETag tells; Broken if not."""
        self.store.verifier.check(self.object(entry), partial(sums.digest, descriptor), headers)

    def ask(self, entry: Entry, request: Callable[[], Result]) -> Result:
        """`request()`, again while that may help; Changed if the object is really another one than `entry`."""
        what = self.store.what("GET", self.prefix + entry.key)

        def attempt() -> Result:
            try:
                return request()
            except Changed as err:
                now = self.store.head(self.prefix + entry.key)
                if is_same(entry, now):
                    raise Broken(
                        f"{what}: the answer was of another object than the one that is there"
                    ) from err
                raise

        return self.retries.run(what, attempt)

    def again(self, entry: Entry, err: Changed, attempt: int) -> Entry:
        """The object as it is now, after it was not the one that had been listed."""
        now = self.store.head(self.prefix + entry.key)
        if now is None or attempt + 1 == CHANGES:
            state = "is gone" if now is None else f"has changed {CHANGES} times while it was copied"
            raise TransferError(f"{err}: the object {state}; copy again when nobody writes there") from err
        return now._replace(key=entry.key)


class LargeDownload(SharedFile):
    """One object, its ranges written into one preallocated file by several threads.

    If it turns out to be another one meanwhile, or not to be what its ETag says, the thread of the last range
    fetches it once more.
    """

    def __init__(self, route: Download, entry: Entry):
        self.route, self.entry = route, entry
        self.sums = PartSums(entry)
        self.length = self.sums.whole_parts(RANGE)
        super().__init__(len(self.starts()))
        self.descriptor = -1
        self.changed: Changed | None = None
        self.path = self.part = ""

    def starts(self) -> range:
        return range(0, self.entry.size, self.length)

    @property
    def is_open(self) -> bool:
        return self.descriptor >= 0

    def open(self) -> None:
        self.path = self.route.target.path(self.entry.key)
        self.part = self.route.target.part(self.path)
        with disk_errors(self.path):
            self.descriptor = create_held(self.part)
            self.route.open.add(self)
            allocate(self.descriptor, self.entry.size)

    def copy(self, at: int) -> None:
        """One range, unless the object is known to be another one by now."""
        if self.changed:
            return
        length = min(self.length, self.entry.size - at)
        receive = partial(self.route.receive, self.descriptor, self.entry, self.sums, at, length)
        try:
            with disk_errors(self.path):
                self.route.ask(self.entry, receive)
        except Changed as err:
            self.changed = err
            return
        self.route.advance(length)

    def count_down(self) -> Known | None:
        with self.lock:
            self.left -= 1
            is_last = not self.left
        try:
            if self.failed or not is_last:
                return None
            with disk_errors(self.path):
                self.complete()
                return settle(self.descriptor, self.part, self.path, self.entry)
        finally:
            with self.lock:
                self.busy -= 1
            if is_last or self.failed:
                self.discard()

    def complete(self) -> None:
        """All ranges are there: of the right object, or else of what is there now."""
        for attempt in range(CHANGES):
            try:
                if self.changed:
                    raise self.changed
                self.route.check(self.descriptor, self.entry, self.sums)
                return
            except Changed as err:
                self.start_again(self.route.again(self.entry, err, attempt))
            except Broken as err:
                if attempt + 1 == CHANGES:
                    raise TransferError(f"{err} ({CHANGES} times)") from err
                self.start_again(self.entry)

    def start_again(self, entry: Entry) -> None:
        self.entry, self.changed, self.sums = entry, None, PartSums(entry)
        self.length = self.sums.whole_parts(RANGE)
        os.ftruncate(self.descriptor, entry.size)
        with self.route.retries.lock:
            self.route.retries.count += 1
        for start in self.starts():
            if self.failed:
                raise TransferError(f"{self.path} was not completed: the copy has ended")
            self.copy(start)

    def discard(self) -> None:
        """Remove the file if it is unfinished, and close it once no thread writes to it."""
        self.failed = True
        with self.lock:
            if self.descriptor >= 0:
                remove(self.part)
            if self.descriptor >= 0 and not self.busy:
                os.close(self.descriptor)
                self.descriptor = -1
                self.route.open.discard(self)
