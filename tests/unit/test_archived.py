"""Files that are fetched out of archives one by one: those that the standard library unpacks, byte by byte."""

from __future__ import annotations

import io
import random
import tarfile
import zipfile
from pathlib import Path

import pytest

from mindlift.errors import DataError, StageError
from mindlift.model_utils.image_files import is_data_path
from mindlift.model_utils.streaming import archived, data_index
from mindlift.storage.places import locate

FILES = {
    **{f"cats/{number:03}.jpg": random.Random(number).randbytes(3000 + number) for number in range(40)},
    "dogs/deep/one.png": b"\x89PNG" * 900,
    "dogs/empty.png": b"",
    "dogs/" + "long name " * 15 + ".png": b"long",
    "names.txt": "Katzen, 狗\n".encode() * 200,
}


def make_zip(path: Path, files: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def make_tar(path: Path, files: dict[str, bytes], kind: int = tarfile.PAX_FORMAT) -> Path:
    with tarfile.open(path, "w", format=kind) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def below(root: str, files: dict[str, bytes]) -> dict[str, bytes]:
    return {f"{root}/{name}": data for name, data in files.items()}


def found_at(place: Path) -> dict[str, bytes]:
    held = archived.held_at(str(place))
    assert held is not None
    assert not archived.cannot(held)
    store, _ = locate(str(place))
    found = archived.look_through(store, held, {}, lambda line: None)
    listed, places = archived.entries(held, found)
    assert [each.key for each in listed] == sorted(each.key for each in listed)
    contents = {name: archived.content(store, each) for name, each in places.items()}
    assert all(each.size == len(contents[each.key]) for each in listed if each.key in contents)
    others = {each.key: (place / each.key).read_bytes() for each in held.others}
    return {**contents, **others}


@pytest.mark.parametrize("root", ["", "photos"], ids=["as they are", "in a lone folder"])
@pytest.mark.parametrize(
    "make",
    [
        lambda folder, files: make_zip(folder / "a.zip", files),
        lambda folder, files: make_zip(folder / "a.zip", files, zipfile.ZIP_DEFLATED),
        lambda folder, files: make_tar(folder / "a.tar", files, tarfile.PAX_FORMAT),
        lambda folder, files: make_tar(folder / "a.tar", files, tarfile.GNU_FORMAT),
    ],
    ids=["stored zip", "deflated zip", "pax tar", "gnu tar"],
)
def test_one_archive(tmp_path, make, root):
    """As a file, and as all that a folder holds but for a README."""
    path = make(tmp_path, below(root, FILES) if root else FILES)
    (tmp_path / "README.md").write_text("nothing")
    assert found_at(path) == FILES
    assert found_at(tmp_path) == FILES


def test_an_archive_for_each_class(tmp_path):
    for name in ("cats", "dogs"):
        files = {key[5:]: data for key, data in FILES.items() if key.startswith(name)}
        make_tar(tmp_path / f"{name}.tar", files if name == "cats" else below("dogs", files))
    (tmp_path / "names.txt").write_bytes(FILES["names.txt"])
    assert found_at(tmp_path) == FILES


def test_desktops_and_what_is_hidden_are_left_out(tmp_path):
    path = make_zip(
        tmp_path / "a.zip", {**below("photos", FILES), "__MACOSX/photos/._x.jpg": b"x", "photos/.x.jpg": b"x"}
    )
    found = found_at(path)
    assert found == FILES
    assert all(map(is_data_path, found))


def test_a_zip_with_something_before_it_and_longer_local_headers(tmp_path):
    """The directory knows where members begin; a member's own header may have an extra field that it has not."""
    path = tmp_path / "a.zip"
    with open(path, "wb") as file:
        file.write(b"#!/bin/sh\nexit\n")
        with zipfile.ZipFile(file, "w") as archive:
            for name, data in FILES.items():
                with archive.open(zipfile.ZipInfo(name), "w", force_zip64=True) as member:
                    member.write(data)
    assert found_at(path) == FILES


def test_other_data_is_none(tmp_path):
    assert archived.held_at(str(tmp_path / "missing")) is None
    (tmp_path / "class").mkdir()
    make_zip(tmp_path / "a.zip", FILES)
    assert archived.held_at(str(tmp_path)) is None, "beside a folder it is a file like others"
    assert archived.held_at(str(tmp_path / "class")) is None


def test_what_has_to_be_unpacked_as_a_whole(tmp_path):
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz"):
        pass
    held = archived.held_at(str(tmp_path / "a.tar.gz"))
    assert held is not None
    assert archived.cannot(held) == "a.tar.gz is compressed as a whole"


@pytest.mark.parametrize("name", ["../x.jpg", "/x.jpg", "a/../../x.jpg", "a\\b.jpg"])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_what_unpacking_refuses_is_refused(tmp_path, name, kind):
    make = make_zip if kind == "zip" else make_tar
    with pytest.raises(StageError, match="is refused"):
        found_at(make(tmp_path / f"a.{kind}", {"a.jpg": b"x", name: b"x"}))


def test_archives_in_an_archive(tmp_path):
    with pytest.raises(DataError, match="holds archives again: cats.tar, dogs.tar"):
        found_at(make_tar(tmp_path / "a.tar", {"cats.tar": b"x", "dogs.tar": b"x"}))


def test_a_damaged_member_is_named(tmp_path):
    path = make_zip(tmp_path / "a.zip", FILES)
    data = bytearray(path.read_bytes())
    at = data.index(FILES["cats/007.jpg"])
    data[at + 100] ^= 1
    path.write_bytes(data)
    with pytest.raises(StageError, match=r"a.zip: member 'cats/007.jpg' is damaged"):
        found_at(path)


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_cut_archive_is_refused(tmp_path, kind):
    path = (make_zip if kind == "zip" else make_tar)(tmp_path / f"a.{kind}", FILES)
    path.write_bytes(path.read_bytes()[:-20_000])
    with pytest.raises(StageError, match="is damaged, cut short or of an unknown kind"):
        found_at(path)


def test_the_headers_of_a_tar_are_a_small_part_of_it(tmp_path, monkeypatch):
    files = {f"{number:03}.jpg": bytes(200_000) for number in range(20)}
    path = make_tar(tmp_path / "a.tar", files)
    read, exact = [], archived.exact
    monkeypatch.setattr(archived, "exact", lambda *words: read.append(words[-1]) or exact(*words))
    held = archived.held_at(str(path))
    assert held is not None
    archived.look_through(locate(str(path))[0], held, {}, lambda line: None)
    assert sum(read) < path.stat().st_size / 20


class TestIndex:
    """What was found, kept."""

    @pytest.fixture
    def held(self, tmp_path) -> archived.Held:
        for name in ("a", "b"):
            make_tar(tmp_path / f"{name}.tar", {f"{name}-{number}.jpg": b"x" * number for number in range(5)})
        held = archived.held_at(str(tmp_path))
        assert held is not None
        return held

    def test_is_what_was_written(self, held, tmp_path):
        url, index = str(tmp_path), tmp_path / ".index.gz"
        assert data_index.write_listing(index, url, lambda line: None) == (10, 20)
        known = data_index.read_members(index, url)
        said: list[str] = []
        assert archived.look_through(locate(url)[0], held, known, said.append) == known
        assert said == [], "no header is read again"

    def test_another_version_of_an_archive_is_read_again(self, held, tmp_path):
        url, index = str(tmp_path), tmp_path / ".index.gz"
        data_index.write_listing(index, url, lambda line: None)
        make_tar(tmp_path / "b.tar", {"new.jpg": b"new"})
        held = archived.held_at(url)
        found = archived.look_through(
            locate(url)[0], held, data_index.read_members(index, url), lambda line: None
        )
        assert [[each.name for each in files] for files in found.values()][1] == ["new.jpg"]

    def test_is_none_of_a_folder(self, held, tmp_path):
        url, index = str(tmp_path), tmp_path / ".index.gz"
        data_index.write_listing(index, url, lambda line: None)
        with pytest.raises(DataError, match="is the index of archives"):
            list(data_index.read(index, url))
        data_index.write(index, url, [])
        with pytest.raises(DataError, match="is the index of a folder of files"):
            data_index.read_members(index, url)

    def test_damaged(self, held, tmp_path):
        url, index = str(tmp_path), tmp_path / ".index.gz"
        data_index.write_listing(index, url, lambda line: None)
        index.write_bytes(index.read_bytes()[:-30])
        with pytest.raises(DataError, match="is damaged"):
            data_index.read_members(index, url)
