"""`moxing.file` as Huawei documents it, for local folders and for a bucket."""

from __future__ import annotations

import glob as glob_module
import os

import pytest

from mindlift.storage.moxing import file
from tests.support.moxing_code import ODD


def test_read_and_write(place):
    url = f"{place}/{ODD}"
    file.write(url, "héllo\n")
    assert file.read(url) == "héllo\n"
    assert file.read(url, binary=True) == "héllo\n".encode()
    file.write(url, b"\x00\xff", binary=True)
    assert file.read(url, binary=True) == b"\x00\xff"
    file.append(url, "x")
    file.append(f"{place}/new", "made by append")
    file.append_remote(f"{place}/new", url)
    assert file.read(url, binary=True) == b"\x00\xffxmade by append"
    with pytest.raises(FileNotFoundError):
        file.read(f"{place}/missing")


def test_lists_are_relative_and_recursive_ones_have_folders_too(tree):
    assert sorted(file.list_directory(tree)) == sorted(["dir0", "empty", "file1", ODD])
    everything = ["dir0", "dir0/deep", "dir0/deep/file000", "dir0/file00", "empty", "file1", ODD]
    assert sorted(file.list_directory(tree + "/", recursive=True)) == sorted(everything)
    assert sorted(file.list_directory(tree, recurisive=True, skip_file=True)) == [
        "dir0",
        "dir0/deep",
        "empty",
    ]
    assert sorted(file.list_directory(tree, True, skip_dir=True)) == sorted(
        set(everything) - {"dir0", "dir0/deep", "empty"}
    )
    assert "dir0/" in file.list_directory(tree, remove_sep=False)
    assert f"{tree}/file1" in file.list_directory(tree, only_base=False)
    with pytest.raises(NotADirectoryError):
        file.list_directory(f"{tree}/file1")
    with pytest.raises(file.MoxFileNotExistsException):
        file.list_directory(f"{tree}/nowhere")


def test_exists_and_is_directory(tree):
    for name, is_folder in (("dir0", True), ("dir0/", True), ("file1", False), (ODD, False), ("empty", True)):
        assert file.exists(f"{tree}/{name}")
        assert file.is_directory(f"{tree}/{name}") is is_folder
    for name in ("dir", "file", "dir0/x", "file1/"):
        assert not file.exists(f"{tree}/{name}")
        assert not file.is_directory(f"{tree}/{name}")


def test_sizes(tree):
    assert file.get_size(f"{tree}/dir0/deep/file000") == 3
    assert file.get_size(f"{tree}/dir0", recursive=True) == 5
    assert file.get_size(f"{tree}/dir0") == (0 if tree.startswith("obs:") else 5), "documented so"
    with pytest.raises(file.MoxFileNotExistsException):
        file.get_size(f"{tree}/nowhere")


def test_stat(tree):
    found = file.stat(f"{tree}/file1")
    assert (found.length, found.is_directory, found.st_size) == (1, False, 1)
    assert abs(found.mtime_nsec / 1e9 - found.st_mtime) < 1
    assert found.st_mtime > 1.6e9
    assert file.stat(f"{tree}/dir0").is_directory
    with pytest.raises(file.MoxFileNotExistsException) as error:
        file.stat(f"{tree}/nowhere")
    assert isinstance(error.value, FileNotFoundError)
    assert isinstance(error.value, RuntimeError)


REMOVALS = [
    ("file1", False, False),
    ("file1", True, False),
    ("file1/", False, True),
    ("dir0", False, True),
    ("dir0/", False, True),
    ("dir0", True, False),
    ("dir0/", True, False),
]


@pytest.mark.parametrize(("name", "recursive", "stays"), REMOVALS)
def test_the_documents_table_of_removals(tree, name, recursive, stays):
    assert file.remove(f"{tree}/{name}", recursive) is None
    assert file.exists(f"{tree}/{name.rstrip('/')}") is stays
    assert file.exists(f"{tree}/{ODD}")


def test_what_is_missing_can_not_be_removed(place):
    with pytest.raises(FileNotFoundError):
        file.remove(f"{place}/nowhere")


def test_folders(place):
    file.make_dirs(f"{place}/a/b/c")
    file.make_dirs(f"{place}/a/b/c")
    assert file.is_directory(f"{place}/a/b/c")
    file.mk_dir(f"{place}/a/d")
    assert file.is_directory(f"{place}/a/d")
    with pytest.raises(OSError, match="parent"):
        file.mk_dir(f"{place}/x/y")


def test_walk_like_os_walk(tree, tmp_path):
    file.copy_parallel(tree, str(tmp_path / "copy"))

    def relative(steps, top):
        return [(root[len(top) :], sorted(folders), sorted(names)) for root, folders, names in steps]

    expected = relative(os.walk(tmp_path / "copy"), str(tmp_path / "copy"))
    found = relative(file.walk(tree), tree)
    assert sorted(found) == sorted(expected)
    assert found[0][0] == ""
    assert relative(file.walk(tree, topdown=False), tree)[-1][0] == ""


PATTERNS = ["*", "*/*", "f*1", "dir?/file[0-9]*", "**/file*", "dir0/**", "[!d]*", ".h*", "nothing*", "file1"]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_glob_matches_as_globs_do(tree, tmp_path, pattern):
    file.write(f"{tree}/.hidden", "")
    file.copy_parallel(tree, str(tmp_path / "copy"))
    expected = {
        os.path.relpath(path, tmp_path / "copy")
        for path in glob_module.glob(f"{tmp_path}/copy/{pattern}", recursive=True)
    }
    found = file.glob(f"{tree}/{pattern}")
    assert all(path.startswith(f"{tree}/") for path in found)
    assert {path[len(tree) + 1 :] for path in found} == expected - {"dir0"} or pattern != "dir0/**"
    assert {
        path[len(tree) + 1 :] for path in found
    } == expected or pattern == "dir0/**", "which has no dir0 itself"


def test_scan_dir(tree):
    entries = {entry.name: entry for entry in file.scan_dir(tree)}
    assert entries["dir0"].is_dir()
    assert not entries["file1"].is_dir()
    assert entries["file1"].is_file()
    assert entries["file1"].path == f"{tree}/file1"
    assert entries["file1"].stat().length == 1
