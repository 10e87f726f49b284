"""`mindlift run` with programs that know nothing of it, before a MinIO: what they are given, what is kept of them."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time

import pytest

from tests.support.home import wait_for
from tests.support.running import Machine, Reader, children, last_line

OTHERS = [("both", 0), ("program", 1), ("supervisor", 0), ("supervisor", 1)]
SHOW = "import sys, os; print(sys.argv[1:])"


@pytest.fixture
def machine(minio, bucket, tmp_path) -> Machine:
    return Machine(minio, bucket, tmp_path)


def test_a_program_gets_its_inputs_and_its_results_are_published(machine):
    machine.bucket.put({"a.txt": b"one", "d/b.txt": b"two"}, "data/")
    program = (
        "import sys, pathlib; data, out = (pathlib.Path(word.partition('=')[2]) for word in sys.argv[2:]);"
        "(out / 'sub').mkdir(); (out / 'sub/sum.txt').write_text((data / 'a.txt').read_text() + (data / 'd/b.txt').read_text());"
        "print(sys.argv[1])"
    )
    words = ["--input", f"data_dir={machine.bucket.url('data')}", "--output", f"out={machine.url}"]
    done = machine.run(*words, "--", sys.executable, "-c", program, "--model=x")
    assert (done.code, done.out) == (0, "--model=x\n"), done.err
    assert machine.bucket.content("run/") == {"sub/sum.txt": b"onetwo"}
    assert "copied 2 of 2 files" in done.err
    assert "published 1 files, 6 B" in done.err
    again = machine.run(*words, "--", sys.executable, "-c", SHOW)
    assert "copied 0 of 0 files" in again.err
    assert "2 unchanged" in again.err


@pytest.mark.parametrize(
    ("who", "renames"),
    [
        ("both", 1),
        ("program", 0),
        *(pytest.param(who, renames, marks=pytest.mark.heavy) for who, renames in OTHERS),
    ],
)
def test_a_killed_program_continues_on_an_empty_disk(machine, renames, who):
    words = machine.training(renames=renames, pause_ms=250)
    with Reader(machine) as reader:
        process = machine.start(*words)
        wait_for(lambda: children(process.pid), 30)
        program = children(process.pid)[0]
        wait_for(lambda: any(name.endswith(".ckpt") for name in machine.content()), 30)
        time.sleep(0.4)
        for pid in {"both": [process.pid, program], "program": [program], "supervisor": [process.pid]}[who]:
            os.kill(pid, signal.SIGKILL)
        killed = machine.end(process)
        names = set(machine.content())
        assert killed.code == (137 if who == "program" else -9)
        shutil.rmtree(machine.cache)
        done = machine.run(*words)
    assert done.code == 0, done.err
    assert done.out.splitlines()[-1] == last_line(12)
    assert "begins at 0" not in done.out
    assert reader.torn == []
    assert names
    assert reader.rounds > 3
    last = {"net-0010.ckpt", "net-0011.ckpt", "net-0012.ckpt"}
    assert last <= set(machine.content()) <= last | names  # what an earlier run published stays
