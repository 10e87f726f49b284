"""What is at a URL or a path: the part of `moxing.file` that only looks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mindlift.storage.errors import MoxFileNotExistsException
from mindlift.storage.moxing import on_demand
from mindlift.storage.moxing.on_demand import locate
from mindlift.storage.store import Entry, LocalStore, Store
from mindlift.storage.url import PathLike, as_folder, join


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

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        return self._entry.is_folder

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        return not self._entry.is_folder

    def is_symlink(self) -> bool:
        return False

    def __fspath__(self) -> str:
        return self.path

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


def exists(url: PathLike, client_id: object = None) -> bool:
    """Whether a file or a folder is there; a folder of a bucket is there if anything is below it."""
    return on_demand.exists(url)


def is_directory(url: PathLike, client_id: object = None) -> bool:
    store, key = locate(url)
    entry = store.stat(as_folder(key)) if key else store.stat(key)
    return entry is not None and entry.is_folder


def stat(url: PathLike, client_id: object = None) -> Stat:
    """Length in bytes, modification in ns since 1970. MoxFileNotExistsException if nothing is there."""
    return stat_of(found_at(url)[1])


def get_size(url: PathLike, recursive: bool = False, client_id: object = None) -> int:
    """Bytes of a file, or of all files of a folder; a bucket's folder counts as 0 without `recursive`."""
    store, entry = found_at(url)
    if not entry.is_folder:
        return entry.size
    if not recursive and not isinstance(store, LocalStore):
        return 0
    return sum(each.size for each in store.walk(entry.key))


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
    url: PathLike, topdown: bool = True, onerror: object = None, followlinks: bool = False
) -> Iterator[tuple[str, list[str], list[str]]]:
    """Like os.walk: (folder, its folders, its files); folders are whole URLs. Nothing for a folder that is missing.

    `onerror` has no effect.
    """
    store, key = locate(url)
    entries = list(store.scan(key))
    if not entries and store.stat(as_folder(key)) is None:
        return
    folders = [name_of(entry) for entry in entries if entry.is_folder]
    top = (str(url).rstrip("/") or "/", folders, [name_of(entry) for entry in entries if not entry.is_folder])
    if topdown:
        yield top
    for name in folders:
        yield from walk(join(url, name), topdown)
    if not topdown:
        yield top
