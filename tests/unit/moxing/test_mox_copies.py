"""Copies of `moxing.file`: in every direction, of nothing, of odd names, in the background."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from mindlift.storage import places
from mindlift.storage.moxing import file
from tests.support.moxing_code import ODD, credentials, wait_until


@pytest.mark.parametrize("to_bucket", [False, True])
def test_copies_in_every_direction(tree, tmp_path, store, to_bucket):
    target = f"{store}/target" if to_bucket else str(tmp_path / "new" / "target")
    file.copy(f"{tree}/{ODD}", f"{target}/one")
    assert file.read(f"{target}/one") == "odd"
    file.copy(f"{tree}/file1", f"{target}/")
    assert file.read(f"{target}/file1") == "1"
    file.copy_parallel(tree, f"{target}/all/")
    assert file.list_directory(f"{target}/all", True) == file.list_directory(tree, True)
    file.copy_parallel(
        src_url=tree,
        dst_url=f"{target}/some",
        file_list=["dir0/file00", "file1"],
        threads=0,
        is_processing=False,
    )
    assert sorted(file.list_directory(f"{target}/some", True, skip_dir=True)) == ["dir0/file00", "file1"]
    file.copy_parallel(f"{tree}/file1", f"{target}/as.name", threads=128, use_queue=False)
    assert file.read(f"{target}/as.name") == "1"
    file.rename(f"{tree}/dir0", f"{target}/moved")
    assert file.read(f"{target}/moved/deep/file000") == "000"
    assert not file.exists(f"{tree}/dir0")
    file.rename(f"{tree}/file1", f"{target}/moved1")
    assert not file.exists(f"{tree}/file1")
    with pytest.raises(file.MoxFileRespException, match="copy_parallel"):
        file.copy(tree, target)


def test_nothing_to_copy_is_a_warning(place, tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "moxing"):
        assert file.copy_parallel(f"{place}/nowhere", str(tmp_path / "x")) is None
    assert f"No files to copy from {place}/nowhere" in caplog.text


@pytest.mark.parametrize("name", ["nowhere", "nowhere/", "empty", "empty/"])
def test_a_local_target_is_there_also_when_nothing_was_copied(place, tmp_path, name):
    file.make_dirs(f"{place}/empty")
    target = tmp_path / "deep/er"
    file.copy_parallel(f"{place}/{name}", str(target))
    assert os.listdir(target) == []
    (target / "kept").write_text("x")
    file.copy_parallel(f"{place}/{name}", str(target))
    file.copy_parallel(f"{place}/{name}", str(target / "kept"))
    assert (target / "kept").read_text() == "x"


def test_nothing_copied_makes_no_folder_in_a_bucket(store, tmp_path):
    file.copy_parallel(str(tmp_path / "nowhere"), f"{store}/target")
    assert not file.exists(f"{store}/target")


def test_spellings_of_one_object(store):
    bucket = store[len("obs://") :]
    file.write(f"{store}/a/b", "x")
    for url in (
        f"s3://{bucket}/a/b",
        f"s3:///{bucket}/a/b",
        f"obs://{bucket}//a//b",
        f"obs:/{bucket}/a/b",
        Path(f"{store}/a/b"),
    ):
        assert file.read(url) == "x", url
    assert file.list_directory(f"obs://{bucket}") == ["a"]


def test_a_file_and_a_folder_of_one_name_are_both_named(moto, monkeypatch, tmp_path):
    for name, value in credentials(moto).items():
        monkeypatch.setenv(name, value)
    places.SERVICES.get().call("make", "create_bucket", Bucket="clash")
    file.write("obs://clash/d/foo", "file")
    file.write("obs://clash/d/foo/bar", "in a folder")
    assert file.read("obs://clash/d/foo") == "file"
    with pytest.raises(file.MoxFileNameDuplicateException, match="'foo' is a file and, because of 'foo/bar'"):
        file.copy_parallel("obs://clash/d", str(tmp_path / "x"))
    assert not (tmp_path / "x").exists()
    places.SERVICES.forget()


def test_background_copy(store, tmp_path):
    (tmp_path / "a").write_text("1")
    running = file.background_sync_copy(str(tmp_path), f"{store}/sync", seconds=0.05)
    wait_until(lambda: file.exists(f"{store}/sync/a"))
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/b").write_text("2")
    running.stop()
    assert file.read(f"{store}/sync/sub/b") == "2"
    assert not running.thread.is_alive()
    running.stop()


def test_background_copy_survives_a_round_that_fails(store, tmp_path, monkeypatch, caplog):
    (tmp_path / "a").write_text("1")
    monkeypatch.setenv("SECRET_ACCESS_KEY", "wrong-secret")
    with caplog.at_level(logging.WARNING, "moxing"):
        running = file.background_sync_copy(str(tmp_path), f"{store}/sync", seconds=0.05)
        wait_until(lambda: "will try again" in caplog.text)
    monkeypatch.undo()
    running.ending.set()
    running.thread.join()
