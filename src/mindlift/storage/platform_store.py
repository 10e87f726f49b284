"""The store as the platform's own moxing shows it, for containers in which boto3 has no way to it.

Slower and with less known: moxing has no ETags, so nothing is incremental, and only sizes are compared.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType

from mindlift.errors import TransferError
from mindlift.storage.copying.job import Job
from mindlift.storage.copying.plan import Known
from mindlift.storage.errors import MoxFileNotExistsException
from mindlift.storage.store import Entry, LocalStore, Store
from mindlift.storage.url import Remote, as_folder

ATTEMPTS = 3


class PlatformStore:
    """One bucket as a Store; `api` is the platform's `moxing.file`."""

    is_conditional = False

    def __init__(self, bucket: str, api: ModuleType):
        self.bucket, self.api = bucket, api

    def url(self, key: str) -> str:
        return str(Remote(self.bucket, key))

    def stat(self, key: str) -> Entry | None:
        if key and not key.endswith("/") and self.is_file(key):
            return self.entry(key)
        folder = as_folder(key)
        return Entry(folder) if self.api.is_directory(self.url(folder)) else None

    def is_file(self, key: str) -> bool:
        return self.api.exists(self.url(key)) and not self.api.is_directory(self.url(key))

    def entry(self, key: str) -> Entry:
        found = self.api.stat(self.url(key))
        return Entry(key, found.length, modified_ns=found.mtime_nsec)

    def scan(self, folder: str) -> Iterator[Entry]:
        yield from self.listed(folder, recursive=False)

    def walk(self, folder: str) -> Iterator[Entry]:
        yield from self.listed(folder, recursive=True)

    def listed(self, folder: str, recursive: bool) -> Iterator[Entry]:
        folder = as_folder(folder)
        if not self.api.exists(self.url(folder)):
            return
        names = (name.strip("/") for name in self.api.list_directory(self.url(folder), recursive=recursive))
        found = (self.stat(folder + name) for name in names if name)
        yield from sorted((entry for entry in found if entry), key=lambda entry: entry.key)

    def read(self, key: str, start: int = 0, length: int | None = None, etag: str = "") -> bytes:
        if not key or not self.api.exists(self.url(key)):
            raise MoxFileNotExistsException(f"no such file: {self.url(key)}")
        data = self.api.read(self.url(key), binary=True)
        return data[start:] if length is None else data[start : start + length]

    def write(self, key: str, data: bytes) -> Entry:
        self.api.write(self.url(key), data, binary=True)
        return self.entry(key)

    def write_if(self, key: str, data: bytes, was: Entry | None) -> Entry | None:
        now = self.entry(key) if self.is_file(key) else None
        return self.write(key, data) if now == was else None

    def age_s(self, key: str) -> float | None:
        return None  # moxing does not tell the store's time

    def make_folder(self, folder: str) -> None:
        self.api.make_dirs(self.url(as_folder(folder)))

    def remove(self, key: str) -> None:
        if self.api.exists(self.url(key)):
            self.api.remove(self.url(key))

    def remove_all(self, keys: Sequence[str]) -> None:
        for key in keys:
            self.remove(key)

    def remove_folder(self, folder: str) -> None:
        if self.api.exists(self.url(as_folder(folder))):
            self.api.remove(self.url(as_folder(folder)), recursive=True)

    def copy(self, source: str, target: str) -> Entry:
        self.api.copy(self.url(source), self.url(target))
        return self.entry(target)


class PlatformCopy:
    """A route whose one end, or both, is a PlatformStore: each file by the platform's `copy`, sizes compared."""

    def __init__(self, job: Job, advance: Callable[[int], None]):
        self.job, self.advance = job, advance
        stores = (job.source_store, job.target_store)
        self.api = next(store.api for store in stores if isinstance(store, PlatformStore))

    def units(self, entry: Entry) -> Iterator[Callable[[], Known]]:
        yield lambda: self.whole(entry)

    def close(self) -> None:
        pass

    def whole(self, entry: Entry) -> Known:
        source = place(self.job.source_store, self.job.source + entry.key)
        target_key = self.job.target + entry.key
        if isinstance(self.job.target_store, LocalStore):
            with self.job.target_store.replacing(target_key) as part:
                self.copy(source, str(part), lambda: part.stat().st_size, entry.size)
        else:
            target = place(self.job.target_store, target_key)
            self.copy(source, target, lambda: self.api.stat(target).length, entry.size)
        self.advance(entry.size)
        return Known(entry, Entry(entry.key, entry.size))

    def copy(self, source: str, target: str, size: Callable[[], int], expected: int) -> None:
        """Copy until the target's size is `expected`; TransferError if it never is."""
        problem = ""
        for attempt in range(ATTEMPTS):
            time.sleep(2**attempt if attempt else 0)
            try:
                self.api.copy(source, target)
                found = size()
            except Exception as err:  # whatever the platform's own library raises
                problem = f"{type(err).__name__}: {err}"
            else:
                if found == expected:
                    return
                problem = f"{found} bytes came, {expected} were expected"
        raise TransferError(
            f"the platform's moxing did not copy {source} to {target}: {problem} ({ATTEMPTS} attempts)"
        )


def place(store: Store, key: str) -> str:
    """A key as the platform's functions name it."""
    if isinstance(store, PlatformStore):
        return store.url(key)
    assert isinstance(store, LocalStore)
    return str(store.path(key))
