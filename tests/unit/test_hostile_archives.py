"""Archives that were made to fill a disk or the memory: refused before they do, in one line that says why.

TAR: POSIX.1-2017, "pax" (ustar and extended headers); GNU tar manual, "Storing Sparse Files". ZIP: APPNOTE.TXT 6.3.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from mindlift import limits
from mindlift.errors import StageError
from mindlift.model_utils.staging.unpack import unpack
from tests.support.packed import little_memory, overlapping_zip, repeated_gzip

MIB = 1 << 20


def header(name: str, size: int, kind: bytes) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


def deep_tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        file.addfile(tarfile.TarInfo("/".join(["d"] * 2000)))
    return gzip.compress(buffer.getvalue())


def many_members() -> bytes:
    return lzma.compress(b"".join(header(f"{n}", 0, tarfile.REGTYPE) for n in range(1_200)) + bytes(1024))


def sparse_in_pax() -> bytes:
    """Version 1.0: the map is at the beginning of the data, as long as its first line says."""
    records = b"".join(
        b"%d %s=%s\n" % (len(key) + len(value) + 5, key, value)
        for key, value in ((b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"))
    )
    data = b"9999999\n" + b"0\n" * 8000
    return gzip.compress(
        header("p", len(records), tarfile.XHDTYPE)
        + records.ljust(512, b"\0")
        + header("s", len(data), tarfile.REGTYPE)
        + data
        + bytes(2048)
    )


CASES: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "a PAX header of 3 GB": (
        "a.tar.gz",
        lambda: repeated_gzip(header("p", 3 << 30, tarfile.XHDTYPE), 4 * MIB),
        "header has 3,221,225,472 bytes",
    ),
    "a long name of 3 GB": (
        "a.tar.gz",
        lambda: repeated_gzip(header("l", 3 << 30, tarfile.GNUTYPE_LONGNAME), 4 * MIB),
        "header has 3,221,225,472 bytes",
    ),
    "a header of a negative size": (
        "a.tar",
        lambda: header("p", -512, tarfile.XHDTYPE) + bytes(4096),
        "header has -512 bytes",
    ),
    "a member of zeros": (
        "a.tar.gz",
        lambda: repeated_gzip(header("z", 8 << 30, tarfile.REGTYPE), 4 * MIB),
        "would unpack to 8,589,934,592 bytes or more",
    ),
    "2,000 folders within each other": ("a.tar.gz", deep_tar, "its path has 2000 parts"),
    "1,200 members from few bytes": ("a.tar.xz", many_members, "files and folders or more from"),
    "an old GNU sparse file": (
        "a.tar",
        lambda: header("s", 512, tarfile.GNUTYPE_SPARSE) + bytes(4096),
        "it is a sparse file",
    ),
    "a PAX sparse file": ("a.tar.gz", sparse_in_pax, "it is a sparse file"),
    "members of a ZIP that overlap": ("a.zip", lambda: overlapping_zip("a"), "its members overlap"),
}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_bomb_is_refused_before_it_bursts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.setattr(limits, "MEMBERS_FLOOR", 1000)  # a tenth, as the archive here has
    name, content, why = CASES[case]
    (tmp_path / name).write_bytes(content())
    with little_memory(), pytest.raises(StageError, match=why):
        unpack(tmp_path / name, tmp_path / "set", lambda size: pytest.fail("wrote"))
    assert os.listdir(tmp_path) == [name]
    assert len(str(why)) < 500


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_packed_with_what_can_not_be_unpacked_in_pieces(tmp_path: Path, method: int) -> None:
    """zipfile unpacks all compressed bytes that it has read at once: 45 of bzip2 may be 45 MB."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w", method) as file:
        file.writestr("x", b"1")
    with pytest.raises(StageError, match="'x' is refused: it is packed with bzip2 or LZMA"):
        unpack(tmp_path / "a.zip", tmp_path / "set")


def test_zeros_behind_the_end_are_not_read_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mindlift.limits.UNPACKED_FLOOR", 8 * MIB)
    (tmp_path / "a.tar.bz2").write_bytes(bz2.compress(header("x", 0, tarfile.REGTYPE) + bytes(64 * MIB)))
    with pytest.raises(StageError, match="after its last member"):
        unpack(tmp_path / "a.tar.bz2", tmp_path / "set")


def test_an_archive_of_masks_is_no_bomb(tmp_path: Path) -> None:
    """1,000 masks of 64 x 64 zeros in NumPy's format: 4 MB from some 10 KB."""
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as file:
        for number in range(1000):
            info = tarfile.TarInfo(f"masks/{number:06d}.npy")
            info.size = 4096
            file.addfile(info, io.BytesIO(bytes(4096)))
    unpack(tmp_path / "a.tar.gz", tmp_path / "set")
    assert len(os.listdir(tmp_path / "set" / "masks")) == 1000


def test_names_of_many_members_are_counted_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MEMBER_NAMES_BYTES", 5000)
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        for number in range(100):
            file.addfile(tarfile.TarInfo(f"{number}-" + "n" * 90))
    with pytest.raises(StageError, match="files and folders or more from"):
        unpack(tmp_path / "a.tar", tmp_path / "set")
