"""Local files as copies read and write them: they appear whole, below their folder, and nothing else does."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import os
import stat
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

from mindlift.errors import StorageError, TransferError
from mindlift.files import machine
from mindlift.locks import remove_abandoned
from mindlift.storage.copying.job import Job
from mindlift.storage.copying.plan import PART, Known
from mindlift.storage.store import Entry, LocalStore


class LocalTarget:
    """Writes files below a local folder, and nowhere else. Paths are strings: pathlib costs 60 us per file."""

    def __init__(self, store: LocalStore, folder: str):
        self.root = str(store.path(folder))
        self.mark, self.numbers = f"{machine()}-{os.urandom(8).hex()}", itertools.count()
        self.made: set[str] = set()
        self.lock = threading.Lock()

    def path(self, key: str) -> str:
        """Where `key` goes, its folder made; TransferError if a link leads out of the root."""
        path = f"{self.root}/{key}" if key else self.root
        folder = path.rpartition("/")[0]
        if folder not in self.made:
            with self.lock:
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
        folder, _, name = path.rpartition("/")
        if len(name) > 50:  # letters of up to four bytes
            data = os.fsencode(name)
            name = name if len(data) < 200 else f"{os.fsdecode(data[:150])}-{hashlib.md5(data).hexdigest()}"
        return f"{folder}/.{name}.mindlift-{self.mark}{next(self.numbers):x}.part"


def sweep(job: Job, keys: Iterable[str]) -> None:
    """Remove what nobody writes any more, in the local folders of these keys."""
    if not isinstance(job.target_store, LocalStore):
        return
    root = job.target_store.path(job.target)
    folders = {key.rstrip("/").rpartition("/")[0] for key in keys}
    for folder in (os.path.join(root, each) if each else str(root) for each in folders):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            for name in os.listdir(folder):
                match = PART.fullmatch(name)
                if match:
                    remove_abandoned(f"{folder}/{name}", match.group(2))


FATAL = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EROFS,
    errno.EACCES,
    errno.EIO,
    errno.ENOTDIR,
    errno.EISDIR,
)


class disk_errors:
    """A full or read-only disk in one line; the file `part`, if there is one, is removed after any error."""

    def __init__(self, path: str, part: str = ""):
        self.path, self.part = path, part

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, err: BaseException | None, __: object) -> None:
        if err is None:
            return
        if self.part:
            remove(self.part)
        if isinstance(err, OSError) and err.errno in FATAL and not isinstance(err, TransferError):
            raise StorageError(f"can't write {self.path}: {err.strerror}") from err


def remove(part: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(part)


def write_at(descriptor: int, data: memoryview, at: int) -> int:
    """All of `data` to a place in a file; how much that was."""
    done = 0
    while done < len(data):
        done += os.pwrite(descriptor, data[done:], at + done)
    return done


def settle(descriptor: int, part: str, path: str, entry: Entry) -> Known:
    """Give the finished file its time and its name."""
    if entry.modified_ns:
        os.utime(descriptor, ns=(entry.modified_ns, entry.modified_ns))
    os.replace(part, path)
    return Known(entry, Entry(entry.key, entry.size, modified_ns=os.fstat(descriptor).st_mtime_ns))


def allocate(descriptor: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    else:
        os.ftruncate(descriptor, size)


def md5_of(descriptor: int) -> str:
    return md5_between(descriptor, 0, os.fstat(descriptor).st_size).hex()


def md5_between(descriptor: int, start: int, end: int) -> bytes:
    digest = hashlib.md5()
    while start < end:
        piece = os.pread(descriptor, min(1 << 20, end - start), start)
        if not piece:
            break
        digest.update(piece)
        start += len(piece)
    return digest.digest()


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
