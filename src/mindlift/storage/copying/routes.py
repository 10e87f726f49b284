"""How one file gets from one store to another: each route cuts it into units that threads run.

Nothing half-written is visible: local files grow under a `.part` name, objects appear when they are whole.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator

from mindlift.errors import TransferError
from mindlift.forks import FORKS
from mindlift.locks import create_held
from mindlift.storage.copying.download import Download
from mindlift.storage.copying.job import Advance, Job, Route, Unit
from mindlift.storage.copying.local_files import (
    LocalTarget,
    disk_errors,
    local_entry,
    open_regular,
    settle,
)
from mindlift.storage.copying.plan import Known
from mindlift.storage.copying.upload import Upload
from mindlift.storage.s3.store import S3Store
from mindlift.storage.store import Entry, LocalStore


def route_of(job: Job, advance: Advance) -> Route:
    stores = (job.source_store, job.target_store)
    if not all(isinstance(store, (S3Store, LocalStore)) for store in stores):
        with FORKS.importing():
            from mindlift.storage.platform_store import PlatformCopy

        return PlatformCopy(job, advance)
    from_bucket, to_bucket = isinstance(job.source_store, S3Store), isinstance(job.target_store, S3Store)
    if from_bucket:
        return ServerCopy(job, advance) if to_bucket else Download(job, advance)
    return Upload(job, advance) if to_bucket else LocalCopy(job, advance)


class ServerCopy:
    """Object to object, inside the store."""

    def __init__(self, job: Job, advance: Advance):
        self.job, self.advance = job, advance

    def close(self) -> None:
        pass

    def units(self, entry: Entry) -> Iterator[Unit]:
        yield lambda: self.whole(entry)

    def whole(self, entry: Entry) -> Known:
        source, target = self.job.source_store, self.job.target_store
        assert isinstance(source, S3Store)
        assert isinstance(target, S3Store)
        key = self.job.target + entry.key
        etag = target.copy_from(source.bucket, entry._replace(key=self.job.source + entry.key), key)
        stored = target.head(key)
        if stored is None or stored.size != entry.size or stored.etag != etag:
            raise TransferError(f"{target.what('copy to', key)}: {stored} is not a copy of {entry}")
        self.advance(entry.size)
        return Known(entry, stored._replace(key=entry.key))


class LocalCopy:
    """File to file."""

    def __init__(self, job: Job, advance: Advance):
        assert isinstance(job.source_store, LocalStore)
        assert isinstance(job.target_store, LocalStore)
        self.root, self.advance = job.source_store.path(job.source), advance
        self.target = LocalTarget(job.target_store, job.target)

    def close(self) -> None:
        pass

    def units(self, entry: Entry) -> Iterator[Unit]:
        yield lambda: self.whole(entry)

    def whole(self, entry: Entry) -> Known:
        source = self.root / entry.key if entry.key else self.root
        path = self.target.path(entry.key)
        part = self.target.part(path)
        with open_regular(source) as descriptor:
            found = local_entry(entry.key, descriptor)
            with contextlib.ExitStack() as stack:
                stack.enter_context(disk_errors(path, part))
                file = stack.enter_context(open(create_held(part), "wb"))
                origin = stack.enter_context(open(descriptor, "rb", closefd=False))
                shutil.copyfileobj(origin, file, 1 << 20)
                file.flush()
                if os.fstat(file.fileno()).st_size != found.size:
                    raise TransferError(
                        f"{source} has changed while it was copied; copy it when it is finished"
                    )
                known = settle(file.fileno(), part, path, found)
        self.advance(found.size)
        return known
