"""`shift('os', 'mox')`: the standard library's file functions take URLs too, until `shift('mox', 'os')`.

A call whose paths are all local goes to the original function untouched.
"""

from __future__ import annotations

import builtins
import functools
import glob as glob_module
import os
import shutil
from collections.abc import Callable
from types import ModuleType

from mindlift.storage.moxing import changes, entries, patterns
from mindlift.storage.moxing.file_object import File
from mindlift.storage.url import PathLike, is_remote

ORIGINALS: dict[tuple[ModuleType, str], Callable[..., object]] = {}


def shift(old: str, new: str) -> None:
    """Once per program is enough; twice does no harm. Not for use beside threads that are opening files."""
    if (old, new) == ("os", "mox"):
        for (module, name), replacement in replacements().items():
            if (module, name) not in ORIGINALS:
                ORIGINALS[module, name] = getattr(module, name)
                setattr(module, name, either(getattr(module, name), replacement))
    elif (old, new) == ("mox", "os"):
        while ORIGINALS:
            (module, name), original = ORIGINALS.popitem()
            setattr(module, name, original)
    else:
        raise ValueError(f"shift({old!r}, {new!r}): expected ('os', 'mox') or ('mox', 'os')")


def either(original: Callable[..., object], replacement: Callable[..., object]) -> Callable[..., object]:
    @functools.wraps(original)
    def choose(*args: object, **kwargs: object) -> object:
        values = (*args[:2], *kwargs.values())
        is_url = any(isinstance(value, (str, os.PathLike)) and names_url(value) for value in values)
        return replacement(*args, **kwargs) if is_url else original(*args, **kwargs)

    return choose


def names_url(value: PathLike) -> bool:
    text = os.fspath(value)
    return isinstance(text, str) and is_remote(text)


def replacements() -> dict[tuple[ModuleType, str], Callable[..., object]]:
    def open_url(
        name: PathLike,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        *_: object,
        **__: object,
    ) -> File:
        return File(name, mode, encoding)

    def list_names(path: PathLike = ".") -> list[str]:
        return entries.list_directory(path)

    def remove_tree(path: PathLike, ignore_errors: bool = False, *_: object, **__: object) -> None:
        if entries.exists(path) or not ignore_errors:
            changes.remove(path, recursive=True)

    def copy_tree(src: PathLike, dst: PathLike, *_: object, **__: object) -> PathLike:
        changes.copy_parallel(src, dst)
        return dst

    def copy_one(src: PathLike, dst: PathLike, **_: object) -> PathLike:
        changes.copy(src, dst)
        return dst

    return {
        (builtins, "open"): open_url,
        (glob_module, "glob"): lambda pathname, **_: patterns.glob(pathname),
        (os, "listdir"): list_names,
        (os, "makedirs"): lambda name, mode=0o777, exist_ok=False: changes.make_dirs(name),
        (os, "mkdir"): lambda path, mode=0o777, **_: changes.mk_dir(path),
        (os, "remove"): lambda path, **_: changes.remove(path),
        (os, "rename"): lambda src, dst, **_: changes.rename(src, dst),
        (os, "scandir"): lambda path=".": entries.scan_dir(path),
        (os, "stat"): lambda path, **_: entries.stat(path),
        (os, "walk"): entries.walk,
        (os.path, "exists"): lambda path: entries.exists(path),
        (os.path, "getsize"): lambda filename: entries.get_size(filename),
        (os.path, "isdir"): lambda s: entries.is_directory(s),
        (shutil, "copyfile"): copy_one,
        (shutil, "copytree"): copy_tree,
        (shutil, "rmtree"): remove_tree,
    }
