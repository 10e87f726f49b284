"""A child that is forked beside threads: it begins with locks that nobody holds, and with libraries that are whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest

from mindlift.forks import FORKS, SHARED, Shared
from mindlift.storage.moxing import file
from mindlift.storage.moxing.background import background_sync_copy
from tests.support.programs import ROOT


def code_of_child(work: Callable[[], object], seconds: float = 20) -> int | None:
    """What a forked child ends with after `work`; None for one that hangs, and is killed."""
    pid = os.fork()
    if not pid:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


def test_a_child_reads_while_threads_of_its_parent_hold_every_lock(url):
    file.write(f"{url}/k", "text")
    held, end = threading.Event(), threading.Event()

    def hold() -> None:
        shared = list(SHARED)
        for each in shared:
            each.lock.acquire()
        held.set()
        end.wait()
        for each in shared:
            each.lock.release()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    try:
        assert len(SHARED) >= 5, "services, keys, retries, clients, connections"
        assert code_of_child(lambda: file.read(f"{url}/k") == "text" or os._exit(2)) == 0
    finally:
        end.set()
        thread.join()
    assert file.read(f"{url}/k") == "text", "the parent's locks are the same as before"


def test_a_fork_waits_for_an_import(tmp_path, monkeypatch):
    (tmp_path / "slow_import.py").write_text("import time\ntime.sleep(0.5)\nvalue = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    begun = threading.Event()

    def load() -> None:
        with FORKS.importing():
            begun.set()
            import slow_import  # noqa: F401

    thread = threading.Thread(target=load)
    thread.start()
    begun.wait()

    def use() -> None:
        with FORKS.importing():
            import slow_import
        assert slow_import.value == 1

    assert code_of_child(use) == 0
    thread.join()


def test_what_belongs_to_the_parents_threads_is_dropped():
    class Counted(Shared):
        begun = 0

        def begin_anew(self) -> None:
            self.begun += 1

    counted = Counted()
    assert code_of_child(lambda: counted.begun == 1 or os._exit(2)) == 0
    assert counted.begun == 0


def test_a_child_leaves_the_background_copy_to_its_parent(url, tmp_path):
    copy = background_sync_copy(tmp_path, f"{url}/d", seconds=60)
    (tmp_path / "f").write_text("text")
    assert code_of_child(copy.stop) == 0
    assert not file.exists(f"{url}/d/f")
    copy.stop()
    assert file.read(f"{url}/d/f") == "text"


PROGRAM = """
import os, random, signal, sys, threading, time
from mindlift.storage.moxing import file
url, count, pause = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])

def read():
    while True:
        file.read(url)
        file.exists(url)

for _ in range(32):
    threading.Thread(target=read, daemon=True).start()
hung = 0
for _ in range(count):
    time.sleep(random.uniform(0, pause))
    pid = os.fork()
    if not pid:
        signal.alarm(20)
        file.read(url)
        os._exit(0)
    hung += os.waitpid(pid, 0)[1] != 0
print(hung)
sys.stdout.flush()
os._exit(0)
"""


@pytest.mark.parametrize(
    ("runs", "forks", "pause"),
    [
        (2, 1, 0.4),
        (1, 10, 0.02),
        pytest.param(20, 1, 0.4, marks=pytest.mark.heavy),
        pytest.param(1, 100, 0.02, marks=pytest.mark.heavy),
    ],
)
def test_children_beside_reading_threads(url, runs, forks, pause):
    """At the start, when everything is imported, and later on."""
    file.write(f"{url}/k", "text")
    for _ in range(runs):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, f"{url}/k", str(forks), str(pause)],
            env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.stdout, done.stderr) == ("0\n", "")
