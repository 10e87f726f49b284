"""Local files to objects: one PUT each, large ones in parts by several threads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from mindlift.errors import TransferError
from mindlift.storage.copying.job import CHANGES, Advance, Job, Unit
from mindlift.storage.copying.local_files import local_entry, open_regular
from mindlift.storage.copying.plan import Known
from mindlift.storage.copying.shared_file import SharedFile
from mindlift.storage.s3.etags import OWN_PART
from mindlift.storage.s3.store import Multipart, S3Store
from mindlift.storage.store import Entry, LocalStore

MULTIPART_FROM = 32 << 20
LEAST_PART = OWN_PART
MOST_PARTS = 10_000


class Upload:
    """Local file to object."""

    def __init__(self, job: Job, advance: Advance):
        assert isinstance(job.source_store, LocalStore)
        assert isinstance(job.target_store, S3Store)
        self.root, self.store, self.prefix, self.advance = (
            job.source_store.path(job.source),
            job.target_store,
            job.target,
            advance,
        )
        self.open: set[LargeUpload] = set()

    def close(self) -> None:
        for large in list(self.open):
            large.discard()

    def path(self, key: str) -> Path:
        return self.root / key if key else self.root

    def units(self, entry: Entry) -> Iterator[Unit]:
        if entry.size <= MULTIPART_FROM:
            yield lambda: self.whole(entry)
            return
        large = LargeUpload(self, entry)
        for number in range(1, large.left + 1):
            yield lambda number=number: large.piece(number)  # type: ignore[misc]

    def whole(self, entry: Entry) -> Known:
        path, key = self.path(entry.key), self.prefix + entry.key
        for _ in range(CHANGES):
            with open_regular(path) as descriptor:
                before = local_entry(entry.key, descriptor)
                data = os.pread(descriptor, before.size + 1, 0) if before.size < 1 << 30 else b""
                if len(data) != before.size or local_entry(entry.key, descriptor) != before:
                    continue  # what was read may be a mixture
                stored = self.store.write(key, data)
                if local_entry(entry.key, descriptor) == before:
                    self.advance(before.size)
                    return Known(before, stored._replace(key=entry.key))
        raise TransferError(
            f"{path} has changed {CHANGES} times while it was copied; copy it when it is finished"
        )


class LargeUpload(SharedFile):
    """One file, sent in parts by several threads."""

    def __init__(self, route: Upload, entry: Entry):
        self.route, self.entry = route, entry
        self.size = max(LEAST_PART, -(-entry.size // MOST_PARTS))
        super().__init__(-(-entry.size // self.size))
        self.upload: Multipart | None = None
        self.descriptor = -1

    @property
    def is_open(self) -> bool:
        return self.upload is not None

    def open(self) -> None:
        path = self.route.path(self.entry.key)
        self.descriptor = os.open(path, os.O_RDONLY)
        self.route.open.add(self)
        self.check()
        self.upload = Multipart(self.route.store, self.route.prefix + self.entry.key, self.size)
        self.upload.__enter__()

    def check(self) -> None:
        if local_entry(self.entry.key, self.descriptor) != self.entry:
            path = self.route.path(self.entry.key)
            raise TransferError(f"{path} has changed while it was copied; copy it when it is finished")

    def copy(self, at: int) -> None:
        start = (at - 1) * self.size
        body = os.pread(self.descriptor, min(self.size, self.entry.size - start), start)
        assert self.upload is not None
        self.upload.put(at, body)
        self.route.advance(len(body))

    def count_down(self) -> Known | None:
        with self.lock:
            self.left -= 1
            self.busy -= 1
            is_last = not self.left
        if self.failed:
            self.discard()
        if self.failed or not is_last or self.upload is None:
            return None
        try:
            self.check()
            self.upload.complete()
            etag, self.upload = self.upload.etag, None
            return Known(self.entry, self.entry._replace(etag=etag, modified_ns=0))
        finally:
            self.discard()

    def discard(self) -> None:
        """Abort the upload if it is unfinished, and close the file once no thread reads from it."""
        self.failed = True
        with self.lock:
            if self.upload is not None:
                self.upload.abort()  # parts that are under way now need another one at their end
            if self.busy:
                return
            self.upload = None
            if self.descriptor >= 0:
                os.close(self.descriptor)
                self.descriptor = -1
                self.route.open.discard(self)
