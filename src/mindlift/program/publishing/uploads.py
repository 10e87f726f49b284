"""Uploads of files that a program goes on writing: what arrives in the bucket is the file that was found complete."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Callable

from mindlift.errors import TransferError
from mindlift.files import temporary_folder
from mindlift.storage.copying.copy import THREADS
from mindlift.storage.copying.engine import Threads
from mindlift.storage.copying.job import Advance, Job, Unit
from mindlift.storage.copying.local_files import local_entry, open_regular
from mindlift.storage.copying.plan import Known
from mindlift.storage.copying.progress import Progress
from mindlift.storage.copying.upload import MULTIPART_FROM, Upload
from mindlift.storage.platform_store import PlatformCopy, PlatformStore
from mindlift.storage.s3.store import S3Store
from mindlift.storage.store import Entry, LocalStore, Store

LARGEST_GROWING = 256 << 20  # bytes; longer logs are published when they are complete
Grows = Callable[[str], bool]


class Uploads(Threads):
    """Threads that upload files of the folder `job.source`; an entry has the size and time that its file must have.

    `grows` says of which files any beginning will do.
    """

    def __init__(self, job: Job, grows: Grows):
        super().__init__(job, THREADS, Progress("publish", say=lambda _: None, show_bar=False))
        is_platform = isinstance(job.target_store, PlatformStore)
        self.route = (CheckedCopy if is_platform else CheckedUpload)(job, grows, self.progress.add)


class Checked:
    """Bytes of a file that is still as its entry says."""

    def __init__(self, job: Job, grows: Grows, advance: Advance):
        assert isinstance(job.source_store, LocalStore)
        self.root: Path = job.source_store.path(job.source)
        self.target: Store = job.target_store
        self.prefix, self.grows, self.advance = job.target, grows, advance

    def is_small(self, entry: Entry) -> bool:
        is_growing = self.grows(entry.key) and entry.size <= LARGEST_GROWING
        return is_growing or entry.size <= MULTIPART_FROM

    def whole(self, entry: Entry) -> Known:
        with open_regular(self.root / entry.key) as descriptor:
            data = read_all(descriptor, entry.size)
            now = local_entry(entry.key, descriptor)
        if self.grows(entry.key):
            data = whole_lines(data)
        elif now != entry or len(data) != entry.size:
            raise changed(self.root / entry.key)
        stored = self.target.write(self.prefix + entry.key, data)
        self.advance(len(data))
        return Known(entry._replace(size=len(data)), stored._replace(key=entry.key))


class CheckedUpload(Checked, Upload):
    """To a bucket. Large files go in parts, and appear only if the file is the same at the end."""

    def __init__(self, job: Job, grows: Grows, advance: Advance):
        Upload.__init__(self, job, advance)
        Checked.__init__(self, job, grows, advance)

    def units(self, entry: Entry) -> Iterator[Unit]:
        if self.is_small(entry):
            yield partial(self.whole, entry)
        else:
            yield from Upload.units(self, entry)


class CheckedCopy(Checked):
    """By the platform's moxing, which copies files by name: large ones from a copy that nobody writes to."""

    def __init__(self, job: Job, grows: Grows, advance: Advance):
        super().__init__(job, grows, advance)
        self.job = job

    def units(self, entry: Entry) -> Iterator[Unit]:
        yield partial(self.whole if self.is_small(entry) else self.by_copy, entry)

    def by_copy(self, entry: Entry) -> Known:
        with temporary_folder("copy", self.root.parent) as folder:
            still = Path(folder, os.path.basename(entry.key))
            shutil.copy2(self.root / entry.key, still)
            with open_regular(self.root / entry.key) as descriptor:
                if local_entry(entry.key, descriptor) != entry or still.stat().st_size != entry.size:
                    raise changed(self.root / entry.key)
            job = Job(LocalStore("/"), str(still).lstrip("/"), self.target, self.prefix + entry.key)
            known = PlatformCopy(job, self.advance).whole(entry._replace(key=""))
        return Known(entry, known.target._replace(key=entry.key))

    def close(self) -> None:
        pass


def read_all(descriptor: int, size: int) -> bytes:
    """As many bytes as there are, at least where they are as many as expected."""
    pieces: list[bytes] = []
    at = 0
    while True:
        piece = os.pread(descriptor, max(size - at, 0) + 1, at)
        if not piece:
            return b"".join(pieces)
        pieces.append(piece)
        at += len(piece)


def whole_lines(data: bytes) -> bytes:
    """Text without the line that is being written; other data as it is."""
    return data if b"\0" in data[:1024] else data[: data.rfind(b"\n") + 1]


def changed(path: Path) -> TransferError:
    return TransferError(f"{path} has changed since it was found complete; it is published when it is again")


def job_of(root: Path, store: Store, prefix: str) -> Job:
    assert isinstance(store, (S3Store, PlatformStore))
    return Job(LocalStore("/"), f"{str(root).strip('/')}/", store, prefix)
