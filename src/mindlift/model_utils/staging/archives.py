"""Folders that hold a data set as archives: which of them are unpacked, and what comes out of several."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from mindlift.errors import DataError, StorageError
from mindlift.files import remove_file
from mindlift.model_utils import image_files
from mindlift.model_utils.staging import members, unpack

NOT_UNPACKED = (".7z", ".rar", ".zst", ".tzst", ".lz4", ".zipx", ".z01", ".001")
MOST_NAMES = 5  # in a message
WORDS = (
    "",
    ".txt",
    ".md",
    ".rst",
    ".pdf",
    ".html",
    ".json",
    ".csv",
    ".md5",
    ".sha1",
    ".sha256",
)  # beside archives


class Inside(NamedTuple):
    """Names of the archives to unpack, and of the other files, as READMEs and lists."""

    archives: list[str]
    others: list[str]


def inside(folder: Path, known_as: str = "") -> Inside:
    """The archives of a folder that holds nothing else but words; none if other data is beside them.

    DataError that names archives of kinds that are not unpacked, and the folder as users know it.
    """
    with os.scandir(folder) as entries:
        found = sorted((each.name, each.is_dir()) for each in entries if image_files.is_data(each.name))
    return chosen(found, known_as or folder)


def is_beside(name: str) -> bool:
    """Whether it is a file that can be in a folder of archives: one itself, or words."""
    return (
        members.is_archive(name) or name.lower().endswith(NOT_UNPACKED) or Path(name).suffix.lower() in WORDS
    )


def chosen(found: Sequence[tuple[str, bool]], place: object) -> Inside:
    """`inside` of names, sorted, and whether they are folders."""
    names = [name for name, is_folder in found if not is_folder]
    archives = [name for name in names if members.is_archive(name)]
    foreign = [name for name in names if name.lower().endswith(NOT_UNPACKED)]
    others = [name for name in names if name not in archives and name not in foreign]
    if len(names) < len(found) or any(Path(name).suffix.lower() not in WORDS for name in others):
        return Inside([], others)
    if foreign:
        raise DataError(f"{place} holds {', '.join(foreign[:MOST_NAMES])}, {pack_again()}")
    stems = [members.stem(name) for name in archives]
    twice = [name for name, stem in zip(archives, stems) if stems.count(stem) > 1]
    if twice:
        raise DataError(f"{place} holds {' and '.join(twice)}, which unpack to one name; keep one of them")
    return Inside(archives, others)


def pack_again() -> str:
    return (
        "of a kind that is not unpacked; pack again as one of"
        f" {', '.join(members.SUFFIXES)}, or upload the folder itself"
    )


def check_kind(place: str) -> None:
    """DataError for a file that is no archive, or one of a kind that is not unpacked."""
    if place.lower().endswith(NOT_UNPACKED):
        raise DataError(f"{place} is {pack_again()}")
    if not members.is_archive(place):
        raise DataError(f"{place} is neither a folder nor an archive (.zip, .tar, .tar.gz)")


def content(archive: str, folder: Path) -> Path:
    """The data that `archive` was unpacked to; DataError if that is archives again."""
    root = unpack.single_root(folder)
    check_none(inside(root, archive).archives, archive)
    return root


def check_content(found: Sequence[tuple[str, bool]], archive: str) -> None:
    """The same of names that are known to be in it."""
    check_none(chosen(sorted(found), archive).archives, archive)


def check_none(found: Sequence[str], archive: str) -> None:
    if found:
        more = f" and {len(found) - MOST_NAMES:,} more" if len(found) > MOST_NAMES else ""
        raise DataError(
            f"{archive} holds archives again: {', '.join(found[:MOST_NAMES])}{more}; they are not unpacked: unpack it once,"
            " and upload its folder"
        )


def link(folder: Path, links: Mapping[str, Path]) -> None:
    """Make `folder` hold links with these names and targets, and nothing else."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.iterdir():
            if path.name not in links or os.readlink(path) != str(links[path.name].absolute()):
                remove_file(path)
        for name, target in links.items():
            if not os.path.lexists(folder / name):
                (folder / name).symlink_to(target.absolute())
    except OSError as err:
        raise StorageError(f"can't write {folder}: {err.strerror}") from err
