"""Locks that die with their holder, whoever shares the folder.

What is expected is in flock(2): a lock belongs to an open file, goes with its last descriptor, and is seen by all
processes of the machine, in whatever container.
"""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mindlift import locks
from mindlift.errors import StageError, StorageError
from mindlift.files import machine
from mindlift.storage.copying.job import Job
from mindlift.storage.copying.local_files import LocalTarget, sweep
from mindlift.storage.copying.plan import PART
from mindlift.storage.store import LocalStore
from tests.support.programs import ROOT

OTHER = "0" * 8  # no machine's boot

HOLDER = """
import sys, time
from pathlib import Path
from mindlift import locks
if sys.argv[1] == "part":
    descriptor = locks.create_held(sys.argv[2])
    print("held", flush=True)
    time.sleep(60)
with locks.alone(Path(sys.argv[2]), "stage it", 9, print):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def hold():
    """Start a process that holds something until it is killed."""
    started = []

    def hold(kind: str, path: Path) -> subprocess.Popen:
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", HOLDER, kind, str(path)],
                env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        assert started[-1].stdout.readline() == "held\n"
        return started[-1]

    yield hold
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


class Time:
    """A clock that only waiting moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_one_at_a_time_and_a_kill_frees(tmp_path, hold):
    path, said, time_ = tmp_path / "cache/.set.lock", [], Time()
    process = hold("place", path)
    second = locks.alone(path, "stage it", 25, said.append, time_.clock, time_.sleep)
    with pytest.raises(
        StageError, match=rf"gave up after 25 s waiting for process {process.pid} on .* to stage it"
    ):
        second.__enter__()
    assert [line.rpartition(": ")[2] for line in said] == ["10 s so far", "20 s so far"]
    process.kill()
    process.wait()
    with locks.alone(path, "stage it", 0, said.append):
        assert path.read_text().startswith(f"process {os.getpid()} on ")
    assert len(said) == 2


def test_a_child_that_was_forked_meanwhile_does_not_keep_it(tmp_path):
    end, other = os.pipe()
    with locks.alone(tmp_path / "lock", "stage it", 0, print):
        child = os.fork()
        if not child:
            os.close(other)
            os.read(end, 1)
            os._exit(0)
    with locks.alone(tmp_path / "lock", "stage it", 0, print):
        pass
    os.close(other)
    os.waitpid(child, 0)
    os.close(end)


def test_without_locks_a_line_says_so(tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    said: list[str] = []
    with locks.alone(tmp_path / "lock", "stage it", 0, said.append):
        pass
    assert said == [
        f"warning: {tmp_path} is on a file system without locks (No locks available); no other job may stage it at"
        " the same time"
    ]
    descriptor = locks.create_held(str(tmp_path / "part"))
    assert not locks.is_abandoned(descriptor, machine())
    os.utime(descriptor, (0, 0))
    assert locks.is_abandoned(descriptor, OTHER)
    os.close(descriptor)


def test_a_place_that_can_not_be_written_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="can't write .*/file/lock"):
        locks.alone(tmp_path / "file" / "lock", "stage it", 0, print).__enter__()


def test_only_what_nobody_writes_is_swept(tmp_path, hold):
    """The numbers of processes say nothing: a container may have any."""
    target = LocalTarget(LocalStore(tmp_path), "")
    names = {name: Path(target.part(str(tmp_path / name))) for name in ("held", "left", "mine")}
    assert all(PART.fullmatch(path.name) for path in names.values())
    hold("part", names["held"])
    names["left"].touch()
    mine = locks.create_held(str(names["mine"]))
    elsewhere, forgotten = (tmp_path / f".x.mindlift-{OTHER}-{number}.part" for number in (1, 2))
    elsewhere.touch()
    forgotten.touch()
    os.utime(forgotten, (time.time() - 2 * locks.IDLE_S,) * 2)
    (tmp_path / ".x.mindlift-1.part").touch()  # of a version before this one
    (tmp_path / "other.part").touch()
    sweep(Job(LocalStore(), "", LocalStore(tmp_path), ""), ["x"])
    os.close(mine)
    kept = {names["held"], names["mine"], elsewhere, tmp_path / ".x.mindlift-1.part", tmp_path / "other.part"}
    assert set(tmp_path.iterdir()) == kept


def test_a_part_that_was_swept_at_birth_is_made_again(tmp_path, monkeypatch):
    """A sweeper may come between the making of a file and its lock."""
    path, flock = tmp_path / "part", fcntl.flock

    def sweep_first(descriptor: int, how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", flock)
        path.unlink()
        flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", sweep_first)
    descriptor = locks.create_held(str(path))
    assert os.fstat(descriptor).st_ino == path.stat().st_ino
    os.close(descriptor)


def test_names_of_parts_are_nobody_elses():
    target = LocalTarget(LocalStore(), "")
    names = {target.part("/d/" + "n" * 255) for _ in range(100)}
    assert len(names) == 100
    assert all(len(os.path.basename(name)) <= 255 for name in names)
    assert {PART.fullmatch(os.path.basename(name)).group(2) for name in names} == {machine()}
