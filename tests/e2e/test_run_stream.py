"""`mindlift run --stage stream`: a program that starts with a part of its inputs."""

from __future__ import annotations

import sys

import pytest

from tests.support.faults import Fault
from tests.support.running import Machine

FILES = {
    "train/a.bin": b"a" * 100,
    "train/b/c.bin": b"c" * 200,
    "val/d.bin": b"d" * 30_000,
    ".lists/all": b"e",
}
LOOKS = """
import os, pathlib, sys, time
root = pathlib.Path(sys.argv[1])
last = root / "val/d.bin"
print(sorted(str(path.relative_to(root)) for path in root.glob("train/**/*.bin")), last.exists(), flush=True)
until = time.monotonic() + 60
while not last.exists() and time.monotonic() < until: time.sleep(0.05)
print(sorted((str(path.relative_to(root)), path.stat().st_size) for path in root.rglob("*") if path.is_file()))
"""


@pytest.fixture
def machine(minio, bucket, tmp_path) -> Machine:
    found = Machine(minio, bucket, tmp_path)
    for name, data in FILES.items():
        found.bucket.client.put_object(Bucket=bucket, Key=f"set/{name}", Body=data)
    return found


def words(machine: Machine, *more: str) -> list[str]:
    data = f"data=obs://{machine.bucket.name}/set/"
    return ["--input", data, "--stage", "stream", *more, "--", sys.executable, "-c", LOOKS, "{data}"]


def test_a_program_starts_when_the_first_files_are_here(machine, fault_proxy):
    fault_proxy.add(Fault("trickle", path="set/val/", rate=10_000, times=None))
    done = machine.run(*words(machine, "--first", "train/"), S3_ENDPOINT=fault_proxy.endpoint)
    assert done.code == 0, done.err
    start, end = done.out.splitlines()
    assert start == "['train/a.bin', 'train/b/c.bin'] False"
    assert end == str(sorted((name, len(data)) for name, data in FILES.items()))
    assert "2 of 4 files of " in done.err
    again = machine.run(*words(machine, "--first", "train/"))
    assert again.out.splitlines()[0].endswith("True"), "what has arrived stays"


def test_what_is_fetched_ends_with_the_program(machine, fault_proxy):
    fault_proxy.add(Fault("stall", path="set/val/", seconds=300, times=None))
    command = ["--input", f"data=obs://{machine.bucket.name}/set/", "--stage", "stream", "--first", "train/a"]
    done = machine.run(*command, "--", "ls", "{data}/train", S3_ENDPOINT=fault_proxy.endpoint)
    assert (done.code, done.out.split()[0]) == (0, "a.bin"), done.err
    done = machine.run(*command, "--", "sh", "-c", "exit 7", S3_ENDPOINT=fault_proxy.endpoint)
    assert done.code == 7


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--first", "train/", "--first", "test/"], "--first test/: no file of an input"),
        ([], "--stage stream: name the files that the program needs at its start with --first"),
        (["--first", "train/", "--stage", "copy"], "--first train/: only for --stage stream"),
    ],
)
def test_what_can_not_be_meant(machine, more, said):
    done = machine.run(*words(machine, *more))
    assert (done.code, done.out) == (2, "")
    assert said in done.err.strip().splitlines()[-1]
