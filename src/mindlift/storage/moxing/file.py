"""`moxing.file` for local paths and for buckets: every function takes both.

Signatures and corner cases follow Huawei's documents of MoXing's file API. Where those are silent, the
docstring says what happens here. Importing this module loads no network library.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mindlift.storage.errors import (
    MoxFileNameDuplicateException,
    MoxFileNotExistsException,
    MoxFileReadException,
    MoxFileRespException,
)
from mindlift.storage.moxing.background import BackgroundCopy, background_sync_copy
from mindlift.storage.moxing.file_object import File
from mindlift.storage.moxing.shift import shift
from mindlift.storage.store import Entry, LocalStore, Store
from mindlift.storage.url import PathLike, as_folder, is_remote, join

__all__ = [
    "BackgroundCopy",
    "DirEntry",
    "File",
    "MoxFileNameDuplicateException",
    "MoxFileNotExistsException",
    "MoxFileReadException",
    "MoxFileRespException",
    "Stat",
    "append",
    "append_remote",
    "background_sync_copy",
    "copy",
    "copy_parallel",
    "exists",
    "get_size",
    "glob",
    "is_directory",
    "list_directory",
    "make_dirs",
    "mk_dir",
    "read",
    "remove",
    "rename",
    "scan_dir",
    "set_auth",
    "shift",
    "stat",
    "walk",
    "write",
]
MAGIC = re.compile(r"[*?\[]")
THREADS = 16


def locate(url: PathLike) -> tuple[Store, str]:
    from mindlift.storage import places

    return places.locate(url)


@dataclass(frozen=True)
class Stat:
    """What `stat` returns. The `st_` names are those of os.stat, for code that runs under `shift`."""

    length: int
    mtime_nsec: int
    is_directory: bool

    @property
    def st_size(self) -> int:
        return self.length

    @property
    def st_mtime_ns(self) -> int:
        return self.mtime_nsec

    @property
    def st_mtime(self) -> float:
        return self.mtime_nsec / 1e9


class DirEntry:
    """What `scan_dir` yields, with the usual methods of os.DirEntry."""

    def __init__(self, path: str, entry: Entry):
        self.path, self._entry = path, entry
        self.name = name_of(entry)

    def __repr__(self) -> str:
        return f"<DirEntry {self.name!r}>"

    def is_dir(self) -> bool:
        return self._entry.is_folder

    def is_file(self) -> bool:
        return not self._entry.is_folder

    def stat(self) -> Stat:
        return stat_of(self._entry)


def stat_of(entry: Entry) -> Stat:
    return Stat(entry.size, entry.modified_ns, entry.is_folder)


def name_of(entry: Entry) -> str:
    return entry.key.rstrip("/").rpartition("/")[2]


def found_at(url: PathLike) -> tuple[Store, Entry]:
    store, key = locate(url)
    entry = store.stat(key)
    if entry is None:
        raise MoxFileNotExistsException(f"no such file or folder: {url}")
    return store, entry


def exists(url: PathLike, client_id: Any = None) -> bool:
    """Whether a file or a folder is there; a folder of a bucket is there if anything is below it."""
    store, key = locate(url)
    return store.stat(key) is not None


def is_directory(url: PathLike, client_id: Any = None) -> bool:
    store, key = locate(url)
    entry = store.stat(as_folder(key)) if key else store.stat(key)
    return entry is not None and entry.is_folder


def stat(url: PathLike, client_id: Any = None) -> Stat:
    """Length in bytes, modification in ns since 1970. MoxFileNotExistsException if nothing is there."""
    return stat_of(found_at(url)[1])


def get_size(url: PathLike, recursive: bool = False, client_id: Any = None) -> int:
    """Bytes of a file, or of all files of a folder; a bucket's folder counts as 0 without `recursive`."""
    store, entry = found_at(url)
    if not entry.is_folder:
        return entry.size
    if not recursive and not isinstance(store, LocalStore):
        return 0
    return sum(each.size for each in store.walk(entry.key))


def read(url: PathLike, client_id: Any = None, binary: bool = False) -> Any:
    """The whole file as str (UTF-8), or as bytes with `binary`."""
    store, key = locate(url)
    data = store.read(key)
    return data if binary else data.decode("utf-8")


def write(url: PathLike, data: str | bytes, binary: bool = False) -> None:
    """Create or replace a file, whole or not at all. A local folder must exist, as for open()."""
    with File(url, "wb") as file:
        file.write(as_bytes(data))


def append(url: PathLike, data: str | bytes, binary: bool = False) -> None:
    """Append to a file, which is created if it is missing.

    On a store the object is read and written back: slow for large ones, and of two that append at the
    same time one loses.
    """
    with File(url, "ab") as file:
        file.write(as_bytes(data))


def append_remote(src_url: PathLike, dst_url: PathLike, client_id: Any = None) -> None:
    """Append the content of one file to another; like `append`, not atomic on a store."""
    append(dst_url, read(src_url, binary=True), binary=True)


def as_bytes(data: str | bytes) -> bytes:
    return data.encode("utf-8") if isinstance(data, str) else bytes(data)


def copy(src_url: PathLike, dst_url: PathLike, client_id: Any = None) -> None:
    """Copy one file between any two places; local parents are made.

    A folder as source is a MoxFileRespException. A target that ends with '/', or is a local folder, gets
    the file under its own name.
    """
    from mindlift.storage.copying import copy as transfer

    transfer.copy_file(str(src_url), into(src_url, dst_url))


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
    from mindlift.storage.copying import copy as transfer
    from mindlift.storage.moxing import file_io

    store, key = locate(src_url)
    entry = store.stat(key)
    if entry is not None and not entry.is_folder and not file_list:
        transfer.copy_file(str(src_url), str(dst_url))
        return
    limit = file_io._NUMBER_OF_PROCESSES
    processes = is_processing and (limit if limit is not None else True)
    report = transfer.copy_tree(
        str(src_url), str(dst_url), file_list, max(threads, 1), processes if threads else False
    )
    if not report.expected:
        logging.getLogger("moxing").warning("No files to copy from %s to %s", src_url, dst_url)
        target, folder = locate(dst_url)
        if isinstance(target, LocalStore) and target.stat(folder) is None:
            target.make_folder(as_folder(folder))


def list_directory(
    url: PathLike,
    recursive: bool = False,
    remove_sep: bool = True,
    skip_file: bool = False,
    skip_dir: bool = False,
    recurisive: bool = False,
    only_base: bool = True,
) -> list[str]:
    """Names relative to `url`; with `recursive` those of folders too, at any depth.

    `remove_sep=False` leaves the '/' at the end of folders. `only_base=False` gives whole URLs. A local
    file is a NotADirectoryError, a place where nothing is a MoxFileNotExistsException.
    """
    store, entry = found_at(url)
    if not entry.is_folder:
        raise NotADirectoryError(f"{url} is a file, not a folder")
    keys = (
        keys_below(store, entry.key)
        if recursive or recurisive
        else [each.key for each in store.scan(entry.key)]
    )
    chosen = [key for key in keys if not (skip_dir if key.endswith("/") else skip_file)]
    names = [key[len(entry.key) :] for key in chosen]
    names = [name.rstrip("/") if remove_sep else name for name in names]
    return names if only_base else [join(url, name) for name in names]


def keys_below(store: Store, folder: str) -> list[str]:
    """Keys of all files and folders below `folder`, also of folders that have no marker of their own."""
    keys: dict[str, None] = {}
    for entry in store.walk(folder):
        parts = entry.key[len(folder) :].rstrip("/").split("/")
        keys.update((folder + "/".join(parts[:count]) + "/", None) for count in range(1, len(parts)))
        keys[entry.key] = None
    return sorted(keys)


def scan_dir(url: PathLike) -> Iterator[DirEntry]:
    """The direct children of a folder."""
    store, entry = found_at(url)
    for each in store.scan(entry.key):
        yield DirEntry(join(url, name_of(each)), each)


def walk(
    url: PathLike, topdown: bool = True, onerror: Any = None, followlinks: bool = False
) -> Iterator[tuple[str, list[str], list[str]]]:
    """Like os.walk: (folder, its folders, its files); folders are whole URLs. `onerror` has no effect."""
    store, key = locate(url)
    entries = list(store.scan(key))
    folders = [name_of(entry) for entry in entries if entry.is_folder]
    top = (str(url).rstrip("/") or "/", folders, [name_of(entry) for entry in entries if not entry.is_folder])
    if topdown:
        yield top
    for name in folders:
        yield from walk(join(url, name), topdown)
    if not topdown:
        yield top


def glob(url: PathLike) -> list[str]:
    """Whole URLs or paths that match; `*` and `?` stop at '/', `**` does not, and hidden names need a dot."""
    text = str(url)
    match = MAGIC.search(text)
    if match is None:
        return [text] if exists(text) else []
    base = text[: text.rfind("/", 0, match.start()) + 1]
    pattern = glob_pattern(text[len(base) :].rstrip("/"))
    store, key = locate(base or ".")
    folder = as_folder(key)
    if "**" not in text and "/" not in text[len(base) :].rstrip("/"):
        keys = [entry.key for entry in store.scan(folder)]
    else:
        keys = keys_below(store, folder)
    names = (each[len(folder) :].rstrip("/") for each in keys)
    return [base + name for name in names if pattern.fullmatch(name)]


def glob_pattern(text: str) -> re.Pattern[str]:
    """The regular expression of a relative pattern."""
    parts = text.split("/")
    whole = ""
    for part in parts[:-1]:
        whole += r"(?:(?!\.)[^/]+/)*" if part == "**" else part_pattern(part) + "/"
    last = r"(?:(?!\.)[^/]+/)*(?!\.)[^/]+" if parts[-1] == "**" else part_pattern(parts[-1])
    return re.compile(whole + last)


def part_pattern(part: str) -> str:
    """One part between slashes: `*`, `?`, `[abc]`, `[!abc]`; like the shell, `*` sees no hidden names."""
    pattern = "" if part.startswith(".") else r"(?!\.)"
    for piece in re.findall(r"\[!?\]?[^]]*\]|.", part):
        if len(piece) > 1:
            inner = piece[1:-1].replace("\\", r"\\")
            pattern += f"[{'^' + inner[1:] if inner.startswith('!') else inner}]"
        else:
            pattern += {"*": "[^/]*", "?": "[^/]"}.get(piece, re.escape(piece))
    return pattern


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
    """Move a file or folder between any two places: copied, checked, and only then removed. Not atomic."""
    from mindlift.storage.copying import copy as transfer

    store, entry = found_at(src_url)
    if entry.is_folder:
        transfer.copy_tree(str(src_url), str(dst_url))
        make_dirs(dst_url)
        store.remove_folder(entry.key)
        return
    transfer.copy_file(str(src_url), str(dst_url))
    if get_size(dst_url) != entry.size:
        raise MoxFileRespException(None, f"{dst_url} has not the size of {src_url}, which stays")
    store.remove(entry.key)


def set_auth(
    ak: str | None = None,
    sk: str | None = None,
    server: str | None = None,
    port: int | None = None,
    is_secure: bool | None = None,
    ssl_verify: bool | None = None,
    long_conn_mode: bool | None = None,
    path_style: bool | None = None,
    retry: int | None = None,
    retry_wait: float | None = None,
    client_timeout: float | None = None,
    list_max_keys: int | None = None,
    security_token: str | None = None,
    timeout_config: Any = None,
    obs_client_log: Any = None,
    negotiation: Any = None,
    **others: Any,
) -> None:
    """How later calls reach the store; settings.py says what each keyword overrides.

    `timeout_config`, `obs_client_log` and `negotiation` have no effect; unknown keywords are a warning.
    """
    from mindlift.storage import places

    if others:
        warnings.warn(f"set_auth: unknown keywords {', '.join(sorted(others))} have no effect", stacklevel=2)
    places.set_auth(
        ak=ak,
        sk=sk,
        server=server,
        port=port,
        is_secure=is_secure,
        ssl_verify=ssl_verify,
        long_conn_mode=long_conn_mode,
        path_style=path_style,
        retry=retry,
        retry_wait=retry_wait,
        client_timeout=client_timeout,
        list_max_keys=list_max_keys,
        security_token=security_token,
    )
