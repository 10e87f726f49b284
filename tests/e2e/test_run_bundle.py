"""The files of `mindlift run` that travel with a program of others: without anything else of this project's."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from mindlift.program import bundle
from tests.support.programs import environment
from tests.support.pythons import find_python
from tests.support.running import PROGRAM, Machine, last_line

NOT_AT_RUN = {"mindspore", "numpy", "yaml", "tqdm", "requests"}


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory) -> Path:
    """A job's code folder: the bundle in a folder of its own, beside another package that is called src."""
    folder = tmp_path_factory.mktemp("job")
    for name, data in bundle.files().items():
        (folder / "vendor" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "vendor" / name).write_bytes(data)
    return folder


def trains(python: str, folder: Path, machine: Machine, *more: str) -> str:
    """stderr of a training by the bundle alone, which is right at its end."""
    machine.bucket.put({"a": b"1"}, "data/")
    data = f"data_dir={machine.bucket.url('data')}"
    words = ["--input", data, *more, *machine.training(steps=3, pause_ms=10)]
    words = [python if word == sys.executable else word for word in words]
    done = subprocess.run(
        [python, "-X", "importtime", "-m", "mindlift.program", *words],
        env=environment(**{**machine.env, "PYTHONPATH": str(folder / "vendor")}),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines() == ["begins at 0", last_line(3)]
    assert len(machine.content()) == 3
    return done.stderr


def test_the_bundle_runs_a_program_and_imports_nothing_large(unpacked, minio, bucket, tmp_path):
    said = trains(sys.executable, unpacked, Machine(minio, bucket, tmp_path))
    imported = {
        line.rpartition("|")[2].strip().partition(".")[0] for line in said.splitlines() if "|" in line
    }
    assert "mindlift" in imported
    assert not NOT_AT_RUN & imported


def test_the_bundle_streams(unpacked, minio, bucket, tmp_path):
    """The process that fetches is a program of its own, which nothing imports."""
    said = trains(
        sys.executable, unpacked, Machine(minio, bucket, tmp_path), "--stage", "stream", "--first", "a"
    )
    assert "1 of 1 files" in said


def test_the_bundle_is_what_is_imported_and_nothing_else(unpacked):
    """Each file is used, but for the programs that are started for crowds of files and for streams; nothing outside is
    named."""
    names = set(bundle.files())
    assert {f"mindlift/{name}" for name in bundle.FIRST} <= names
    assert not [name for name in names if name.split("/")[1] in ("cli", "cloud", "training", "data", "tasks")]
    code = (
        "import sys, pkgutil, importlib, mindlift\n"
        "for found in pkgutil.walk_packages(mindlift.__path__, 'mindlift.'):\n"
        "    if not found.name.endswith('__main__'): importlib.import_module(found.name)\n"
        "print(len([name for name in sys.modules if name.split('.')[0] == 'mindlift']), mindlift.__file__)"
    )
    env = environment(PYTHONPATH=str(unpacked / "vendor"))
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, cwd="/", capture_output=True, text=True, check=True
    )
    count, place = done.stdout.split()
    assert int(count) == len(names) - 1  # all but __main__
    assert place.startswith(str(unpacked))


def test_imports_for_types_alone_are_left_out():
    source = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from mindlift.data import order\nfrom mindlift import files"
    assert bundle.imported(source) == ["files.py"]
    assert ast.parse(source)


def test_a_python_without_boto3_is_told_so_in_one_line(unpacked, tmp_path):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")], check=True)
    done = subprocess.run(
        [
            tmp_path / "venv/bin/python",
            "-m",
            "mindlift.program",
            "--output",
            "o=obs://bucket/x/",
            "--",
            "true",
        ],
        env=environment(PYTHONPATH=str(unpacked / "vendor"), ACCESS_KEY_ID="a", SECRET_ACCESS_KEY="b"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines() == ["error: the package boto3 is not installed: pip install boto3"]


@pytest.mark.heavy
@pytest.mark.parametrize("version", ["3.7", "3.13"])
def test_an_empty_environment_with_boto3_is_enough(version, unpacked, minio, bucket, tmp_path):
    """Needs PyPI."""
    python = find_python(version)
    if not python:
        pytest.skip(f"there is no Python {version} on this machine")
    venv = tmp_path / "venv"
    subprocess.run([python, "-m", "venv", str(venv)], check=True)
    subprocess.run([venv / "bin/pip", "install", "--quiet", "boto3"], check=True)
    trains(str(venv / "bin/python"), unpacked, Machine(minio, bucket, tmp_path))
    assert PROGRAM.is_file()
