"""`shift('os', 'mox')`: the standard library's file functions take URLs too, until `shift('mox', 'os')`.

A call whose paths are all local goes to the original function untouched.
"""

from __future__ import annotations

import builtins
import functools
import glob as glob_module
import inspect
import io
import os
import pathlib
import shutil
from collections.abc import Callable
from types import ModuleType

from mindlift.storage.moxing import disk_changes, disk_looks
from mindlift.storage.url import PathLike, is_remote

KEPT_FROM = (io, os, os.path)
ORIGINALS: dict[tuple[ModuleType | type, str], object] = {}


def shift(old: str, new: str) -> None:
    """Once per program is enough; twice does no harm. Not for use beside threads that are opening files."""
    if (old, new) == ("os", "mox"):
        if not ORIGINALS:
            for (holder, name), replacement in replacements().items():
                ORIGINALS[holder, name] = vars(holder)[name]
                chosen = either(getattr(holder, name), replacement)
                is_method = isinstance(holder, type) and holder is not pathlib.Path
                setattr(holder, name, staticmethod(chosen) if is_method else chosen)
    elif (old, new) == ("mox", "os"):
        while ORIGINALS:
            (holder, name), original = ORIGINALS.popitem()
            setattr(holder, name, original)
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


def replacements() -> dict[tuple[ModuleType | type, str], Callable[..., object]]:
    found: dict[tuple[ModuleType | type, str], Callable[..., object]] = {
        (builtins, "open"): disk_changes.open_url,
        (io, "open"): disk_changes.open_url,
        (glob_module, "glob"): disk_looks.glob,
        (glob_module, "iglob"): disk_looks.iglob,
        (os, "access"): disk_looks.access,
        (os, "listdir"): disk_looks.list_dir,
        (os, "lstat"): disk_looks.stat,
        (os, "makedirs"): disk_changes.make_dirs,
        (os, "mkdir"): disk_changes.make_dir,
        (os, "remove"): disk_changes.remove,
        (os, "rename"): disk_changes.rename,
        (os, "replace"): disk_changes.rename,
        (os, "rmdir"): disk_changes.remove_dir,
        (os, "scandir"): disk_looks.ScanDir,
        (os, "stat"): disk_looks.stat,
        (os, "unlink"): disk_changes.remove,
        (os, "walk"): disk_looks.walk,
        (os.path, "abspath"): disk_looks.itself,
        (os.path, "exists"): disk_looks.exists,
        (os.path, "getatime"): disk_looks.get_mtime,
        (os.path, "getctime"): disk_looks.get_mtime,
        (os.path, "getmtime"): disk_looks.get_mtime,
        (os.path, "getsize"): disk_looks.get_size,
        (os.path, "isabs"): lambda s: True,
        (os.path, "isdir"): disk_looks.is_dir,
        (os.path, "isfile"): disk_looks.is_file,
        (os.path, "islink"): disk_looks.is_link,
        (os.path, "lexists"): disk_looks.exists,
        (os.path, "realpath"): disk_looks.itself,
        (pathlib.Path, "absolute"): disk_looks.same_path,
        (pathlib.Path, "resolve"): disk_looks.same_path,
        (pathlib.Path, "touch"): disk_changes.touch,
        (shutil, "copy"): disk_changes.copy_into,
        (shutil, "copy2"): disk_changes.copy_into,
        (shutil, "copyfile"): disk_changes.copy_one,
        (shutil, "copytree"): disk_changes.copy_tree,
        (shutil, "move"): disk_changes.move,
        (shutil, "rmtree"): disk_changes.remove_tree,
    }
    kept = getattr(pathlib, "_NormalAccessor", None)  # until Python 3.10 pathlib keeps functions of its own
    if kept is not None:
        known = {getattr(holder, name): new for (holder, name), new in found.items() if holder in KEPT_FROM}
        found.update({(kept, name): known[old] for name, old in kept_by(kept) if old in known})
    return found


def kept_by(holder: type) -> list[tuple[str, Callable[..., object]]]:
    return [
        (name, getattr(holder, name)) for name in vars(holder) if inspect.isroutine(getattr(holder, name))
    ]
