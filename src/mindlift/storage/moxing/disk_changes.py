"""What open, os and shutil do with a URL under `shift`: as on a disk, but that a file's folders need not be there."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from mindlift.storage.errors import MoxFileNotExistsException
from mindlift.storage.moxing import changes
from mindlift.storage.moxing.disk_looks import failed, kind, look
from mindlift.storage.moxing.entries import keys_below
from mindlift.storage.moxing.file_object import File
from mindlift.storage.moxing.on_demand import copy_chosen, copy_file, locate
from mindlift.storage.overlap import relation
from mindlift.storage.store import Store
from mindlift.storage.url import PathLike, as_folder

COPIES = ("copy", "copy2", "copyfile")  # of shutil; none of them keeps more of a URL than its bytes

if TYPE_CHECKING:
    Ignore = Callable[[str, list[str]], Iterable[str]]


def open_url(
    file: PathLike,
    mode: str = "r",
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    closefd: bool = True,
    opener: object = None,
) -> File:
    """Of `x`, one of several that create a file at the same time does, where the store knows conditional writes."""
    text = {"encoding": encoding, "errors": errors, "newline": newline}
    if "b" in mode:
        for name, value in text.items():
            if value is not None:
                raise ValueError(f"binary mode doesn't take an {name} argument")
        text = {}
    elif buffering == 0:
        raise ValueError("can't have unbuffered text I/O")
    if "x" in mode:
        create(file)
        mode = mode.replace("x", "w")
    try:
        if "r" not in mode and (os.fspath(file).endswith("/") or kind(f"{os.fspath(file)}/")):
            raise failed(errno.EISDIR, file)
        return File(file, mode, **text)
    except MoxFileNotExistsException as err:
        raise failed(errno.EISDIR if look(file).is_folder else errno.ENOENT, file) from err


def create(file: PathLike) -> None:
    store, key = locate(file)
    if kind(file) or store.write_if(key, b"", None) is None:
        raise failed(errno.EEXIST, file)


def touch(self: PathLike, mode: int = 0o666, exist_ok: bool = True) -> None:
    """Of Path: the time of what is there stays."""
    if not kind(self):
        changes.write(self, b"")
    elif not exist_ok:
        raise failed(errno.EEXIST, self)


def above(store: Store, key: str) -> Iterable[str]:
    """The folders that `key` is in, the nearest first, as far as they may be missing."""
    parts = key.rstrip("/").split("/")[:-1]
    return ["/".join(parts[:count]) for count in range(len(parts), 0, -1)]


def make_dir(path: PathLike, mode: int = 0o777, **_: object) -> None:
    if kind(path):
        raise failed(errno.EEXIST, path)
    store, key = locate(path)
    for parent in above(store, key):
        entry = store.stat(parent)
        if entry is None or not entry.is_folder:
            raise failed(errno.ENOTDIR if entry else errno.ENOENT, path)
        break
    store.make_folder(as_folder(key))


def make_dirs(name: PathLike, mode: int = 0o777, exist_ok: bool = False) -> None:
    found = kind(name)
    if found == "folder" and exist_ok:
        return
    if found:
        raise failed(errno.EEXIST, name)
    store, key = locate(name)
    for parent in above(store, key):
        entry = store.stat(parent)
        if entry and not entry.is_folder:
            raise failed(errno.ENOTDIR, name)
        if entry:
            break
    store.make_folder(as_folder(key))


def remove(path: PathLike, **_: object) -> None:
    if look(path).is_folder:
        raise failed(errno.EISDIR, path)
    store, key = locate(path)
    store.remove(key)


def remove_dir(path: PathLike, **_: object) -> None:
    if not look(path).is_folder:
        raise failed(errno.ENOTDIR, path)
    store, key = locate(path)
    if not key:
        raise failed(errno.EBUSY, path)
    if not is_empty(path):
        raise failed(errno.ENOTEMPTY, path)
    store.remove(as_folder(key))


def is_empty(path: PathLike) -> bool:
    store, key = locate(path)
    return next(store.scan(as_folder(key)), None) is None


def rename(src: PathLike, dst: PathLike, **_: object) -> None:
    is_folder, found, way = look(src).is_folder, kind(dst), relation(src, dst)
    if way == "same":
        return
    if is_folder and way == "inside":
        raise failed(errno.EINVAL, src)
    if is_folder and found == "file":
        raise failed(errno.ENOTDIR, src)
    if is_folder and found and not is_empty(dst):
        raise failed(errno.ENOTEMPTY, src)
    if not is_folder and found == "folder":
        raise failed(errno.EISDIR, src)
    changes.rename(src, dst)


def copy_one(src: PathLike, dst: PathLike, *, follow_symlinks: bool = True) -> PathLike:
    if look(src).is_folder:
        raise failed(errno.EISDIR, src)
    if relation(src, dst) == "same":
        raise shutil.SameFileError(f"{src!r} and {dst!r} are the same file")
    if os.fspath(dst).endswith("/") or kind(dst) == "folder":
        raise failed(errno.EISDIR, dst)
    copy_file(os.fspath(src), os.fspath(dst))
    return dst


def copy_into(src: PathLike, dst: PathLike, *, follow_symlinks: bool = True) -> PathLike:
    is_folder = kind(dst) == "folder"
    return copy_one(src, os.path.join(dst, os.path.basename(os.fspath(src))) if is_folder else dst)


def copy_tree(
    src: PathLike,
    dst: PathLike,
    symlinks: bool = False,
    ignore: Ignore | None = None,
    copy_function: Callable[[str, str], object] = shutil.copy2,
    ignore_dangling_symlinks: bool = False,
    dirs_exist_ok: bool = False,
) -> PathLike:
    """By many threads, unless `copy_function` is one of the caller's own."""
    if not look(src).is_folder:
        raise failed(errno.ENOTDIR, src)
    make_dirs(dst, exist_ok=dirs_exist_ok)
    source, target = os.fspath(src), os.fspath(dst)
    chosen = chosen_below(source, ignore)
    files = {name for name in chosen if not name.endswith("/")}
    for folder in chosen - files:
        if not any(name.startswith(folder) and name != folder for name in chosen):
            changes.make_dirs(os.path.join(target, folder))
    if getattr(copy_function, "__name__", "") in COPIES:
        copy_chosen(source, target, files.__contains__)
        return dst
    for name in sorted(files):
        changes.make_dirs(os.path.dirname(os.path.join(target, name)))
        copy_function(os.path.join(source, name), os.path.join(target, name))
    return dst


def chosen_below(source: str, ignore: Ignore | None) -> set[str]:
    """The names below a folder, folders with '/' at their end, without those that `ignore` takes out."""
    store, key = locate(source)
    folder = as_folder(key)
    names = {each[len(folder) :] for each in keys_below(store, folder)}
    if ignore is None:
        return names
    inside: dict[str, list[str]] = {"": []}
    for name in sorted(names):
        head, _, tail = name.rstrip("/").rpartition("/")
        inside.setdefault(f"{head}/" if head else "", []).append(tail)
    chosen: set[str] = set()
    left = [""]
    while left:
        above = left.pop()
        here = inside.get(above, [])
        ignored = set(ignore(os.path.join(source, above.rstrip("/")) if above else source, list(here)))
        for tail in set(here) - ignored:
            if f"{above}{tail}/" in names:
                chosen.add(f"{above}{tail}/")
                left.append(f"{above}{tail}/")
            if f"{above}{tail}" in names:
                chosen.add(f"{above}{tail}")
    return chosen


def move(src: PathLike, dst: PathLike, copy_function: object = None) -> PathLike:
    is_folder, target = look(src).is_folder, dst
    if kind(dst) == "folder" and relation(src, dst) != "same":
        target = os.path.join(dst, os.path.basename(os.fspath(src).rstrip("/")))
        if kind(target):
            raise shutil.Error(f"Destination path '{target}' already exists")
    if is_folder and relation(src, target) == "inside":
        raise shutil.Error(f"Cannot move a directory '{src}' into itself '{dst}'.")
    if is_folder and kind(target) == "file":
        raise failed(errno.EEXIST, target)
    rename(src, target)
    return target


def remove_tree(
    path: PathLike,
    ignore_errors: bool = False,
    onerror: Callable[..., object] | None = None,
    *,
    onexc: Callable[..., object] | None = None,
    **_: Any,
) -> None:
    try:
        if not look(path).is_folder:
            raise failed(errno.ENOTDIR, path)
        store, key = locate(path)
        store.remove_folder(as_folder(key))
    except OSError as err:
        if ignore_errors:
            return
        if onexc is not None:
            onexc(remove_tree, path, err)
        elif onerror is not None:
            onerror(remove_tree, path, (type(err), err, err.__traceback__))
        else:
            raise
