"""What os, os.path and glob say of a URL under `shift`: the results and errors of a disk.

What is missing is said as there. A store that can't be reached, or that refuses, is never taken for an answer: its
error passes through every one of these functions, also those that swallow a disk's.
"""

from __future__ import annotations

import errno
import os
import stat as stats
import zlib
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

from mindlift.storage.errors import MoxFileNotExistsException, MoxFileRespException
from mindlift.storage.moxing import patterns
from mindlift.storage.moxing.entries import DirEntry, name_of
from mindlift.storage.moxing.on_demand import locate
from mindlift.storage.overlap import whereabouts
from mindlift.storage.store import Entry
from mindlift.storage.url import PathLike, as_folder

MISSING = (FileNotFoundError, NotADirectoryError)


def failed(number: int, url: PathLike) -> OSError:
    """The error that the system gives under this number."""
    kind = MoxFileNotExistsException if number == errno.ENOENT else OSError
    return kind(number, os.strerror(number), os.fspath(url))


def look(url: PathLike) -> Entry:
    """What is at a URL; FileNotFoundError, or NotADirectoryError for a file with '/' behind its name."""
    store, key = locate(url)
    try:
        entry = store.stat(key)
        is_file = entry is None and key.endswith("/") and store.stat(key.rstrip("/")) is not None
    except MoxFileRespException as err:
        if err.resp is None or err.resp.errorCode != "NoSuchBucket":
            raise
        raise failed(errno.ENOENT, url) from err
    if entry is None:
        raise failed(errno.ENOTDIR if is_file else errno.ENOENT, url)
    return entry


def kind(url: PathLike) -> str:
    """file, folder, or '' for nothing."""
    try:
        return "folder" if look(url).is_folder else "file"
    except MISSING:
        return ""


def exists(path: PathLike) -> bool:
    return kind(path) != ""


def is_file(path: PathLike) -> bool:
    return kind(path) == "file"


def is_dir(s: PathLike) -> bool:
    return kind(s) == "folder"


def access(path: PathLike, mode: int, **_: object) -> bool:
    return exists(path)


def is_link(path: PathLike) -> bool:
    return False


def itself(path: PathLike, *_: object, **__: object) -> str:
    """The absolute path of a URL."""
    return os.fspath(path)


def same_path(self: Path, strict: bool = False) -> Path:
    """Of Path: what absolute and resolve give."""
    return self


def get_size(filename: PathLike) -> int:
    return look(filename).size


def get_mtime(filename: PathLike) -> float:
    return look(filename).modified_ns / 1e9


def stat(path: PathLike, **_: object) -> os.stat_result:
    return result(look(path), path)


def result(entry: Entry, path: PathLike) -> os.stat_result:
    mode = stats.S_IFDIR | 0o755 if entry.is_folder else stats.S_IFREG | 0o644
    number = zlib.crc32(whereabouts(path).encode("utf-8", "surrogateescape"))  # equal for one place alone
    seconds, at_ns = entry.modified_ns / 1e9, entry.modified_ns
    whole = (mode, number, 0, 1, os.getuid(), os.getgid(), entry.size, *[int(seconds)] * 3)
    exact = {}
    for name in ("atime", "mtime", "ctime"):
        exact.update({f"st_{name}": seconds, f"st_{name}_ns": at_ns})
    return os.stat_result(whole, exact)


class DiskEntry(DirEntry):
    """An os.DirEntry."""

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:  # type: ignore[override]
        return result(self._entry, self.path)

    def inode(self) -> int:
        return self.stat().st_ino


class ScanDir:
    """What os.scandir gives: an iterator, and a context manager."""

    def __init__(self, path: PathLike = "."):
        store, key = locate(path)
        found = store.scan(as_folder(key))
        first = next(found, None)
        if first is None and not look(path).is_folder:
            raise failed(errno.ENOTDIR, path)
        text = os.fspath(path)
        entries = found if first is None else chain([first], found)
        self.entries = (DiskEntry(os.path.join(text, name_of(entry)), entry) for entry in entries)

    def __iter__(self) -> Iterator[DiskEntry]:
        return self.entries

    def __next__(self) -> DiskEntry:
        return next(self.entries)

    def __enter__(self) -> ScanDir:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.entries.close()


def list_dir(path: PathLike = ".") -> list[str]:
    return [entry.name for entry in ScanDir(path)]


def walk(
    top: PathLike,
    topdown: bool = True,
    onerror: Callable[[OSError], object] | None = None,
    followlinks: bool = False,
) -> Iterator[tuple[str, list[str], list[str]]]:
    """Folders that the caller takes out of the list are not entered."""
    text = os.fspath(top)
    try:
        found = list(ScanDir(text))
    except MISSING as err:
        if onerror is not None:
            onerror(err)
        return
    folders = [entry.name for entry in found if entry.is_dir()]
    step = (text, folders, [entry.name for entry in found if entry.is_file()])
    if topdown:
        yield step
    for name in folders:
        yield from walk(os.path.join(text, name), topdown, onerror)
    if not topdown:
        yield step


def iglob(
    pathname: PathLike,
    *,
    root_dir: PathLike | None = None,
    dir_fd: int | None = None,
    recursive: bool = False,
    include_hidden: bool = False,
) -> Iterator[str]:
    root = "" if root_dir is None or whereabouts(pathname).startswith("obs://") else os.fspath(root_dir)
    before = os.path.join(root, "") if root else ""
    for found in patterns.matches(before + os.fspath(pathname), recursive, include_hidden):
        if found != before:
            yield found[len(before) :]


def glob(
    pathname: PathLike,
    *,
    root_dir: PathLike | None = None,
    dir_fd: int | None = None,
    recursive: bool = False,
    include_hidden: bool = False,
) -> list[str]:
    return list(iglob(pathname, root_dir=root_dir, recursive=recursive, include_hidden=include_hidden))
