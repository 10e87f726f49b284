"""What every store can do, and the store that is a folder of this machine.

A key is a path with '/' between its parts, without one at its start. The key of a folder ends with '/',
the root's is ''. On S3 a folder is there as soon as a key below it is; a marker object `folder/` of no
bytes keeps an empty one. `tests/contract/test_stores.py` is the specification.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from mindlift.backports import Protocol
from mindlift.errors import TransferError
from mindlift.files import PART, remove_file, renamed
from mindlift.storage.url import as_file, as_folder

ETAG = re.compile(r"[!#-~]*")


class Entry(NamedTuple):
    """A file or a folder as a store knows it. Sizes in bytes, times in nanoseconds since 1970."""

    key: str
    size: int = 0
    etag: str = ""  # without quotes; '' where the store has none
    modified_ns: int = 0

    @property
    def is_folder(self) -> bool:
        return self.key.endswith("/") or not self.key


class Store(Protocol):
    """Files below keys. All errors of a missing key are FileNotFoundError.

    `is_conditional`: of several that `write_if` at one moment, one does. Who finds that it does not hold sets it to False.
    """

    is_conditional: bool

    def stat(self, key: str) -> Entry | None:
        """The file `key`, else the folder `key/`, else None; 'key/' asks for the folder only."""

    def scan(self, folder: str) -> Iterator[Entry]:
        """The direct children of a folder, sorted by key; nothing for one that is missing."""

    def walk(self, folder: str) -> Iterator[Entry]:
        """All files and folder markers below a folder, at any depth, in the order of their keys."""

    def read(self, key: str, start: int = 0, length: int | None = None, etag: str = "") -> bytes:
        """`length` bytes (fewer at the end of the file) from `start` on.

        With `etag`, TransferError if the file is another one by now.
        """

    def write(self, key: str, data: bytes) -> Entry:
        """Create or replace a file: whole, or not at all."""

    def write_if(self, key: str, data: bytes, was: Entry | None) -> Entry | None:
        """`write`, but only if the file still is what `was` says, or is not there for None; None if it is another one.

        Without `is_conditional` the store is looked at first, and two that write at one moment may both succeed.
        """

    def age_s(self, key: str) -> float | None:
        """Seconds since a file was written, all by the store's own clock; None if it is missing, or does not say."""

    def make_folder(self, folder: str) -> None:
        """Make a folder and its parents; one that is there stays."""

    def remove(self, key: str) -> None:
        """Remove one file, or the marker of a folder. A key that is missing is no error."""

    def remove_all(self, keys: Sequence[str]) -> None:
        """`remove` each in turn; what is in a folder comes before its marker. TransferError if one of them stays."""

    def remove_folder(self, folder: str) -> None:
        """Remove a folder with all that is below it."""

    def copy(self, source: str, target: str) -> Entry:
        """Copy one file within this store, whole or not at all."""


def child(folder: str, name: os.DirEntry[str]) -> Entry | None:
    """A file or folder as a scan of `folder` meets it, links followed; None for one that has gone since.

    A link to nothing is listed, so that copying it fails, instead of leaving it out silently.
    """
    try:
        known = name.stat()
    except FileNotFoundError:
        return Entry(folder + name.name) if name.is_symlink() else None
    if stat.S_ISDIR(known.st_mode):
        return Entry(f"{folder}{name.name}/", modified_ns=known.st_mtime_ns)
    return Entry(folder + name.name, known.st_size, modified_ns=known.st_mtime_ns)


def etag_of(text: str | None) -> str:
    """An ETag without its quotes; '' for what is none (RFC 9110, section 8.8.3), and could be no header of a request."""
    found = (text or "").strip('"')
    return found if ETAG.fullmatch(found) else ""


class LocalStore:
    """The files below a folder `root`; keys are relative to it. Links are followed."""

    is_conditional = False

    def __init__(self, root: str | os.PathLike[str] = "/"):
        self.root = Path(root)

    def path(self, key: str) -> Path:
        return self.root / key if key else self.root

    def stat(self, key: str) -> Entry | None:
        path = self.path(key)
        if path.is_dir():
            return Entry(as_folder(key), modified_ns=path.stat().st_mtime_ns)
        if key.endswith("/") or not path.exists():
            return None
        found = path.stat()
        return Entry(key, found.st_size, modified_ns=found.st_mtime_ns)

    def scan(self, folder: str) -> Iterator[Entry]:
        folder = as_folder(folder)
        found: list[Entry] = []
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(
            self.path(folder)
        ) as names:
            found = [entry for entry in (child(folder, name) for name in names) if entry]
        yield from sorted(found)

    def walk(self, folder: str, above: tuple[str, ...] = ()) -> Iterator[Entry]:
        real = os.path.realpath(self.path(folder))
        if real in above:
            raise TransferError(f"{self.path(folder)} is a link to a folder that it is in")
        for entry in self.scan(folder):
            yield entry
            if entry.is_folder:
                yield from self.walk(entry.key, (*above, real))

    def read(self, key: str, start: int = 0, length: int | None = None, etag: str = "") -> bytes:
        with open(self.path(key), "rb") as file:
            file.seek(start)
            return file.read(-1 if length is None else length)

    def write(self, key: str, data: bytes) -> Entry:
        with self.replacing(key) as part:
            part.write_bytes(data)
        return self.entry(key)

    def write_if(self, key: str, data: bytes, was: Entry | None) -> Entry | None:
        if was is not None:
            return self.write(key, data) if self.stat(key) == was else None
        part = self.path(f"{key}.{uuid4().hex}{PART}")
        part.parent.mkdir(parents=True, exist_ok=True)
        try:
            part.write_bytes(data)
            os.link(part, self.path(key))  # which fails where there is a file
        except FileExistsError:
            return None
        finally:
            remove_file(part)
        return self.entry(key)

    def age_s(self, key: str) -> float | None:
        found = self.stat(key)
        return time.time() - found.modified_ns / 1e9 if found else None

    def copy(self, source: str, target: str) -> Entry:
        with self.replacing(target) as part:
            shutil.copyfile(self.path(source), part)
        return self.entry(target)

    def entry(self, key: str) -> Entry:
        found = self.stat(key)
        if found is None:
            raise FileNotFoundError(f"no such file: {self.path(key)}")
        return found

    @contextlib.contextmanager
    def replacing(self, key: str) -> Iterator[Path]:
        """A file beside `key` that takes its place when the block ends well, and is gone otherwise."""
        path = self.path(as_file(key))
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name[:100]}.{uuid4().hex}{PART}")
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        with renamed(part, path):
            yield part
            with contextlib.suppress(FileNotFoundError):
                part.chmod(stat.S_IMODE(path.stat().st_mode))

    def make_folder(self, folder: str) -> None:
        self.path(folder).mkdir(parents=True, exist_ok=True)

    def remove(self, key: str) -> None:
        path = self.path(key)
        if key.endswith("/"):
            with contextlib.suppress(OSError):  # on S3 the marker of a folder that is not empty is nothing
                path.rmdir()
        else:
            remove_file(path)

    def remove_all(self, keys: Sequence[str]) -> None:
        for key in keys:
            self.remove(key)

    def remove_folder(self, folder: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self.path(folder))
