"""Folders of archives: all are unpacked, or one line names those that are not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mindlift.errors import DataError
from mindlift.model_utils.inputs import Source
from mindlift.model_utils.staging import archives
from mindlift.model_utils.staging.stage_in import stage_in
from mindlift.model_utils.staging.stager import Stager


def packed(folder: Path, name: str, form: str, root: str = "") -> None:
    """An archive with cat/0.jpg in it, below `root` if that is given."""
    made = folder.parent / "tree"
    shutil.rmtree(made, ignore_errors=True)
    (made / root / "cat").mkdir(parents=True)
    (made / root / "cat" / "0.jpg").write_bytes(name.encode())
    (made / root / "dog").mkdir()
    folder.mkdir(exist_ok=True)
    shutil.make_archive(str(folder / name), form, made)


def opened(tmp_path: Path) -> Path:
    return stage_in(Stager(tmp_path / "cache", lambda line: None, False), Source(str(tmp_path / "d")), 0, 1)


@pytest.mark.parametrize("form", ["zip", "tar", "gztar"])
@pytest.mark.parametrize("own_root", [False, True])
def test_several_archives_become_folders_with_their_names(tmp_path, form, own_root):
    for name in ("train", "val"):
        packed(tmp_path / "d", name, form, name if own_root else "")
    (tmp_path / "d/list.txt").write_text("a b")
    for _ in range(2):  # the second time all is there
        folder = opened(tmp_path)
        assert sorted(path.name for path in folder.iterdir()) == ["list.txt", "train", "val"]
        assert [(folder / name / "cat/0.jpg").read_text() for name in ("train", "val")] == ["train", "val"]
    (tmp_path / "d/list.txt").unlink()
    assert sorted(path.name for path in opened(tmp_path).iterdir()) == ["train", "val"]


@pytest.mark.parametrize(
    "beside", ["README", "README.md", "LICENSE.txt", "data.zip.md5", ".DS_Store", "Thumbs.db"]
)
def test_words_beside_an_archive_do_not_keep_it_packed(tmp_path, beside):
    packed(tmp_path / "d", "data", "zip")
    (tmp_path / "d" / beside).write_text("hello")
    assert (opened(tmp_path) / "cat/0.jpg").read_text() == "data"


@pytest.mark.parametrize("name", ["data.7z", "data.RAR", "train.tar.zst", "data.zip.001"])
def test_kinds_that_are_not_unpacked_are_named(tmp_path, name):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / name).write_bytes(b"")
    with pytest.raises(
        DataError, match=rf"d holds {name}, of a kind that is not unpacked; pack again .*\.zip"
    ):
        opened(tmp_path)


@pytest.mark.parametrize("beside", ["data_batch_1.bin", "x.mindrecord0", "0.jpg"])
def test_archives_beside_data_stay_packed(tmp_path, beside):
    packed(tmp_path / "d", "old", "zip")
    (tmp_path / "d" / beside).write_bytes(b"")
    assert opened(tmp_path) == tmp_path / "d"


def test_two_archives_of_one_name_are_named(tmp_path):
    for form in ("zip", "tar"):
        packed(tmp_path / "d", "train", form)
    with pytest.raises(DataError, match=r"train\.tar and train\.zip, which unpack to one name"):
        archives.inside(tmp_path / "d")
