"""Stores as a platform's own moxing shows them. Its part is played by our own `moxing.file`, before a MinIO."""

from __future__ import annotations

import json
import sys

import pytest

from mindlift.errors import TransferError
from mindlift.storage import places
from mindlift.storage.copying import copy as transfer
from mindlift.storage.moxing import backend, file
from mindlift.storage.platform_store import PlatformStore
from mindlift.storage.store import LocalStore
from tests.support.programs import ROOT, TINY, run_program

FILES = {"a.txt": b"a", "b/c.txt": b"cc", "b/d/e 数据.bin": bytes(1000), "empty": b""}


@pytest.fixture
def platform(minio, bucket, monkeypatch) -> PlatformStore:
    for name, value in (
        ("S3_ENDPOINT", minio.endpoint),
        ("ACCESS_KEY_ID", minio.access_key),
        ("SECRET_ACCESS_KEY", minio.secret_key),
    ):
        monkeypatch.setenv(name, value)
    yield PlatformStore(bucket, file)
    places.SERVICES.forget()


@pytest.fixture
def by_platform(platform, monkeypatch) -> str:
    """`locate` gives PlatformStores for URLs, while the platform itself still reaches its bucket."""
    ours = places.locate
    real_api = type(sys)("api")

    def through(name):
        def call(*args, **kwargs):
            with monkeypatch.context() as inside:
                inside.setitem(backend.CHOSEN, "file", None)
                return getattr(file, name)(*args, **kwargs)

        return call

    for name in (
        "exists",
        "is_directory",
        "stat",
        "list_directory",
        "read",
        "write",
        "make_dirs",
        "remove",
        "copy",
    ):
        setattr(real_api, name, through(name))
    monkeypatch.setitem(backend.CHOSEN, "file", real_api)
    assert isinstance(ours(f"obs://{platform.bucket}/x")[0], PlatformStore)
    return f"obs://{platform.bucket}"


def test_it_is_a_store(platform):
    for key, data in FILES.items():
        assert platform.write(key, data).size == len(data)
    assert {entry.key for entry in platform.scan("")} == {"a.txt", "b/", "empty"}
    assert {entry.key: entry.size for entry in platform.walk("b") if not entry.is_folder} == {
        "b/c.txt": 2,
        "b/d/e 数据.bin": 1000,
    }
    assert platform.stat("b").is_folder
    assert platform.stat("b/").key == "b/"
    assert platform.stat("a.txt").size == 1
    assert platform.stat("a.txt/") is None
    assert platform.stat("nowhere") is None
    assert list(platform.walk("nowhere")) == []
    assert platform.read("b/c.txt", 1) == b"c"
    assert platform.read("b/c.txt", 0, 1) == b"c"
    with pytest.raises(FileNotFoundError):
        platform.read("nowhere")
    assert platform.copy("b/c.txt", "copy").size == 2
    platform.remove("copy")
    platform.remove("copy")
    assert platform.stat("copy") is None
    platform.make_folder("made")
    assert platform.stat("made").is_folder
    platform.remove_folder("b")
    assert platform.stat("b") is None


def test_folders_travel_both_ways(by_platform, tmp_path):
    for key, data in FILES.items():
        path = tmp_path / "up" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    assert transfer.copy_tree(str(tmp_path / "up"), f"{by_platform}/data").done == len(FILES)
    report = transfer.copy_tree(f"{by_platform}/data", str(tmp_path / "down"))
    assert (report.done, report.done_bytes) == (len(FILES), 1003)
    assert {
        path.relative_to(tmp_path / "down").as_posix(): path.read_bytes()
        for path in (tmp_path / "down").rglob("*")
        if path.is_file()
    } == FILES


def test_a_copy_that_comes_short_is_an_error(by_platform, tmp_path, monkeypatch):
    transfer.copy_file(str(ROOT / "train.py"), f"{by_platform}/x")
    api = backend.CHOSEN["file"]
    monkeypatch.setattr(api, "copy", lambda source, target: open(target, "wb").close())
    monkeypatch.setattr("mindlift.storage.platform_store.ATTEMPTS", 1)
    with pytest.raises(TransferError, match="0 bytes came"):
        transfer.copy_file(f"{by_platform}/x", str(tmp_path / "x"))
    assert list(tmp_path.iterdir()) == []
    assert isinstance(places.locate(str(tmp_path))[0], LocalStore)


FAKE = """
import os, shutil
ROOT = os.environ["FAKE_OBS"]
class Found:
    def __init__(self, path):
        status = os.stat(path)
        self.length, self.mtime_nsec, self.is_directory = status.st_size, status.st_mtime_ns, os.path.isdir(path)
def at(url): return url.replace("obs:/", ROOT, 1) if url.startswith("obs://") else url
def parents(url): os.makedirs(os.path.dirname(at(url).rstrip("/")), exist_ok=True); return at(url)
def exists(url): return os.path.exists(at(url))
def is_directory(url): return os.path.isdir(at(url))
def stat(url): return Found(at(url))
def read(url, client_id=None, binary=False): return open(at(url), "rb").read()
def write(url, data, binary=False): open(parents(url), "wb").write(data)
def copy(source, target, client_id=None): shutil.copyfile(at(source), parents(target))
def make_dirs(url): os.makedirs(at(url), exist_ok=True)
def remove(url, recursive=False): (shutil.rmtree if recursive else os.remove)(at(url))
def list_directory(url, recursive=False):
    if not recursive: return os.listdir(at(url))
    top = at(url)
    return [os.path.relpath(os.path.join(root, name), top) for root, folders, files in os.walk(top) for name in folders + files]
"""


@pytest.mark.heavy
def test_a_job_runs_by_the_platforms_moxing(few_digits, tmp_path):
    """In a container in which boto3 has no keys: data, results and resuming go through `moxing`."""
    package = tmp_path / "site/moxing"
    (package / "framework/file").mkdir(parents=True)
    (package / "__init__.py").write_text("from moxing.framework import file\n")
    (package / "framework/__init__.py").write_text("")
    (package / "framework/file/__init__.py").write_text(FAKE)
    (tmp_path / "obs/bucket").mkdir(parents=True)
    (tmp_path / "obs/bucket/data").symlink_to(few_digits)
    command = [
        *TINY,
        "--enable_modelarts",
        "True",
        "--data_url",
        "obs://bucket/data/",
        "--train_url",
        "obs://bucket/run/",
    ]
    env = {
        "PYTHONPATH": str(tmp_path / "site"),
        "FAKE_OBS": str(tmp_path / "obs"),
        "HOME": str(tmp_path),
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    done = run_program("train.py", *command, "--max_epoch", 2, MINDLIFT_CACHE=str(tmp_path / "one"), **env)
    assert done.code == 0, done.err
    (run,) = (tmp_path / "obs/bucket/run").iterdir()
    saved = [json.loads(line) for line in (run / "checkpoints/manifest.jsonl").read_text().splitlines()]
    assert (run / "checkpoints" / saved[-1]["file"]).stat().st_size == saved[-1]["size_bytes"]
    (run / "result.json").unlink()
    done = run_program("train.py", *command, "--max_epoch", 2, MINDLIFT_CACHE=str(tmp_path / "two"), **env)
    assert done.code == 0, done.err
    assert f"after step {saved[-1]['step']}" in done.out
