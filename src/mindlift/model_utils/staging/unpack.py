"""Archives of data sets: unpacked completely or not at all, and never outside their folder."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from io import FileIO
from pathlib import Path
from typing import IO

from mindlift.errors import MindLiftError, StageError, StorageError
from mindlift.files import remove_file
from mindlift.model_utils import image_files

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
CHUNK_BYTES = 1 << 20
TAR_BLOCK_BYTES = 512
UTF8_FLAG, ENCRYPTED_FLAG = 0x800, 0x1
CHINESE = re.compile("[\u4e00-\u9fff]")
OTHER = "a link, a device or a pipe"


@dataclass(frozen=True)
class Member:
    """One entry of an archive; `kind` is "file", "folder", or what is refused, like OTHER."""

    name: str
    kind: str
    size: int
    mtime_s: float
    open: Callable[[], IO[bytes] | None]  # only while the archive is being read

    @property
    def path(self) -> str:
        """The name without what means nothing: "./a//b/" is "a/b"."""
        return "/".join(word for word in self.name.split("/") if word not in ("", "."))


def is_archive(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def stem(name: str) -> str:
    """The name of an archive without its suffix; other names as they are."""
    suffix = next(
        (suffix for suffix in sorted(SUFFIXES, key=len, reverse=True) if name.lower().endswith(suffix)), ""
    )
    return name[: len(name) - len(suffix)]


def unpack(archive: Path, target: Path, advance: Callable[[int], None] | None = None) -> Path:
    """Unpack into the folder `target`, replacing what is there, and return it; `advance` gets bytes written.

    It appears as a whole, by renaming `<target>.part`, without fsync. Files keep their time, not their mode.
    StageError: the archive is damaged, larger than the free space, or has a member that is refused: see
    `_objection` and `_clash`. StorageError: the folder can't be written.
    """
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
    total = 0
    for member in _members(archive):
        why = _objection(member) or _clash(member, is_folder)
        if why:
            raise StageError(f"{archive}: member {member.name!r} is refused: {why}; pack it again without")
        total += member.size
    free = shutil.disk_usage(parent).free
    if total > free:
        raise StageError(f"{archive} needs {total:,} bytes, but {parent} has {free:,} free; use another disk")
    return sorted(path for path, folder in is_folder.items() if folder)


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
    return "" if member.size >= 0 else "its size is negative"


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
    for member in _members(archive):
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
        with _reading(archive):
            source = member.open()
            assert source is not None, f"{member.name} has no data"
            stack.enter_context(source)
        with _writing(path):
            out = stack.enter_context(open(path, "xb", buffering=0))  # so that no error waits for close
        while True:
            with _reading(archive):
                chunk = source.read(CHUNK_BYTES)
            if not chunk:
                return written
            with _writing(path):
                _write_all(out, chunk)
            written += len(chunk)
            advance(len(chunk))


def _members(archive: Path) -> Iterator[Member]:
    if not is_archive(archive.name):
        raise StageError(f"{archive} is not an archive: expected {', '.join(SUFFIXES)}")
    if not archive.is_file():
        raise StageError(f"{archive} does not exist or is not a file")
    with _reading(archive):
        yield from _zip_members(archive) if archive.name.lower().endswith(".zip") else _tar_members(archive)


def _zip_members(archive: Path) -> Iterator[Member]:
    with zipfile.ZipFile(archive) as file:
        infos = file.infolist()
        encoding = _guess_encoding([info.orig_filename for info in infos if not info.flag_bits & UTF8_FLAG])
        for info in infos:
            name = info.orig_filename
            if not info.flag_bits & UTF8_FLAG:
                name = name.encode("cp437").decode(encoding)
            mtime_s = time.mktime((*info.date_time, 0, 0, -1))
            yield Member(name, _zip_kind(info), info.file_size, mtime_s, partial(file.open, info))


def _zip_kind(info: zipfile.ZipInfo) -> str:
    if info.flag_bits & ENCRYPTED_FLAG:
        return "encrypted"
    mode = stat.S_IFMT(info.external_attr >> 16)
    if mode not in (0, stat.S_IFREG, stat.S_IFDIR):
        return OTHER
    return "folder" if info.orig_filename.endswith("/") else "file"


def _guess_encoding(names: list[str]) -> str:
    """How the names that zipfile read as cp437, for want of a flag, were meant: UTF-8, GBK or cp437.

    An archive is made by one program, so all its names must fit: a single one may do so by chance.
    """
    for encoding in ("utf-8", "gbk"):
        with contextlib.suppress(UnicodeDecodeError):
            text = "".join(name.encode("cp437").decode(encoding) for name in names)
            if encoding == "utf-8" or CHINESE.search(text):
                return encoding
    return "cp437"


def _tar_members(archive: Path) -> Iterator[Member]:
    with tarfile.open(archive, encoding="utf-8") as file:
        for info in file:
            kind = "file" if info.isreg() else "folder" if info.isdir() else OTHER
            yield Member(info.name, kind, info.size, info.mtime, partial(file.extractfile, info))
            file.members = []  # type: ignore[attr-defined]  # else a million headers stay in memory
        _check_end(file)


def _check_end(file: tarfile.TarFile) -> None:
    """tarfile takes a damaged header, or none, for the end: only a block of zeros is one."""
    stream = file.fileobj
    assert stream is not None
    stream.seek(file.offset)
    if stream.read(TAR_BLOCK_BYTES) != bytes(TAR_BLOCK_BYTES):
        raise tarfile.ReadError(f"no valid header at byte {file.offset}")
    while stream.read(CHUNK_BYTES):  # a compressed stream checks its sum at its end
        pass


@contextlib.contextmanager
def _reading(archive: Path) -> Iterator[None]:
    """Whatever the decoders raise on bad bytes, a dozen classes, as one StageError."""
    try:
        yield
    except MindLiftError:
        raise
    except Exception as err:
        if isinstance(err, OSError) and err.errno:
            raise StageError(f"can't read {archive}: {err.strerror}") from err
        reason = (str(err) or type(err).__name__).splitlines()[0].rstrip(":")
        raise StageError(f"{archive} is damaged, cut short or of an unknown kind: {reason}") from err


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
