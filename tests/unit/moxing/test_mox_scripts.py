"""Scripts of the clouds as they are: the keys that they set, the names that they replace, the backend they get."""

from __future__ import annotations

import builtins
import glob as glob_module
import io
import os
import shutil

import pytest

from mindlift.errors import ConfigError
from mindlift.storage import places
from mindlift.storage.moxing import backend, file, file_io
from tests.support.moxing_code import credentials, run_code


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


def test_importing_costs_and_changes_nothing():
    done = run_code(
        "import logging, sys\n"
        "import moxing as mox\nimport moxing.tensorflow\nfrom moxing.framework import file\n"
        "from moxing.framework.util import runtime\nruntime.reset_logger(level=logging.WARNING)\n"
        "assert mox.file is file\n"
        "root = logging.getLogger()\nassert (root.level, root.handlers) == (logging.WARNING, []), root.handlers\n"
        "loaded = {'boto3', 'botocore', 'urllib3', 'numpy', 'mindspore', 'ssl'} & set(sys.modules)\n"
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
