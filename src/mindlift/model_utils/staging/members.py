"""What an archive holds, member by member: names, kinds and sizes as it claims them, and how to read each."""

from __future__ import annotations

import contextlib
import re
import stat
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from mindlift import limits
from mindlift.errors import MindLiftError, StageError

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
CHUNK_BYTES = 1 << 20
TAR_BLOCK_BYTES = 512
UTF8_FLAG, ENCRYPTED_FLAG = 0x800, 0x1
CHINESE = re.compile("[\u4e00-\u9fff]")
OTHER = "a link, a device or a pipe"
SPARSE = "a sparse file"
DENSE = "packed with bzip2 or LZMA"  # zipfile unpacks all that it has read of these at once: 45 bytes may be 45 MB
EXTENDED = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


def is_archive(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def stem(name: str) -> str:
    """The name of an archive without its suffix; other names as they are."""
    suffix = next(
        (suffix for suffix in sorted(SUFFIXES, key=len, reverse=True) if name.lower().endswith(suffix)), ""
    )
    return name[: len(name) - len(suffix)]


@dataclass(frozen=True)
class Member:
    """One entry of an archive; `kind` is "file", "folder", or what is refused, like OTHER."""

    name: str
    kind: str
    size: int
    mtime_s: float
    open: Callable[[], IO[bytes] | None]  # only while the archive is being read
    place: tuple[int, int, int, int, int]  # see archived.Place

    @property
    def path(self) -> str:
        """The name without what means nothing: "./a//b/" is "a/b"."""
        return "/".join(word for word in self.name.split("/") if word not in ("", "."))


def check(archive: Path) -> None:
    """StageError for what is no file, or not named as an archive."""
    if not is_archive(archive.name):
        raise StageError(f"{archive} is not an archive: expected {', '.join(SUFFIXES)}")
    if not archive.is_file():
        raise StageError(f"{archive} does not exist or is not a file")


def members(archive: Path) -> Iterator[Member]:
    """In the order of the archive. StageError where it can't be read, or takes more to read than it may."""
    check(archive)
    with reading(archive), open(archive, "rb") as file:
        yield from members_in(file, str(archive), archive.stat().st_size)


def members_in(archive_file: IO[bytes], archive: str, size: int, by_ranges: bool = False) -> Iterator[Member]:
    """The same of a file of so many bytes, which is `archive` for messages; `by_ranges`: a .tar is not compressed."""
    with reading(archive):
        if archive.lower().endswith(".zip"):
            yield from _zip_members(archive_file, archive, size)
        else:
            yield from _tar_members(archive_file, archive, size, by_ranges)


def _zip_members(archive_file: IO[bytes], archive: str, size: int) -> Iterator[Member]:
    with zipfile.ZipFile(archive_file) as file:
        infos = file.infolist()
        if sum(info.compress_size for info in infos) > size:
            raise StageError(f"{archive} is refused: its members overlap; pack it again")
        encoding = _guess_encoding([info.orig_filename for info in infos if not info.flag_bits & UTF8_FLAG])
        for info in infos:
            name = info.orig_filename
            if not info.flag_bits & UTF8_FLAG:
                name = name.encode("cp437").decode(encoding)
            mtime_s = time.mktime((*info.date_time, 0, 0, -1))
            length = len(info.orig_filename.encode("utf-8" if info.flag_bits & UTF8_FLAG else "cp437"))
            place = (info.header_offset, info.compress_size, info.compress_type, info.CRC, length)
            yield Member(name, _zip_kind(info), info.file_size, mtime_s, partial(file.open, info), place)


def _zip_kind(info: zipfile.ZipInfo) -> str:
    if info.flag_bits & ENCRYPTED_FLAG:
        return "encrypted"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return DENSE
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


def _tar_members(archive_file: IO[bytes], archive: str, size: int, by_ranges: bool) -> Iterator[Member]:
    with LimitedTar.open(
        archive, "r:" if by_ranges else "r", archive_file, encoding="utf-8", tarinfo=LimitedHeader
    ) as file:
        for info in file:
            kind = "file" if info.isreg() else "folder" if info.isdir() else OTHER
            place = (info.offset_data, info.size, zipfile.ZIP_STORED, -1, -1)
            yield Member(info.name, kind, info.size, info.mtime, partial(file.extractfile, info), place)
            file.members = []  # type: ignore[attr-defined]  # else a million headers stay in memory
        _check_end(file, most_bytes(size))


class LimitedTar(tarfile.TarFile):
    """Counts the bytes of the headers with long names and PAX records, which are read whole."""

    extended_bytes = 0  # before the next member
    global_bytes = 0


class LimitedHeader(tarfile.TarInfo):
    """A header that is refused before what it announces is read: sparse files, whose maps have any length, and large records."""

    def _proc_member(self, file: LimitedTar) -> tarfile.TarInfo:
        if self.type == tarfile.GNUTYPE_SPARSE:
            raise refused(file.name, self.name, f"it is {SPARSE}")
        if self.type in EXTENDED:
            file.extended_bytes += abs(self.size)
            file.global_bytes += abs(self.size) if self.type == tarfile.XGLTYPE else 0
            if max(file.extended_bytes, file.global_bytes) > limits.EXTENDED_HEADER_BYTES or self.size < 0:
                what = f"its header has {self.size:,} bytes, more than {limits.EXTENDED_HEADER_BYTES:,}"
                raise refused(file.name, self.name, what)
        else:
            file.extended_bytes = 0
        return super()._proc_member(file)  # type: ignore[misc, no-any-return]

    def _refuse_sparse(self, member: tarfile.TarInfo, *_: object) -> None:
        raise refused("the archive", member.name, f"it is {SPARSE}")

    _proc_gnusparse_00 = _proc_gnusparse_01 = _proc_gnusparse_10 = _refuse_sparse


def refused(archive: object, name: str, why: str) -> StageError:
    return StageError(f"{archive}: member {name!r:.200} is refused: {why}; pack it again without")


def most_bytes(size: int) -> int:
    """That all members of an archive of `size` bytes may have together."""
    return max(limits.UNPACKED_FLOOR, limits.UNPACKED_RATIO * size)


def _check_end(file: tarfile.TarFile, most: int) -> None:
    """tarfile takes a damaged header, or none, for the end: only a block of zeros is one."""
    stream = file.fileobj
    assert stream is not None
    stream.seek(file.offset)
    if stream.read(TAR_BLOCK_BYTES) != bytes(TAR_BLOCK_BYTES):
        raise tarfile.ReadError(f"no valid header at byte {file.offset}")
    start = stream.tell()
    while stream.read(CHUNK_BYTES):  # a compressed stream checks its sum at its end
        if stream.tell() - start > most:
            raise tarfile.ReadError(f"more than {most:,} bytes after its last member")


@contextlib.contextmanager
def reading(archive: Path | str) -> Iterator[None]:
    """Whatever the decoders raise on bad bytes, a dozen classes, as one StageError."""
    try:
        yield
    except MindLiftError:
        raise
    except MemoryError as err:
        raise StageError(f"{archive} takes more memory than this machine has; unpack it elsewhere") from err
    except Exception as err:
        if isinstance(err, OSError) and err.errno:
            raise StageError(f"can't read {archive}: {err.strerror}") from err
        reason = (str(err) or type(err).__name__).splitlines()[0].rstrip(":")
        raise StageError(f"{archive} is damaged, cut short or of an unknown kind: {reason}") from err
