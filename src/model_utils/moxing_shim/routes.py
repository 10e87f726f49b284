"""How one file gets from one store to another: each route cuts it into units that threads run.

Nothing half-written is visible: local files grow under a `.part` name, objects appear when they are whole.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import stat
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from src.model_utils.errors import StorageError, TransferError
from src.model_utils.moxing_shim.copy_plan import PART, Known
from src.model_utils.moxing_shim.data_plane import SMALL, SmallObjects
from src.model_utils.moxing_shim.retry import Changed
from src.model_utils.moxing_shim.s3 import Multipart, S3Store
from src.model_utils.moxing_shim.store import Entry, LocalStore, Store

RANGE = 32 << 20  # bytes of a large object that one thread asks for at a time
MULTIPART_FROM = 32 << 20
LEAST_PART = 16 << 20
MOST_PARTS = 10_000
CHANGES = 3  # how often a file that changes under the copy is started anew

Advance = Callable[[int], None]
Unit = Callable[[], "Known | None"]  # Known from the unit that completes the file


@dataclass(frozen=True)
class Job:
    """What is copied: keys of entries are relative to `source` and `target`, keys of folders or ''."""

    source_store: Store
    source: str
    target_store: Store
    target: str


class Route(Protocol):
    def units(self, entry: Entry) -> Iterator[Unit]:
        """The steps that copy a file, in any order and on any thread."""

    def close(self) -> None:
        """Take back what is unfinished; no unit runs any more."""


def route_of(job: Job, advance: Advance) -> Route:
    stores = (job.source_store, job.target_store)
    if not all(isinstance(store, (S3Store, LocalStore)) for store in stores):
        from src.model_utils.moxing_shim.platform_store import PlatformCopy

        return PlatformCopy(job, advance)
    from_bucket, to_bucket = isinstance(job.source_store, S3Store), isinstance(job.target_store, S3Store)
    if from_bucket:
        return ServerCopy(job, advance) if to_bucket else Download(job, advance)
    return Upload(job, advance) if to_bucket else LocalCopy(job, advance)


class LocalTarget:
    """Writes files below a local folder, and nowhere else. Paths are strings: pathlib costs 60 us per file."""

    def __init__(self, store: LocalStore, folder: str):
        self.root = str(store.path(folder))
        self.made: set[str] = set()
        self.lock = threading.Lock()

    def path(self, key: str) -> str:
        """Where `key` goes, its folder made; TransferError if a link leads out of the root."""
        path = f"{self.root}/{key}" if key else self.root
        folder = os.path.dirname(path)
        with self.lock:
            if folder not in self.made:
                self.make(folder, key)
        return path

    def make(self, folder: str, key: str) -> None:
        root, real = os.path.realpath(self.root), os.path.realpath(folder)
        if key and os.path.commonpath([root, real]) != root:
            raise TransferError(f"refused to write {key} to {folder}: a link in it leads out of {self.root}")
        with disk_errors(folder):
            os.makedirs(folder, exist_ok=True)
        self.made.add(folder)

    def part(self, path: str) -> str:
        folder, name = os.path.split(path)
        data = os.fsencode(name)
        short = name if len(data) < 200 else f"{os.fsdecode(data[:150])}-{hashlib.md5(data).hexdigest()}"
        return f"{folder}/.{short}.mindlift-{os.getpid()}.part"


def sweep(job: Job, keys: Iterable[str]) -> None:
    """Remove what processes that are dead now were writing, in the local folders of these keys."""
    if not isinstance(job.target_store, LocalStore):
        return
    root = job.target_store.path(job.target)
    for folder in {os.path.dirname(root / key) for key in keys}:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            for name in os.listdir(folder):
                match = PART.fullmatch(name)
                if match and not is_alive(int(match.group(2))):
                    remove(f"{folder}/{name}")


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextlib.contextmanager
def disk_errors(path: str) -> Iterator[None]:
    """A full or read-only disk in one line."""
    try:
        yield
    except TransferError:
        raise
    except OSError as err:
        if err.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EIO, errno.ENOTDIR, errno.EISDIR):  # fmt: skip
            raise StorageError(f"can't write {path}: {err.strerror}") from err
        raise


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


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def settle(descriptor: int, part: str, path: str, entry: Entry) -> Known:
    """Give the finished file its time and its name."""
    if entry.modified_ns:
        os.utime(descriptor, ns=(entry.modified_ns, entry.modified_ns))
    os.replace(part, path)
    return Known(entry, Entry(entry.key, entry.size, modified_ns=os.fstat(descriptor).st_mtime_ns))


@contextlib.contextmanager
def removed_on_error(part: str) -> Iterator[None]:
    try:
        yield
    except BaseException:
        remove(part)
        raise


def remove(part: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(part)


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
        from src.model_utils.moxing_shim.http_plane import is_encrypted, is_md5

        store, key = self.route.store, self.route.prefix + self.entry.key
        if (
            not self.route.small.etag_is_md5
            or not is_md5(self.entry.etag)
            or md5_of(self.descriptor) == self.entry.etag
        ):
            return
        if is_encrypted(store.service.http.send("HEAD", store.bucket, key).headers):
            self.route.small.etag_is_md5 = False
            return
        raise TransferError(
            f"GET {store.bucket}/{key}: the MD5 of what came is not the object's, {self.entry.etag}"
        )


def allocate(descriptor: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    else:
        os.ftruncate(descriptor, size)


def md5_of(descriptor: int) -> str:
    digest, at = hashlib.md5(), 0
    while piece := os.pread(descriptor, 1 << 20, at):
        digest.update(piece)
        at += len(piece)
    return digest.hexdigest()


class Upload:
    """Local file to object."""

    def __init__(self, job: Job, advance: Advance):
        assert isinstance(job.source_store, LocalStore)
        assert isinstance(job.target_store, S3Store)
        self.root, self.store, self.prefix, self.advance = (
            job.source_store.path(job.source), job.target_store, job.target, advance,
        )  # fmt: skip
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
            yield lambda number=number: large.part(number)  # type: ignore[misc]

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
                    return Known(before, replace(stored, key=entry.key))
        raise TransferError(
            f"{path} has changed {CHANGES} times while it was copied; copy it when it is finished"
        )


class LargeUpload:
    """One file, sent in parts by several threads."""

    def __init__(self, route: Upload, entry: Entry):
        self.route, self.entry = route, entry
        self.size = max(LEAST_PART, -(-entry.size // MOST_PARTS))
        self.left = -(-entry.size // self.size)
        self.lock = threading.Lock()
        self.busy = 0  # threads that read from the descriptor
        self.failed = False
        self.upload: Multipart | None = None
        self.descriptor = -1

    def part(self, number: int) -> Known | None:
        try:
            with self.lock:
                self.busy += 1
                if self.upload is None and not self.failed:
                    self.open()
            if not self.failed:
                self.send(number)
        except BaseException:
            self.failed = True
            raise
        finally:
            known = self.count_down()
        return known

    def open(self) -> None:
        path = self.route.path(self.entry.key)
        self.descriptor = os.open(path, os.O_RDONLY)
        self.route.open.add(self)
        self.check()
        self.upload = Multipart(self.route.store, self.route.prefix + self.entry.key)
        self.upload.__enter__()

    def check(self) -> None:
        if local_entry(self.entry.key, self.descriptor) != self.entry:
            path = self.route.path(self.entry.key)
            raise TransferError(f"{path} has changed while it was copied; copy it when it is finished")

    def send(self, number: int) -> None:
        start = (number - 1) * self.size
        body = os.pread(self.descriptor, min(self.size, self.entry.size - start), start)
        assert self.upload is not None
        self.upload.put(number, body)
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
            etag, self.upload = self.upload.expected_etag(), None
            return Known(self.entry, replace(self.entry, etag=etag, modified_ns=0))
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


@contextlib.contextmanager
def open_regular(path: Path) -> Iterator[int]:
    """A descriptor of a regular file; TransferError for a pipe, a device or a socket."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise TransferError(f"refused to copy {path}: it is not a regular file")
        yield descriptor
    finally:
        os.close(descriptor)


def local_entry(key: str, descriptor: int) -> Entry:
    found = os.fstat(descriptor)
    return Entry(key, found.st_size, modified_ns=found.st_mtime_ns)


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
        target.copy_from(source.bucket, replace(entry, key=self.job.source + entry.key), key)
        stored = target.head(key)
        if stored is None or stored.size != entry.size:
            raise TransferError(f"{target.what('copy to', key)}: {stored} is not a copy of {entry}")
        self.advance(entry.size)
        return Known(entry, replace(stored, key=entry.key))


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
            with disk_errors(path), removed_on_error(part), open(part, "wb") as file, open(descriptor, "rb", closefd=False) as origin:  # fmt: skip
                shutil.copyfileobj(origin, file, 1 << 20)
                file.flush()
                if os.fstat(file.fileno()).st_size != found.size:
                    raise TransferError(
                        f"{source} has changed while it was copied; copy it when it is finished"
                    )
                known = settle(file.fileno(), part, path, found)
        self.advance(found.size)
        return known
