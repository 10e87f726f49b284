"""`moxing.file` as Huawei documents it, for local folders and for a bucket."""

from __future__ import annotations

import builtins
import csv
import glob as glob_module
import io
import json
import logging
import os
import pickle
import shutil
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mindlift.errors import ConfigError, TransferError
from mindlift.storage import places
from mindlift.storage.moxing import backend, file, file_io
from tests.support.programs import ROOT, environment

ODD = "数据 a+b%41&c?#é"


@pytest.fixture
def store(minio, bucket, monkeypatch):
    """A bucket that URLs reach."""
    for name, value in credentials(minio).items():
        monkeypatch.setenv(name, value)
    yield f"obs://{bucket}"
    places.SERVICES.forget()


def credentials(minio) -> dict[str, str]:
    return {
        "S3_ENDPOINT": minio.endpoint,
        "ACCESS_KEY_ID": minio.access_key,
        "SECRET_ACCESS_KEY": minio.secret_key,
    }


@pytest.fixture(params=["local", "bucket"])
def place(request, tmp_path) -> str:
    """A folder that is there, on the disk or in a bucket."""
    url = str(tmp_path / "place") if request.param == "local" else f"{request.getfixturevalue('store')}/place"
    file.make_dirs(url)
    return url


@pytest.fixture
def tree(place) -> str:
    """dir0/file00, dir0/deep/file000, file1, empty/ and a file with an odd name."""
    for name, text in (("dir0/file00", "00"), ("dir0/deep/file000", "000"), ("file1", "1"), (ODD, "odd")):
        file.make_dirs(f"{place}/{name}".rpartition("/")[0])
        file.write(f"{place}/{name}", text)
    file.make_dirs(f"{place}/empty")
    return place


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


# --- File

MODES = [
    ("r", "old"),
    ("rb", "old"),
    ("br", "old"),
    ("w", "new"),
    ("bw", "new"),
    ("a", "oldnew"),
    ("ab", "oldnew"),
    ("r+", "newold"[:3]),
    ("rb+", "new"),
    ("w+", "new"),
    ("w+b", "new"),
    ("a+", "oldnew"),
    ("ba+", "oldnew"),
]


@pytest.mark.parametrize(("mode", "content"), MODES)
def test_modes(place, mode, content):
    file.write(f"{place}/x", "old")
    with file.File(f"{place}/x", mode) as opened:
        assert opened.mode == mode
        assert opened.name == f"{place}/x"
        if opened.writable():
            opened.write(b"new" if "b" in mode else "new")
        assert opened.readable() == ("r" in mode or "+" in mode)
    assert file.read(f"{place}/x") == content


def test_a_wrong_mode_and_a_missing_file(place):
    with pytest.raises(ValueError, match="use r, w, a"):
        file.File(f"{place}/x", "q")
    for mode in ("r", "r+"):
        with pytest.raises(FileNotFoundError):
            file.File(f"{place}/missing", mode)


def test_lines_seeking_and_sizes(place):
    text = "".join(f"line {number} é\n" for number in range(1000))
    file.write(f"{place}/x", text)
    with file.File(f"{place}/x") as opened:
        assert opened.readline() == "line 0 é\n"
        assert next(opened) == "line 1 é\n"
        assert opened.next() == "line 2 é\n"
        assert len(list(opened)) == 997
        assert opened.seek(0) == 0
        assert opened.readlines()[-1] == "line 999 é\n"
        assert opened.size() == len(text.encode())
    with file.File(f"{place}/x", "rb") as opened:
        opened.seek(-5, os.SEEK_END)
        assert opened.tell() == len(text.encode()) - 5
        assert opened.read(2) == text.encode()[-5:-3]
        assert opened.read() == text.encode()[-3:]
        assert opened.read() == b""


def test_libraries_read_and_write_through_it(place):
    with file.File(f"{place}/a.json", "w") as opened:
        json.dump({"é": [1, 2]}, opened, ensure_ascii=False)
    with file.File(f"{place}/a.json") as opened:
        assert json.load(opened) == {"é": [1, 2]}
    with file.File(f"{place}/a.npy", "wb") as opened:
        np.save(opened, np.arange(10))
    with file.File(f"{place}/a.npy", "rb") as opened:
        np.testing.assert_array_equal(np.load(opened), np.arange(10))
    with file.File(f"{place}/a.png", "wb") as opened:
        Image.new("RGB", (4, 3)).save(opened, "PNG")
    with file.File(f"{place}/a.png", "rb") as opened:
        assert Image.open(opened).size == (4, 3)
    with file.File(f"{place}/a.zip", "wb") as opened, zipfile.ZipFile(opened, "w") as archive:
        archive.writestr("inside", "x" * 1000)
    with file.File(f"{place}/a.zip", "rb") as opened:
        assert zipfile.ZipFile(opened).read("inside") == b"x" * 1000
    with file.File(f"{place}/a.csv", "w") as opened:
        csv.writer(opened).writerows([["a", "b"], [1, 2]])
    with file.File(f"{place}/a.csv") as opened:
        assert list(csv.reader(opened)) == [["a", "b"], ["1", "2"]]
    with file.File(f"{place}/a.pkl", "wb") as opened:
        pickle.dump({1: 2}, opened)
    with file.File(f"{place}/a.pkl", "rb") as opened:
        assert pickle.load(opened) == {1: 2}
    stream = file.File(f"{place}/a.log", "w")
    logger = logging.Logger("x")
    logger.addHandler(logging.StreamHandler(stream))
    logger.info("logged")
    assert file.read(f"{place}/a.log") == "logged\n", "a handler flushes, and flush uploads"
    stream.close()


def test_an_exception_in_the_block_leaves_the_object_as_it_was(store):
    file.write(f"{store}/x", "old")
    with pytest.raises(RuntimeError), file.File(f"{store}/x", "w") as opened:  # noqa: PT012
        opened.write("half")
        raise RuntimeError
    assert file.read(f"{store}/x") == "old"


def test_an_object_that_is_replaced_while_it_is_read_is_an_error(store):
    file.write(f"{store}/x", os.urandom(6 << 20), binary=True)
    with file.File(f"{store}/x", "rb") as opened:
        opened.read(10)
        file.write(f"{store}/x", os.urandom(6 << 20), binary=True)
        with pytest.raises(TransferError, match="replaced while it was read"):
            opened.read()


# --- settings, shift, background, import


def test_set_auth_reaches_the_store_without_variables(minio, bucket, monkeypatch):
    for name in credentials(minio):
        monkeypatch.delenv(name, raising=False)
    host, port = minio.endpoint[len("http://") :].split(":")
    with pytest.warns(UserWarning, match="colour"):
        file.set_auth(
            ak=minio.access_key,
            sk=minio.secret_key,
            server=host,
            port=port,
            is_secure=False,
            ssl_verify=False,
            long_conn_mode=True,
            path_style=True,
            retry=3,
            retry_wait=0.1,
            client_timeout=10,
            list_max_keys=2,
            timeout_config={},
            obs_client_log=False,
            negotiation=False,
            colour="red",
        )
    try:
        for name in "abcde":
            file.write(f"obs://{bucket}/{name}", name)
        assert file.list_directory(f"obs://{bucket}") == list("abcde"), "three pages"
    finally:
        places.SERVICES.forget()


def test_shift_and_back(store, tmp_path):
    before = (builtins.open, os.listdir, os.stat, os.path.exists, shutil.copytree, glob_module.glob)
    file.shift("os", "mox")
    try:
        file.shift("os", "mox")
        os.makedirs(f"{store}/made")
        with open(f"{store}/made/x", "w") as opened:
            opened.write("x")
        assert os.listdir(f"{store}/made") == ["x"]
        assert os.path.exists(f"{store}/made/x")
        assert os.path.isdir(f"{store}/made")
        assert os.path.getsize(f"{store}/made/x") == 1
        assert os.stat(f"{store}/made/x").st_size == 1
        assert [entry.name for entry in os.scandir(f"{store}/made")] == ["x"]
        assert list(os.walk(f"{store}/made")) == [(f"{store}/made", [], ["x"])]
        assert glob_module.glob(f"{store}/made/*") == [f"{store}/made/x"]
        shutil.copytree(f"{store}/made", tmp_path / "local")
        assert (tmp_path / "local/x").read_text() == "x"
        shutil.copyfile(tmp_path / "local/x", f"{store}/made/y")
        os.rename(f"{store}/made/y", f"{store}/made/z")
        os.remove(f"{store}/made/x")
        os.mkdir(f"{store}/made/d")
        assert sorted(os.listdir(f"{store}/made")) == ["d", "z"]
        shutil.rmtree(f"{store}/made")
        assert not os.path.exists(f"{store}/made")
        assert isinstance(os.stat(tmp_path), os.stat_result), "local calls are the original ones"
        with open(os.open(tmp_path / "f", os.O_CREAT | os.O_WRONLY), "wb", 0) as raw:
            assert isinstance(raw, io.FileIO)
        shutil.rmtree(tmp_path / "local")
    finally:
        file.shift("mox", "os")
    assert before == (builtins.open, os.listdir, os.stat, os.path.exists, shutil.copytree, glob_module.glob)
    with pytest.raises(ValueError, match="expected"):
        file.shift("os", "os")


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


def wait_until(condition, seconds: float = 20) -> None:
    event = threading.Event()
    for _ in range(int(seconds / 0.05)):
        if condition():
            return
        event.wait(0.05)
    raise AssertionError("not within the time")


def run_code(code: str, **env: str) -> subprocess.CompletedProcess:
    variables = environment(PYTHONPATH=str(ROOT / "compat"), **env)
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd="/",
        env=variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_importing_costs_and_changes_nothing():
    done = run_code(
        "import logging, sys\n"
        "import moxing as mox\nimport moxing.tensorflow\nfrom moxing.framework import file\n"
        "from moxing.framework.util import runtime\nruntime.reset_logger(level=logging.WARNING)\n"
        "assert mox.file is file\n"
        "root = logging.getLogger()\nassert (root.level, root.handlers) == (logging.WARNING, []), root.handlers\n"
        "loaded = {'boto3', 'botocore', 'urllib3', 'numpy', 'mindspore', 'ssl', 'obstore'} & set(sys.modules)\n"
        "assert not loaded, loaded"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_scripts_of_the_clouds_run_as_they_are(minio, bucket, tmp_path):
    """The calls of c2net and of the model zoo's adapters, in a process of their own."""
    done = run_code(
        "import moxing as mox, os, moxing\nfrom moxing.framework.file import file_io\n"
        "file_io._LARGE_FILE_METHOD = 1\nfile_io._NUMBER_OF_PROCESSES = 1\nfile_io._LARGE_FILE_TASK_NUM = 1\n"
        "mox.file.set_auth(is_secure=False)\n"
        f"os.makedirs('{tmp_path}/out/sub')\nopen('{tmp_path}/out/sub/a.ckpt', 'w').write('x')\n"
        f"mox.file.copy_parallel('{tmp_path}/out', 's3:///{bucket}/out')\n"
        f"mox.file.copy_parallel(src_url='obs://{bucket}/out/', dst_url='{tmp_path}/back', threads=128)\n"
        f"mox.file.copy('obs://{bucket}/out/sub/a.ckpt', '{tmp_path}/deep/er/a.ckpt')\n"
        f"assert mox.file.exists('obs://{bucket}/out/sub')\n"
        f"file_io._download_obs(None, '{bucket}', 'out/sub/a.ckpt', '{tmp_path}/b.ckpt')\n",
        **credentials(minio),
    )
    assert done.returncode == 0, done.stderr
    for name in ("back/sub/a.ckpt", "deep/er/a.ckpt", "b.ckpt"):
        assert (tmp_path / name).read_text() == "x"


def test_names_that_scripts_assign_limit_processes():
    assert file_io._NUMBER_OF_PROCESSES is None
    assert {"_LARGE_FILE_TASK_NUM", "_PARTIAL_MAXIMUM_SIZE", "_download_obs_with_large_file"} <= set(
        vars(file_io)
    )


CHOICES = [
    ("auto", False, "", "boto3", "no other moxing"),
    ("auto", True, "", "boto3", "reaches the store"),
    ("auto", True, "no key", "moxing", "no key"),
    ("boto3", True, "no key", "boto3", "MOX_BACKEND=boto3"),
    ("moxing", True, "", "moxing", "MOX_BACKEND=moxing"),
]


@pytest.mark.parametrize(("wanted", "has_real", "obstacle", "name", "reason"), CHOICES)
def test_the_choice_of_the_backend(wanted, has_real, obstacle, name, reason):
    found = backend.choose(wanted, has_real, lambda: obstacle)
    assert found[0] == name
    assert reason in found[1]


def test_a_backend_that_is_not_there_is_one_line():
    with pytest.raises(ConfigError, match="MOX_BACKEND is 'obs'; choose one of auto, boto3, moxing"):
        backend.choose("obs", True, str)
    with pytest.raises(ConfigError, match="no moxing of a platform is installed"):
        backend.choose("moxing", False, str)


@pytest.mark.parametrize("wanted", ["auto", "boto3", "moxing"])
def test_a_platforms_own_moxing_is_used_when_it_should_be(tmp_path, wanted):
    (tmp_path / "site/moxing/framework/file").mkdir(parents=True)
    (tmp_path / "site/moxing/__init__.py").write_text("from moxing.framework import file\n")
    (tmp_path / "site/moxing/framework/__init__.py").write_text("")
    (tmp_path / "site/moxing/framework/file/__init__.py").write_text(
        "def exists(url):\n    return f'real {url}'\n"
    )
    done = run_code(
        f"import sys, logging\nsys.path.append({str(tmp_path / 'site')!r})\n"
        "logging.basicConfig(level=logging.INFO, stream=sys.stdout, format='%(message)s')\n"
        "import moxing as mox\nprint(mox.file.exists('/'))",
        MOX_BACKEND=wanted,
        S3_ENDPOINT="http://127.0.0.1:9",
        ACCESS_KEY_ID="a",
        SECRET_ACCESS_KEY="b",
    )
    assert done.returncode == 0, done.stderr
    line, answer = done.stdout.splitlines()
    if wanted == "boto3":
        assert (line, answer) == ("moxing.file is that of boto3: MOX_BACKEND=boto3", "True")
    else:
        assert line.startswith("moxing.file is that of moxing: ")
        assert answer == "real /"
