from __future__ import annotations

import io
import os
import resource
import shutil
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from mindlift.errors import StageError, StorageError
from mindlift.model_utils.staging.members import SUFFIXES, is_archive
from mindlift.model_utils.staging.unpack import single_root, unpack

FILES = {
    "a.txt": b"alpha",
    "train/cat/1.jpg": os.urandom(3_000_000),
    "train/empty": b"",
    "数据/图.png": b"picture",
}
YEAR_2001 = 1_000_000_000
TAR_MODES = {".tar": "w", ".tar.gz": "w:gz", ".tgz": "w:gz", ".tar.bz2": "w:bz2", ".tar.xz": "w:xz"}


def tar_of(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    suffix = "".join(path.suffixes[-2:]) if path.suffixes[-2:-1] == [".tar"] else path.suffix
    with tarfile.open(str(path), TAR_MODES[suffix], format=tarfile.PAX_FORMAT) as file:  # type: ignore[call-overload]
        for info, data in members:
            file.addfile(info, io.BytesIO(data))
    return path


def tar_member(name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = ""):
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname, info.mtime, info.mode = len(data), kind, link, YEAR_2001, 0o7777
    return info, data


def zip_of(path: Path, *members: tuple[str, bytes], mode: int = 0) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members:
            info = zipfile.ZipInfo(name, (2001, 9, 9, 1, 46, 40))
            info.filename, info.external_attr = name, mode << 16  # ZipInfo itself would tidy the name
            file.writestr(info, data)
    return path


def pack(path: Path, files: dict[str, bytes] = FILES) -> Path:
    if path.suffix == ".zip":
        return zip_of(path, *files.items())
    return tar_of(path, *(tar_member(name, data) for name, data in files.items()))


def content(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def nothing_but(folder: Path, *names: str) -> bool:
    return sorted(path.name for path in folder.iterdir()) == sorted(names)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_all_formats(tmp_path: Path, suffix: str) -> None:
    steps: list[int] = []
    archive = pack(tmp_path / f"set{suffix}")
    target = unpack(archive, tmp_path / "deep" / "set", steps.append)
    assert target == tmp_path / "deep" / "set"
    assert content(target) == FILES
    assert sum(steps) == sum(map(len, FILES.values()))
    assert max(steps) <= 1 << 20  # streamed
    assert nothing_but(tmp_path / "deep", "set")


@pytest.mark.parametrize("name", ["a.zip", "A.ZIP", "b.tar.gz", "c.tgz", "d.tar"])
def test_names_of_archives(name: str) -> None:
    assert is_archive(name)


@pytest.mark.parametrize("name", ["a.gz", "zip", "tar", "a.zip.part", "a.rar", ""])
def test_names_of_other_files(name: str) -> None:
    assert not is_archive(name)


def test_time_is_kept_and_mode_is_not(tmp_path: Path) -> None:
    target = unpack(tar_of(tmp_path / "a.tar", tar_member("d/x", b"1")), tmp_path / "a")
    assert (target / "d/x").stat().st_mtime == YEAR_2001
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE((target / "d/x").stat().st_mode) == 0o666 & ~umask
    assert stat.S_IMODE((target / "d").stat().st_mode) == 0o777 & ~umask
    zipped = unpack(zip_of(tmp_path / "b.zip", ("x", b"1"), mode=0o104777), tmp_path / "b")
    assert abs((zipped / "x").stat().st_mtime - YEAR_2001) < 24 * 3600  # a zip holds local time
    assert stat.S_IMODE((zipped / "x").stat().st_mode) == 0o666 & ~umask


def test_an_older_folder_is_replaced(tmp_path: Path) -> None:
    target, archive = tmp_path / "set", pack(tmp_path / "set.zip", {"new": b"2"})
    for left_over in (target, tmp_path / "set.part", tmp_path / "set.old"):
        (left_over / "deep").mkdir(parents=True)
        (left_over / "old").write_text("1")
    unpack(archive, target)
    assert content(target) == {"new": b"2"}
    assert nothing_but(tmp_path, "set", "set.zip")


def test_the_older_folder_stays_when_unpacking_fails(tmp_path: Path) -> None:
    target = tmp_path / "set"
    target.mkdir()
    (target / "old").write_text("1")
    with pytest.raises(StageError, match="twice"):
        unpack(tar_of(tmp_path / "set.tar", tar_member("x"), tar_member("./x")), target)
    assert content(target) == {"old": b"1"}
    assert nothing_but(tmp_path, "set", "set.tar")


BAD_NAMES = [
    ("/etc/x", "absolute"),
    ("../x", r"'\.\.'"),
    ("a/../../x", r"'\.\.'"),
    ("a/..", r"'\.\.'"),
    ("a\\..\\x", "backslash"),
    ("C:/x", "absolute"),
    ("c:x", "absolute"),
    ("图\0b", "NUL"),
]


@pytest.mark.parametrize(("name", "why"), BAD_NAMES)
@pytest.mark.parametrize("suffix", [".zip", ".tar.gz"])
def test_names_that_are_refused(tmp_path: Path, name: str, why: str, suffix: str) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    archive = pack(inner / f"set{suffix}", {"good": b"1", name: b"2"})
    with pytest.raises(StageError, match=why) as caught:
        unpack(archive, inner / "set")
    assert str(archive) in str(caught.value)
    assert repr(name) in str(caught.value)
    assert nothing_but(inner, archive.name)
    assert nothing_but(tmp_path, "inner")


KINDS = [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE]


@pytest.mark.parametrize("kind", KINDS)
def test_tar_links_and_devices_are_refused(tmp_path: Path, kind: bytes) -> None:
    members = tar_member("good", b"1"), tar_member("odd", kind=kind, link="good"), tar_member("odd/x", b"2")
    with pytest.raises(StageError, match="'odd' is refused: it is a link, a device or a pipe"):
        unpack(tar_of(tmp_path / "a.tar", *members), tmp_path / "a")
    assert nothing_but(tmp_path, "a.tar")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_zip_links_and_devices_are_refused(tmp_path: Path, kind: int) -> None:
    with pytest.raises(StageError, match="'odd' is refused: it is a link, a device or a pipe"):
        unpack(zip_of(tmp_path / "a.zip", ("odd", b"/etc/passwd"), mode=kind | 0o644), tmp_path / "a")
    assert nothing_but(tmp_path, "a.zip")


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    archive = zip_of(tmp_path / "a.zip", ("x", b"1"))
    data = bytearray(archive.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(data)
    with pytest.raises(StageError, match="'x' is refused: it is encrypted"):
        unpack(archive, tmp_path / "a")
    assert nothing_but(tmp_path, "a.zip")


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (("x", "x"), "'x' is refused: it is there twice"),
        (("d/x", "d//x"), "'d//x' is refused: it is there twice"),
        (("x", "x/y"), "'x/y' is refused: 'x' is a file and a folder"),
        (("a/x/y", "a/x"), "'a/x' is refused: it is a file and a folder"),
        (("x", "x/y/z"), "'x/y/z' is refused: 'x' is a file and a folder"),
    ],
)
@pytest.mark.parametrize("suffix", [".zip", ".tar"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_names_that_clash(tmp_path: Path, names: tuple[str, ...], why: str, suffix: str) -> None:
    archive = tmp_path / f"a{suffix}"
    if suffix == ".zip":
        zip_of(archive, *((name, b"1") for name in names))
    else:
        tar_of(archive, *(tar_member(name, b"1") for name in names))
    with pytest.raises(StageError, match=why):
        unpack(archive, tmp_path / "a")
    assert nothing_but(tmp_path, archive.name)


def test_a_file_can_not_be_the_folder_itself(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="'.' is refused: it is a file and a folder"):
        unpack(tar_of(tmp_path / "a.tar", tar_member(".", b"1")), tmp_path / "a")


def test_folders_may_come_twice_late_or_not_at_all(tmp_path: Path) -> None:
    folders = [tar_member(name, kind=tarfile.DIRTYPE) for name in ("./", "d", "d/e", "d", "empty")]
    archive = tar_of(tmp_path / "a.tar", tar_member("d/e/x", b"1"), *folders, tar_member("f/g/y", b"2"))
    target = unpack(archive, tmp_path / "a")
    assert content(target) == {"d/e/x": b"1", "f/g/y": b"2"}
    assert (target / "empty").is_dir()


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("kept", [0.0, 0.3, 0.7, 0.999])
def test_a_truncated_archive(tmp_path: Path, suffix: str, kept: float) -> None:
    archive = pack(tmp_path / f"a{suffix}", {"x": os.urandom(9000), "y": os.urandom(9000)})
    size = archive.stat().st_size
    os.truncate(archive, min(int(size * kept), size - 9000 if suffix == ".tar" else size))
    with pytest.raises(StageError, match="cut short") as caught:
        unpack(archive, tmp_path / "a")
    assert len(str(caught.value).splitlines()) == 1
    assert nothing_but(tmp_path, archive.name)


def test_a_tar_cut_between_two_members(tmp_path: Path) -> None:
    archive = tar_of(tmp_path / "a.tar", tar_member("x", bytes(512)), tar_member("y", bytes(512)))
    os.truncate(archive, 1024)
    with pytest.raises(StageError, match="no valid header at byte 1024"):
        unpack(archive, tmp_path / "a")


def test_a_damaged_tar_header_is_not_the_end(tmp_path: Path) -> None:
    archive = tar_of(tmp_path / "a.tar", tar_member("x", bytes(512)), tar_member("y", bytes(512)))
    with open(archive, "r+b") as file:
        file.seek(1024 + 150)
        file.write(b"???")
    with pytest.raises(StageError, match="no valid header at byte 1024"):
        unpack(archive, tmp_path / "a")


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz", ".tar.bz2", ".tar.xz"])
def test_a_flipped_bit(tmp_path: Path, suffix: str) -> None:
    archive = pack(tmp_path / f"a{suffix}", {"x": os.urandom(90_000)})
    data = bytearray(archive.read_bytes())
    data[len(data) // 2] ^= 1
    archive.write_bytes(data)
    with pytest.raises(StageError, match="damaged"):
        unpack(archive, tmp_path / "a")
    assert nothing_but(tmp_path, archive.name)


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tgz"])
def test_another_file_under_that_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"<html>404</html>" * 100)
    with pytest.raises(StageError, match="damaged") as caught:
        unpack(tmp_path / name, tmp_path / "a")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(("name", "why"), [("a.rar", "expected .zip"), ("a.zip", "does not exist")])
def test_what_is_no_archive(tmp_path: Path, name: str, why: str) -> None:
    with pytest.raises(StageError, match=why):
        unpack(tmp_path / name, tmp_path / "a")


def raw_zip(path: Path, names: list[bytes]) -> Path:
    """A zip whose names are these bytes, not flagged as UTF-8."""
    zip_of(path, *((f"{i:0{len(name)}d}", name) for i, name in enumerate(names)))
    data = path.read_bytes()
    for i, name in enumerate(names):
        placed = f"{i:0{len(name)}d}".encode()
        assert data.count(placed) == 2
        data = data.replace(placed, name)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("encoding", "names"),
    [
        ("gbk", ["训练集/猫咪—甲.jpg", "训练集/plain.txt", "誠實.png"]),  # 誠 holds the byte of a backslash
        ("utf-8", ["训练集/猫咪.jpg", "café.txt"]),
        ("utf-8", ["数据/图片.png"]),  # could be GBK
        ("cp437", ["íó.txt"]),  # could be GBK, but for a comma
        ("cp437", ["fenêtre.txt", "café.txt", "100 ½ £.txt"]),
        ("ascii", ["long-name.txt", "other-name"]),
    ],
)
def test_names_without_the_utf8_flag(tmp_path: Path, encoding: str, names: list[str]) -> None:
    archive = raw_zip(tmp_path / "a.zip", [name.encode(encoding) for name in names])
    assert content(unpack(archive, tmp_path / "a")) == {name: name.encode(encoding) for name in names}


def test_a_member_shorter_than_the_archive_says(tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("x", b"12345")
        file.infolist()[0].file_size = 9
    with pytest.raises(StageError, match="'x' has 5 of 9 bytes"):
        unpack(archive, tmp_path / "a")
    assert nothing_but(tmp_path, "a.zip")


def test_a_bomb_writes_nothing(tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("small", b"1")
        file.writestr("x", b"1")
        file.infolist()[1].file_size = 1 << 50
    with pytest.raises(StageError, match=r"would unpack to 1,125,899,906,842,625 bytes or more, and has 208"):
        unpack(archive, tmp_path / "a", lambda size: pytest.fail("wrote"))
    assert nothing_but(tmp_path, "a.zip")


def test_what_the_disk_does_not_hold_is_said_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("x", bytes(2000))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(5000, 4000, 1000))
    with pytest.raises(StageError, match=r"needs 2,000 bytes, but .* has 1,000 free"):
        unpack(archive, tmp_path / "a", lambda size: pytest.fail("wrote"))
    assert nothing_but(tmp_path, "a.zip")


def test_a_disk_that_takes_no_more(tmp_path: Path) -> None:
    archive = pack(tmp_path / "a.zip", {"small": b"1", "x": os.urandom(500_000)})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, limits[1]))  # a real error of the kernel
    try:
        with pytest.raises(StorageError, match=r"can't write .*a\.part/x: File too large$"):
            unpack(archive, tmp_path / "a")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert nothing_but(tmp_path, "a.zip")


def test_a_folder_that_can_not_be_made(tmp_path: Path) -> None:
    archive = pack(tmp_path / "a.zip", {"x": b"1"})
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"can't write .*file/a\.part"):
        unpack(archive, tmp_path / "file" / "a")


def test_interrupted_then_repeated(tmp_path: Path) -> None:
    archive, target = pack(tmp_path / "a.tar.gz"), tmp_path / "a"

    def interrupt(size: int) -> None:
        assert (tmp_path / "a.part").is_dir()
        assert not target.exists()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        unpack(archive, target, interrupt)
    assert nothing_but(tmp_path, "a.tar.gz")
    assert content(unpack(archive, target)) == FILES


def test_killed_then_repeated(tmp_path: Path) -> None:
    archive, target = pack(tmp_path / "a.zip"), tmp_path / "a"
    child = os.fork()
    if not child:
        unpack(archive, target, lambda size: os._exit(9))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert nothing_but(tmp_path, "a.zip", "a.part")
    assert content(unpack(archive, target)) == FILES
    assert nothing_but(tmp_path, "a.zip", "a")


def test_single_root(tmp_path: Path) -> None:
    assert single_root(tmp_path) == tmp_path  # empty
    only = tmp_path / "set"
    (only / "one class").mkdir(parents=True)
    for junk in ("__MACOSX", ".DS_Store", "Thumbs.db"):
        (tmp_path / junk).mkdir()
    assert single_root(tmp_path) == only
    (tmp_path / "README").write_text("")
    assert single_root(tmp_path) == tmp_path


def test_single_root_stops_at_files_and_links(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "only.bin").write_text("")
    assert single_root(tmp_path) == tmp_path / "a"
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "link").symlink_to(tmp_path / "a")
    assert single_root(tmp_path / "b") == tmp_path / "b"
