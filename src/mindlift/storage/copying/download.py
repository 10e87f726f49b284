"""Objects to local files: small ones whole, large ones in ranges by several threads."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import replace

from mindlift.errors import TransferError
from mindlift.storage.copying.job import CHANGES, Advance, Job, Unit
from mindlift.storage.copying.local_files import (
    LocalTarget,
    allocate,
    disk_errors,
    md5_of,
    remove,
    removed_on_error,
    settle,
    write_all,
)
from mindlift.storage.copying.plan import Known
from mindlift.storage.retry import Changed
from mindlift.storage.s3.answers import is_md5
from mindlift.storage.s3.data_plane import SMALL, SmallObjects
from mindlift.storage.s3.store import S3Store
from mindlift.storage.store import Entry, LocalStore

RANGE = 32 << 20  # bytes of a large object that one thread asks for at a time


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
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
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
        return self.retries.run(
            self.store.what("GET", self.prefix + entry.key), lambda: self.small.read(self.object(entry))
        )

    def again(self, entry: Entry, err: Changed, attempt: int) -> Entry:
        """The object as it is now, after it was not the one that had been listed."""
        now = self.store.head(self.prefix + entry.key)
        if now is None or attempt + 1 == CHANGES:
            state = "is gone" if now is None else f"has changed {CHANGES} times while it was copied"
            raise TransferError(f"{err}: the object {state}; copy again when nobody writes there") from err
        return replace(now, key=entry.key)


class LargeDownload:
    """One object, its ranges written into one preallocated file by several threads."""

    def __init__(self, route: Download, entry: Entry):
        self.route, self.entry = route, entry
        self.lock = threading.Lock()
        self.left = -(-entry.size // RANGE)
        self.busy = 0  # threads that write to the descriptor
        self.descriptor = -1
        self.failed = False
        self.path = self.part = ""

    def range(self, start: int) -> Known | None:
        length = min(RANGE, self.entry.size - start)
        try:
            with self.lock:
                self.busy += 1
                if self.descriptor < 0 and not self.failed:
                    self.open()
            if not self.failed:
                self.fetch(start, length)
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
            self.descriptor = os.open(self.part, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
            self.route.open.add(self)
            allocate(self.descriptor, self.entry.size)

    def fetch(self, start: int, length: int) -> None:
        store, entry = self.route.store, self.route.object(self.entry)

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

        try:
            self.route.retries.run(store.what("GET", entry.key), attempt)
        except Changed as err:
            raise TransferError(f"{err}: the object was replaced while it was copied; copy it again") from err
        self.route.advance(length)

    def count_down(self) -> Known | None:
        with self.lock:
            self.left -= 1
            self.busy -= 1
            is_last = not self.left
        if self.failed:
            self.discard()
        if self.failed or not is_last:
            return None
        try:
            with disk_errors(self.path):
                self.verify()
                return settle(self.descriptor, self.part, self.path, self.entry)
        finally:
            self.discard()

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

    def verify(self) -> None:
        """The MD5 of the whole, where the ETag is one; large objects mostly have another kind."""
        store, key = self.route.store, self.route.prefix + self.entry.key
        if (
            not self.route.small.etag_is_md5
            or not is_md5(self.entry.etag)
            or md5_of(self.descriptor) == self.entry.etag
        ):
            return
        if store.hides_md5(key):
            self.route.small.etag_is_md5 = False
            return
        raise TransferError(
            f"GET {store.bucket}/{key}: the MD5 of what came is not the object's, {self.entry.etag}"
        )
