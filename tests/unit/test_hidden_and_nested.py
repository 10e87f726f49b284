"""What of a bucket's folder is data, and archives within archives, by the one rule of model_utils/image_files.py."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mindlift.errors import DataError, StageError
from mindlift.model_utils import image_files
from mindlift.model_utils.inputs import Source
from mindlift.model_utils.staging import archives
from mindlift.model_utils.staging.stage_in import stage_in
from mindlift.model_utils.staging.stager import Stager
from mindlift.storage.moxing import file as mox

# file -> whether it is data. macOS: __MACOSX and ._ (AppleDouble, RFC 1740), Jupyter: .ipynb_checkpoints
FILES = {
    "train/cat/a.jpg": True,
    "train/cat/._a.jpg": False,
    "train/.ipynb_checkpoints/a-checkpoint.jpg": False,
    "__MACOSX/train/cat/._a.jpg": False,
    ".DS_Store": False,
    "train/Thumbs.db": False,
    "lost+found/x": False,
    "train/dog/b.c.jpg": True,
    "index.json": True,
    "voc.mindrecord0.db": True,
}
FOREIGN = ("data.7z", "data.RAR", "data.tar.zst", "d.zip.001", "a.tzst")


@pytest.mark.parametrize("path", FILES)
def test_the_rule(path):
    assert image_files.is_data_path(path) == FILES[path]


@pytest.fixture
def filled(url) -> str:
    for name in FILES:
        mox.write(f"{url}/d/{name}", name)
    return f"{url}/d/"


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_data_set_comes_without_what_is_hidden(filled, tmp_path):
    said: list[str] = []
    stager = Stager(tmp_path, said.append, False)
    folder = stage_in(stager, Source(filled))
    assert names(folder) == {name for name, is_data in FILES.items() if is_data}
    assert not (folder / "__MACOSX").exists()
    hidden = [line for line in said if line.startswith("not copied")]
    assert len(hidden) == 1
    assert f"not copied from {filled}: 6 hidden ones, such as .DS_Store" in hidden[0]


def test_what_an_earlier_version_has_copied_goes(filled, tmp_path):
    stager = Stager(tmp_path, lambda line: None, False)
    folder = stage_in(stager, Source(filled))
    (folder / "train/cat/._a.jpg").write_bytes(b"")
    assert names(stage_in(stager, Source(filled))) == names(folder)
    assert not (folder / "train/cat/._a.jpg").exists()


def test_a_folder_of_hidden_files_is_empty(url, tmp_path):
    mox.write(f"{url}/d/.DS_Store", "x")
    with pytest.raises(StageError, match="the folder is empty"):
        stage_in(Stager(tmp_path, lambda line: None, False), Source(f"{url}/d/"))


def test_a_program_that_copies_by_itself_gets_all(filled, tmp_path):
    """moxing's copy_parallel copies a folder, whatever is in it."""
    mox.copy_parallel(filled, str(tmp_path / "d"))
    assert names(tmp_path / "d") == set(FILES)


@pytest.mark.parametrize("name", FOREIGN)
def test_an_object_of_a_kind_that_is_not_unpacked_is_named(url, tmp_path, name):
    mox.write(f"{url}/{name}", "x")
    (tmp_path / name).write_bytes(b"x")
    for place in (f"{url}/{name}", str(tmp_path / name)):
        with pytest.raises(
            DataError, match=r"of a kind that is not unpacked; pack again as .*\.zip"
        ) as caught:
            stage_in(Stager(tmp_path / "cache", lambda line: None, False), Source(place))
        assert str(caught.value).startswith(f"{place} is of a kind")
        assert "\n" not in str(caught.value)


@pytest.fixture
def nested(tmp_path) -> Path:
    """outer.zip with train.zip and val.tar in it."""
    for name, form in (("train", "zip"), ("val", "tar")):
        (tmp_path / "inner" / name / "cat").mkdir(parents=True)
        (tmp_path / "inner" / name / "cat/0.jpg").write_bytes(b"x")
        shutil.make_archive(str(tmp_path / "packed" / name), form, tmp_path / "inner" / name)
    return Path(shutil.make_archive(str(tmp_path / "outer"), "zip", tmp_path / "packed"))


def test_archives_within_an_archive_are_named(url, nested, tmp_path):
    mox.copy(str(nested), f"{url}/outer.zip")
    for place in (f"{url}/outer.zip", str(nested)):
        for _ in range(2):  # the second time it is unpacked already
            with pytest.raises(
                DataError, match=r"outer\.zip holds archives again: train\.zip, val\.tar; .*once"
            ):
                stage_in(Stager(tmp_path / "cache", lambda line: None, False), Source(place))


def test_archives_of_another_kind_within_one(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/train.7z").write_bytes(b"")
    with pytest.raises(DataError, match=r"outer\.zip holds train\.7z, of a kind that is not unpacked"):
        archives.content("outer.zip", tmp_path / "a")


@pytest.mark.parametrize("count", [1, 5, 1000])
def test_many_of_them_are_counted(tmp_path, count):
    for number in range(count):
        (tmp_path / f"n{number:04}.tar").write_bytes(b"")
    more = rf"n0004\.tar and {count - 5:,} more; they" if count > 5 else r"\.tar; they"
    with pytest.raises(DataError, match=more):
        archives.content("ILSVRC2012_img_train.tar", tmp_path)


def test_an_archive_beside_images_is_no_nest(tmp_path):
    (tmp_path / "cat").mkdir()
    (tmp_path / "old.zip").write_bytes(b"")
    assert archives.content("a.zip", tmp_path) == tmp_path
