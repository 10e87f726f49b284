"""Objects to local files: small ones whole, large ones in ranges by several threads."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Callable, TypeVar

from mindlift.errors import TransferError
from mindlift.locks import create_held
from mindlift.storage.copying.job import CHANGES, Advance, Job, Unit
from mindlift.storage.copying.local_files import (
    LocalTarget,
    allocate,
    disk_errors,
    remove,
    removed_on_error,
    settle,
    write_all,
)
from mindlift.storage.copying.part_sums import PartSums
from mindlift.storage.copying.plan import Known, is_same
from mindlift.storage.retry import Broken, Changed
from mindlift.storage.s3.data_plane import SMALL, SmallObjects
from mindlift.storage.s3.store import S3Store
from mindlift.storage.store import Entry, LocalStore

RANGE = 32 << 20  # bytes of a large object that one thread asks for at a time
Result = TypeVar("Result")


class Download:
    """Object to local file."""

    def __init__(self, job: Job, advance: Advance):
        assert isinstance(job.source_store, S3Store)
        assert isinstance(job.target_store, LocalStore)
        self.store, self.prefix, self.advance = job.source_store, job.source, advance
        self.small = SmallObjects(self.store)
        self.target = LocalTarget(job.target_store, job.target)
        self.retries = self.store.service.retries
        self.open: set[LargeDownload] = set()

    def close(self) -> None:
        for large in list(self.open):
            large.discard()

    def units(self, entry: Entry) -> Iterator[Unit]:
        if entry.size <= SMALL:
            yield lambda: self.whole(entry)
            return
        large = LargeDownload(self, entry)
        for start in range(0, entry.size, RANGE):
            yield lambda start=start: large.range(start)  # type: ignore[misc]

    def object(self, entry: Entry) -> Entry:
        return Entry(self.prefix + entry.key, entry.size, entry.etag, entry.modified_ns)

    def whole(self, entry: Entry) -> Known:
        found = entry
        for attempt in range(CHANGES):
            try:
                data = self.fetch(found)
                break
            except Changed as err:
                found = self.again(entry, err, attempt)
        path = self.target.path(entry.key)
        part = self.target.part(path)
        with disk_errors(path), removed_on_error(part):
            descriptor = create_held(part)
            try:
                write_all(descriptor, data)
                known = settle(descriptor, part, path, found)
            finally:
                os.close(descriptor)
        self.advance(found.size)
        return known

    def fetch(self, entry: Entry) -> bytes:
        if not entry.size:
            return b""
        return self.ask(entry, lambda: self.small.read(self.object(entry)))

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


class LargeDownload:
    """One object, its ranges written into one preallocated file by several threads.

    If it turns out to be another one meanwhile, or not to be what its ETag says, the thread of the last range
    fetches it once more.
    """

    def __init__(self, route: Download, entry: Entry):
        self.route, self.entry = route, entry
        self.lock = threading.Lock()
        self.left = -(-entry.size // RANGE)
        self.busy = 0  # threads that write to the descriptor
        self.descriptor = -1
        self.failed = False
        self.changed: Changed | None = None
        self.sums = PartSums(entry)
        self.path = self.part = ""

    def range(self, start: int) -> Known | None:
        try:
            with self.lock:
                self.busy += 1
                if self.descriptor < 0 and not self.failed:
                    self.open()
            if not self.failed:
                self.fetch(start)
        except BaseException:
            self.failed = True
            raise
        finally:
            known = self.count_down()
        return known

    def open(self) -> None:
        self.path = self.route.target.path(self.entry.key)
        self.part = self.route.target.part(self.path)
        with disk_errors(self.path):
            self.descriptor = create_held(self.part)
            self.route.open.add(self)
            allocate(self.descriptor, self.entry.size)

    def fetch(self, start: int) -> None:
        """One range, unless the object is known to be another one by now."""
        store, entry, length = (
            self.route.store,
            self.route.object(self.entry),
            min(RANGE, self.entry.size - start),
        )

        def attempt() -> None:
            at = start

            def sink(piece: bytes) -> None:
                nonlocal at
                with disk_errors(self.path):
                    view = memoryview(piece)
                    while view:
                        count = os.pwrite(self.descriptor, view, at)
                        at, view = at + count, view[count:]

            store.service.http.get(store.bucket, entry.key, sink, start, length, entry.etag, entry.size)

        if self.changed:
            return
        try:
            self.route.ask(self.entry, attempt)
        except Changed as err:
            self.changed = err
            return
        self.sums.add(self.descriptor, start, length)
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
                self.verify()
                return
            except Changed as err:
                self.start_again(self.route.again(self.entry, err, attempt))
            except Broken as err:
                if attempt + 1 == CHANGES:
                    raise TransferError(f"{err} ({CHANGES} times)") from err
                self.start_again(self.entry)

    def verify(self) -> None:
        entry, store = self.route.object(self.entry), self.route.store
        store.verifier.check(entry, lambda start, end: self.sums.digest(self.descriptor, start, end))

    def start_again(self, entry: Entry) -> None:
        self.entry, self.changed, self.sums = entry, None, PartSums(entry)
        os.ftruncate(self.descriptor, entry.size)
        with self.route.retries.lock:
            self.route.retries.count += 1
        for start in range(0, entry.size, RANGE):
            if self.failed:
                raise TransferError(f"{self.path} was not completed: the copy has ended")
            self.fetch(start)

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
