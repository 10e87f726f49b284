"""Data sets from a bucket to the disk."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

import pytest

from mindlift.errors import DataError, StageError
from mindlift.model_utils.inputs import Source
from mindlift.model_utils.staging.stage_in import stage_in
from mindlift.model_utils.staging.stager import Stager
from mindlift.storage.moxing import file


def content(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()
    }


FILES = {"train/a/1.txt": "1", "val/a/2.txt": "2"}


def as_folder(folder: Path, url: str) -> str:
    for name, text in FILES.items():
        file.write(f"{url}/data/{name}", text)
    return f"{url}/data"


def as_zip(folder: Path, url: str, around: str = "", name: str = "set.zip", prefix: str = "") -> str:
    with zipfile.ZipFile(folder / name, "w") as archive:
        for member, text in FILES.items():
            archive.writestr(around + member, text)
    file.copy(folder / name, f"{url}/{prefix}{name}")
    return f"{url}/{prefix}{name}"


def as_zip_of_a_folder(folder: Path, url: str) -> str:
    return as_zip(folder, url, "set/")


def as_folder_of_a_zip(folder: Path, url: str) -> str:
    as_zip(folder, url, "set/", prefix="attachment/")
    return f"{url}/attachment/"


def as_tar(folder: Path, url: str) -> str:
    for name, text in FILES.items():
        path = folder / "tree" / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
    with tarfile.open(folder / "set.tar.gz", "w:gz") as archive:
        archive.add(folder / "tree", "set")
    file.copy(folder / "set.tar.gz", f"{url}/set.tar.gz")
    return f"{url}/set.tar.gz"


def as_folder_called_zip(folder: Path, url: str) -> str:
    for name, text in FILES.items():
        file.write(f"{url}/set.zip/{name}", text)
    return f"{url}/set.zip"


FORMS = [as_folder, as_zip, as_zip_of_a_folder, as_folder_of_a_zip, as_tar, as_folder_called_zip]


@pytest.mark.parametrize("make", FORMS)
def test_every_form_of_a_data_set_ends_as_the_same_folder(tmp_path, url, stager, said, make):
    source = Source(make(tmp_path, url))
    folder = stage_in(stager, source)
    assert content(folder) == FILES
    written = {path: path.stat().st_ino for path in folder.rglob("*.txt")}
    assert stage_in(stager, source) == folder
    assert {path: path.stat().st_ino for path in folder.rglob("*.txt")} == written, "nothing is copied twice"
    if make in (as_folder, as_folder_called_zip):
        file.write(f"{source.url}/val/a/2.txt", "3")
        file.remove(f"{source.url}/train/a/1.txt")
        assert content(stage_in(stager, source)) == {
            "val/a/2.txt": "3"
        }, "an edit of the same size, and a removal"


def test_a_changed_archive_is_unpacked_again(tmp_path, url, stager):
    source = Source(as_zip(tmp_path, url), "my set.zip")
    folder = stage_in(stager, source)
    with zipfile.ZipFile(tmp_path / "new.zip", "w") as archive:
        archive.writestr("other.txt", "new")
    file.copy(tmp_path / "new.zip", source.url)
    assert stage_in(stager, source) == folder
    assert content(folder) == {"other.txt": "new"}
    assert not list((tmp_path / "cache").rglob("*.zip")), "the archive is not kept"


def test_local_folders_are_used_in_place(tmp_path, stager):
    (tmp_path / "inputs/a").mkdir(parents=True)
    (tmp_path / "inputs/b").mkdir()
    assert stage_in(stager, Source(str(tmp_path / "inputs"))) == tmp_path / "inputs"
    assert not (tmp_path / "cache").exists()
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("set/f.txt", "f")
    assert content(stage_in(stager, Source(str(tmp_path / "x.zip")))) == {"f.txt": "f"}
    assert (
        stage_in(stager, Source(str(tmp_path / "inputs.tar.gz"))) == tmp_path / "inputs"
    ), "unpacked by the platform"


MISTAKES = [
    ("{url}/nowhere/", StageError, "no data at obs://.*/nowhere/"),
    ("{url}/odd.txt", DataError, "neither a folder nor an archive"),
    ("/no/such/place", DataError, "does not exist on this machine"),
]


@pytest.mark.parametrize(("place", "kind", "text"), MISTAKES)
def test_what_is_no_data(url, stager, place, kind, text):
    file.write(f"{url}/odd.txt", "x")
    with pytest.raises(kind, match=text):
        stage_in(stager, Source(place.format(url=url)))


def test_a_node_gets_only_its_shards(url, tmp_path):
    for number in range(4):
        file.write(f"{url}/set/train.mindrecord{number}", str(number))
        file.write(f"{url}/set/train.mindrecord{number}.db", "db")
    file.write(f"{url}/set/labels.json", "{}")
    found = []
    for node in range(2):
        stager = Stager(tmp_path / f"node{node}", lambda line: None, show_bar=False)
        found.append(set(content(stage_in(stager, Source(f"{url}/set"), node, 2))))
    assert found[0] == {
        "train.mindrecord0",
        "train.mindrecord0.db",
        "train.mindrecord2",
        "train.mindrecord2.db",
        "labels.json",
    }
    assert found[0] & found[1] == {"labels.json"}
    with pytest.raises(DataError, match="node_shards"):
        stage_in(Stager(tmp_path / "x", print), Source(as_folder(tmp_path, url)), 0, 2)
