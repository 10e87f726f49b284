"""Archives of data sets: unpacked completely or not at all, and never outside their folder."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path

from mindlift import limits
from mindlift.errors import StageError, StorageError
from mindlift.files import remove_file
from mindlift.model_utils import image_files
from mindlift.model_utils.staging.members import (
    CHUNK_BYTES,
    Member,
    check,
    members,
    most_bytes,
    reading,
    refused,
)


def unpack(archive: Path, target: Path, advance: Callable[[int], None] | None = None) -> Path:
    """Unpack into the folder `target`, replacing what is there, and return it; `advance` gets bytes written.

    It appears as a whole, by renaming `<target>.part`, without fsync. Files keep their time, not their mode.
    StageError: the archive is damaged, larger than the free space, or has a member that is refused: see
    `_objection` and `_clash`. StorageError: the folder can't be written.
    """
    check(archive)
    part = target.with_name(target.name + ".part")
    try:
        with _writing(part):
            _remove(part)
            part.parent.mkdir(parents=True, exist_ok=True)
        folders = _plan(archive, part.parent)
        with _writing(part):
            for folder in folders:
                (part / folder).mkdir()
        _extract(archive, part, advance or (lambda size: None))
        _replace(part, target)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return target


def single_root(folder: Path) -> Path:
    """`folder`, or the only folder in it if there is nothing else: many archives hold one with all the rest.

    Only one level: what is further down may be a data set of one class.
    """
    inside = [path for path in folder.iterdir() if image_files.is_data(path.name)]
    is_lone = len(inside) == 1 and inside[0].is_dir() and not inside[0].is_symlink()
    return inside[0] if is_lone else folder


def _plan(archive: Path, parent: Path) -> list[str]:
    """The folders to make, parents first. Reads the whole archive; StageError if it can't be unpacked."""
    is_folder = {"": True}
    within = Limits(archive, archive.stat().st_size)
    for member in members(archive):
        within.take(member, is_folder)
    free = shutil.disk_usage(parent).free
    if within.total > free:
        raise StageError(
            f"{archive} needs {within.total:,} bytes, but {parent} has {free:,} free; use another disk"
        )
    return sorted(path for path, folder in is_folder.items() if folder)


class Limits:
    """What an archive of `size` bytes may hold."""

    def __init__(self, archive: object, size: int):
        self.archive, self.size = archive, size
        self.most_entries = max(limits.MEMBERS_FLOOR, min(limits.MEMBERS, size // limits.BYTES_PER_MEMBER))
        self.total = self.names = 0

    def take(self, member: Member, is_folder: dict[str, bool]) -> None:
        """Enter a member and its parents into `is_folder`. StageError for one that is refused, or one too many."""
        archive, known = self.archive, len(is_folder)
        why = _objection(member) or _clash(member, is_folder)
        if why:
            raise refused(archive, member.name, why)
        self.total += member.size
        self.names += len(member.name) * (len(is_folder) - known)
        if self.total > most_bytes(self.size):
            raise _too_much(archive, f"{self.total:,} bytes or more, and has {self.size:,}")
        if len(is_folder) > self.most_entries or self.names > limits.MEMBER_NAMES_BYTES:
            raise _too_much(archive, f"{len(is_folder):,} files and folders or more from {self.size:,} bytes")


def _too_much(archive: object, what: str) -> StageError:
    return StageError(
        f"{archive} would unpack to {what}, as no data set does; if it is meant, unpack it and upload its folder"
    )


def _objection(member: Member) -> str:
    """Why a member is refused whatever else is in the archive; "" if it is not."""
    if member.kind not in ("file", "folder"):
        return f"it is {member.kind}"
    if "\0" in member.name or "\\" in member.name:
        return "its name holds a NUL or a backslash"
    if member.name.startswith("/") or re.match("[A-Za-z]:", member.name):
        return "its path is absolute"
    if ".." in member.name.split("/"):
        return "its path holds '..'"
    if member.size < 0:
        return "its size is negative"
    words = [word.encode("utf-8", "surrogateescape") for word in member.path.split("/")]
    if sum(map(len, words)) + len(words) > limits.MEMBER_PATH_BYTES or len(words) > limits.MEMBER_DEPTH:
        return f"its path has {len(words)} parts and {len(member.path)} letters"
    return f"its name has {len(words[-1])} bytes" if max(map(len, words)) > limits.NAME_BYTES else ""


def _clash(member: Member, is_folder: dict[str, bool]) -> str:
    """Enter a member and its parents into `is_folder`; why it can't be beside what is there, or ""."""
    path, folder = member.path, member.kind == "folder"
    if path in is_folder and not (folder and is_folder[path]):
        return "it is there twice" if folder == is_folder[path] else "it is a file and a folder"
    is_folder[path] = folder
    while path:
        path = path.rpartition("/")[0]
        if path in is_folder:  # and so are its parents
            return "" if is_folder[path] else f"{path!r} is a file and a folder"
        is_folder[path] = True
    return ""


def _extract(archive: Path, part: Path, advance: Callable[[int], None]) -> None:
    for member in members(archive):
        if member.kind == "file":
            path = part / member.path
            written = _copy(archive, member, path, advance)
            if written != member.size:
                raise StageError(f"{archive}: {member.name!r} has {written} of {member.size} bytes")
            with contextlib.suppress(OverflowError, OSError):  # a time that this file system can't hold
                os.utime(path, (member.mtime_s, member.mtime_s))


def _copy(archive: Path, member: Member, path: Path, advance: Callable[[int], None]) -> int:
    """Stream a member into a new file; the number of bytes."""
    written = 0
    with contextlib.ExitStack() as stack:
        with reading(archive):
            source = member.open()
            assert source is not None, f"{member.name} has no data"
            stack.enter_context(source)
        with _writing(path):
            out = stack.enter_context(open(path, "xb", buffering=0))  # so that no error waits for close
        while True:
            with reading(archive):
                chunk = source.read(CHUNK_BYTES)
            if not chunk:
                return written
            with _writing(path):
                _write_all(out, chunk)
            written += len(chunk)
            advance(len(chunk))


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as err:
        raise StorageError(f"can't write {path}: {err.strerror}") from err


def _write_all(out: FileIO, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[out.write(view) :]


def _replace(part: Path, target: Path) -> None:
    old = target.with_name(target.name + ".old")
    with _writing(target):
        _remove(old)
        if os.path.lexists(target):
            os.replace(target, old)
        os.replace(part, target)
        _remove(old)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        remove_file(path)
