"""The part of `moxing.file` that writes, copies and removes."""

from __future__ import annotations

import logging
import os
import stat as stat_module
from collections.abc import Sequence

from mindlift.storage.errors import MoxFileNotExistsException, MoxFileRespException
from mindlift.storage.moxing import file_io
from mindlift.storage.moxing.entries import found_at, get_size, is_directory
from mindlift.storage.moxing.file_object import File
from mindlift.storage.moxing.on_demand import THREADS, copy_file, copy_tree, locate
from mindlift.storage.overlap import relation
from mindlift.storage.store import LocalStore
from mindlift.storage.url import PathLike, as_folder, is_remote, join


def read(url: PathLike, client_id: object = None, binary: bool = False) -> str | bytes:
    """The whole file as str (UTF-8), or as bytes with `binary`."""
    store, key = locate(url)
    data = store.read(key)
    return data if binary else data.decode("utf-8")


def write(url: PathLike, data: str | bytes, binary: bool = False) -> None:
    """Create or replace a file, whole or not at all. A local folder must exist, as for open().

    What can't be replaced on a disk is written in place: a device, a pipe, a file of another user or with a second name.
    """
    store, key = locate(url)
    path = os.path.realpath(store.path(key)) if isinstance(store, LocalStore) else ""
    if isinstance(store, LocalStore) and is_replaceable(path):
        store.write(path.lstrip("/"), as_bytes(data))
        return
    with File(url, "wb") as file:
        file.write(as_bytes(data))


def is_replaceable(path: str) -> bool:
    """Whether a new file can take the place of `path` and nobody but its readers sees a difference."""
    if not os.access(os.path.dirname(path), os.W_OK | os.X_OK):
        return False
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return True
    is_plain = stat_module.S_ISREG(found.st_mode) and found.st_nlink == 1 and found.st_uid == os.geteuid()
    return is_plain and os.access(path, os.W_OK) and not os.path.ismount(path)


def append(url: PathLike, data: str | bytes, binary: bool = False) -> None:
    """Append to a file, which is created if it is missing.

    On a store the object is read and written back: slow for large ones, and of two that append at the
    same time one loses.
    """
    with File(url, "ab") as file:
        file.write(as_bytes(data))


def append_remote(src_url: PathLike, dst_url: PathLike, client_id: object = None) -> None:
    """Append the content of one file to another; like `append`, not atomic on a store."""
    append(dst_url, read(src_url, binary=True), binary=True)


def as_bytes(data: str | bytes) -> bytes:
    return data.encode("utf-8") if isinstance(data, str) else bytes(data)


def copy(src_url: PathLike, dst_url: PathLike, client_id: object = None) -> None:
    """Copy one file between any two places; local parents are made.

    A folder as source is a MoxFileRespException. A target that ends with '/', or is a local folder, gets
    the file under its own name.
    """
    copy_file(str(src_url), into(src_url, dst_url))


def into(src_url: PathLike, dst_url: PathLike) -> str:
    text = str(dst_url)
    is_folder = text.endswith("/") or (not is_remote(text) and is_directory(text))
    return join(text, str(src_url).rstrip("/").rpartition("/")[2]) if is_folder else text


def copy_parallel(
    src_url: PathLike,
    dst_url: PathLike,
    file_list: Sequence[str] | None = None,
    threads: int = THREADS,
    is_processing: bool = True,
    use_queue: bool = True,
) -> None:
    """Copy a folder with all that is below it, in any direction; a single file is copied under the name `dst_url`.

    `file_list`: only these, relative to `src_url`. `threads`: at the same time (0: one after the other).
    `is_processing` allows worker processes for crowds of small files. `use_queue` has no effect. Files that
    are there are replaced, others stay. A source that is missing or empty is a warning, and leaves an empty
    folder as a local target, for callers list it next. TransferError if anything was not copied.
    """
    store, key = locate(src_url)
    entry = store.stat(key)
    if entry is not None and not entry.is_folder and not file_list:
        copy_file(str(src_url), str(dst_url))
        return
    limit = file_io._NUMBER_OF_PROCESSES
    processes = is_processing and (limit if limit is not None else True)
    report = copy_tree(
        str(src_url), str(dst_url), file_list, max(threads, 1), processes if threads else False
    )
    if not report.expected:
        logging.getLogger("moxing").warning("No files to copy from %s to %s", src_url, dst_url)
        target, folder = locate(dst_url)
        if isinstance(target, LocalStore) and target.stat(folder) is None:
            target.make_folder(as_folder(folder))


def make_dirs(url: PathLike) -> None:
    """Make a folder and its parents; one that is there is fine. In a bucket: a marker object `key/`."""
    store, key = locate(url)
    store.make_folder(as_folder(key))


def mk_dir(url: PathLike) -> None:
    """Make a folder whose parent is there; OSError if it is not. One that is there is fine."""
    store, key = locate(url)
    parent = key.rstrip("/").rpartition("/")[0]
    if parent and store.stat(as_folder(parent)) is None:
        raise FileNotFoundError(f"{url}: its parent does not exist; make_dirs makes parents too")
    store.make_folder(as_folder(key))


def remove(url: PathLike, recursive: bool = False) -> None:
    """Remove a file, or with `recursive` a folder.

    A folder without `recursive`, and a name with a '/' at its end that is a file, stay without a word, as
    documented. What is missing is a MoxFileNotExistsException.
    """
    store, key = locate(url)
    entry = store.stat(key)
    if entry is None and key.endswith("/") and store.stat(key.rstrip("/")):
        return
    if entry is None:
        raise MoxFileNotExistsException(f"no such file or folder: {url}")
    if not entry.is_folder:
        store.remove(entry.key)
    elif recursive:
        store.remove_folder(entry.key)


def rename(src_url: PathLike, dst_url: PathLike) -> None:
    """Move a file or folder between any two places: copied, checked, and only then removed. Not atomic.

    Onto itself there is nothing to do; a folder can't be moved into itself (TransferError).
    """
    store, entry = found_at(src_url)
    if relation(src_url, dst_url) == "same":
        return
    if entry.is_folder:
        copy_tree(str(src_url), str(dst_url))
        make_dirs(dst_url)
        store.remove_folder(entry.key)
        return
    copy_file(str(src_url), str(dst_url))
    if get_size(dst_url) != entry.size:
        raise MoxFileRespException(None, f"{dst_url} has not the size of {src_url}, which stays")
    store.remove(entry.key)
