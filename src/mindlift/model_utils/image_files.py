"""Which files and folders are data: the one rule of training, evaluation, prediction and conversion, by names only.

Needs neither numpy nor mindspore.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".jp2")
JUNK = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini")  # what desktops leave in archives and folders
NO_DATA = (*JUNK, "lost+found", "@eaDir", "$RECYCLE.BIN", "System Volume Information")
HIDDEN = "hidden"
MOST_REASONS = 8  # named in a line


class Found(NamedTuple):
    """The images below a folder, sorted, and how many other files there are of each kind, such as `.txt`."""

    files: list[str]
    left_out: Counter[str]


def is_data(name: str) -> bool:
    """Whether a file or folder of this name can be data: not hidden (as AppleDouble's ._x.jpg is), no desktop's."""
    return not name.startswith(".") and name not in NO_DATA


def is_data_path(path: str) -> bool:
    """Whether no part of a path is hidden."""
    return all(is_data(name) for name in path.split("/") if name)


def is_image(path: str) -> bool:
    """Whether the last name of a path is an image's, and no folder of it is hidden."""
    return path.lower().endswith(SUFFIXES) and is_data_path(path)


def kind_of(name: str) -> str:
    """Why a file that is no image is left out, for a line that counts them."""
    if not is_data(name):
        return HIDDEN
    return os.path.splitext(name)[1].lower() or "without a suffix"


def find(folder: Path) -> Found:
    """All images below `folder`, also behind links; a link to a folder around itself is left out."""
    files: list[str] = []
    left_out: Counter[str] = Counter()
    _walk(str(folder), (os.path.realpath(folder),), files, left_out)
    return Found(sorted(files), left_out)


def named(root: str, names: Iterable[str]) -> Found:
    """The same of files whose names relative to `root` are known, with `/` between folders."""
    files: list[str] = []
    left_out: Counter[str] = Counter()
    for name in names:
        if is_image(name):
            files.append(f"{root}/{name}")
        else:
            left_out[kind_of(name.rpartition("/")[2])] += 1
    return Found(sorted(files), left_out)


def _walk(folder: str, around: tuple, files: list[str], left_out: Counter[str]) -> None:
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            # most are plain images: known by name and kind, for which nothing is asked of the disk
            if name.lower().endswith(SUFFIXES) and is_data(name) and entry.is_file(follow_symlinks=False):
                files.append(entry.path)
            elif entry.is_dir():
                real = os.path.realpath(entry.path) if entry.is_symlink() else ""
                if not is_data(name):
                    left_out["hidden folder(s)"] += 1
                elif real and any(each == real or each.startswith(real + os.sep) for each in around):
                    left_out["link(s) in a circle"] += 1
                else:
                    _walk(entry.path, (*around, real or os.path.realpath(entry.path)), files, left_out)
            elif entry.is_symlink() and not os.path.exists(entry.path):
                left_out["broken link(s)"] += 1
            elif is_image(name):
                files.append(entry.path)
            else:
                left_out[kind_of(name)] += 1


def line(folder: object, left_out: Counter[str], empty: Iterable[str] = ()) -> str:
    """What was left out below `folder`, in one line; '' for nothing. `empty` are folders without any image."""
    kinds = sorted(left_out.items(), key=lambda kind: (-kind[1], kind[0]))
    reasons = [f"{count:,} {kind}" for kind, count in kinds[:MOST_REASONS]]
    more = sum(count for _, count in kinds[MOST_REASONS:])
    reasons += [f"{more:,} other(s)"] if more else []
    names = list(empty)
    reasons += [f"class folders without images: {', '.join(names[:MOST_REASONS])}"] if names else []
    if not reasons:
        return ""
    return f"left out of {folder}: {', '.join(reasons)} (images are {', '.join(SUFFIXES)})"
