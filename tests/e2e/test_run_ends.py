"""The ends of `mindlift run`: signals, exit codes, ranks, a store that is away, a disk that is kept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.support.home import wait_for
from tests.support.running import Machine, last_line
from tests.support.servers import Minio, s3_client

PYTHON = [sys.executable, "-c"]


@pytest.fixture
def machine(minio, bucket, tmp_path) -> Machine:
    return Machine(minio, bucket, tmp_path)


def program(code: str) -> list[str]:
    """A program with its output folder as `out`."""
    return [
        "--",
        *PYTHON,
        f"import os, pathlib, signal, sys, time; out = pathlib.Path(sys.argv[1][6:])\n{code}",
    ]


HEARS = """
def hear(number, frame):
    print(signal.Signals(number).name, flush=True)
    if number == signal.SIGTERM:
        (out / "last.ckpt").write_bytes(b"saved")
        sys.exit(3)
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
    signal.signal(number, hear)
print("ready", flush=True)
while True: time.sleep(0.1)
"""


def test_signals_reach_the_program_and_what_it_saves_then_is_published(machine):
    process = machine.start("--output", f"out={machine.url}", *program(HEARS))
    assert process.stdout.readline() == "ready\n"
    for name in ("SIGUSR1", "SIGUSR2", "SIGHUP", "SIGINT", "SIGTERM"):
        process.send_signal(getattr(signal, name))
        assert process.stdout.readline() == f"{name}\n"
    done = machine.end(process)
    assert done.code == 3
    assert machine.content() == {"last.ckpt": b"saved"}, done.err
    assert "the program ended with code 3" in done.err


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("sys.exit(7)", 7),
        ("os.kill(os.getpid(), signal.SIGSEGV)", 139),
        ("raise ValueError", 1),
        ("", 0),
    ],
)
def test_the_exit_code_is_the_programs(machine, code, expected):
    done = machine.run("--", *PYTHON, f"import os, signal, sys; {code}")
    assert done.code == expected


def test_what_a_crash_may_have_torn_stays_here(machine):
    """One file is closed and left alone, one renamed, one open, one closed too short a time ago to be sure."""
    code = (
        "(out / 'closed').write_text('1'); (out / 'x').write_text('2'); time.sleep(0.02)\n"
        "file = open(out / 'open', 'w'); file.write('half'); file.flush(); time.sleep(3)\n"
        "os.replace(out / 'x', out / 'renamed'); (out / 'late').write_text('3')\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    words = ["--output", f"out={machine.url}", "--settle_seconds", "60"]
    done = machine.run(*words, *program(code))
    assert done.code == 137
    assert machine.content() == {"closed": b"1", "renamed": b"2"}
    assert "may have left them unfinished: late, open; in" in done.err
    assert machine.run(*words, *program("")).code == 0
    assert sorted(machine.content()) == ["closed", "renamed"]  # the same files are as torn as before
    assert machine.run(*words, *program("(out / 'late').write_text('again')")).code == 0
    assert machine.content()["late"] == b"again"


def test_a_failed_program_loses_nothing_that_it_had_closed(machine):
    code = "(out / 'net.ckpt').write_text('1'); (out / 'train.log').write_text('end'); time.sleep(2.5); raise ValueError"
    done = machine.run("--output", f"out={machine.url}", *program(code))
    assert done.code == 1
    assert machine.content() == {"net.ckpt": b"1", "train.log": b"end"}


def test_logs_are_published_while_they_grow(machine):
    code = (
        "file = open(out / 'train.log', 'w'); file.write('step 1\\nstep'); file.flush(); print('ready', flush=True)\n"
        "sys.stdin.readline(); time.sleep(5)"
    )
    process = machine.start("--output", f"out={machine.url}", *program(code))
    wait_for(lambda: machine.content() == {"train.log": b"step 1\n"}, 30)
    done = machine.end(process)
    assert done.code == 0
    assert machine.content() == {"train.log": b"step 1\nstep"}


def test_a_deleted_file_goes_after_its_successor_has_arrived(machine):
    code = (
        "(out / '1').write_text('1'); time.sleep(2.5); (out / '1').unlink()\n"
        "(out / '2').write_text('2'); time.sleep(1.5); print('ready', flush=True); time.sleep(4)"
    )
    machine.bucket.put({"old": b"not of this run"}, "run/")
    process = machine.start("--output", f"out={machine.url}", "--settle_seconds", "1", *program(code))
    seen = []
    while process.poll() is None:
        seen.append(tuple(sorted(machine.content())))
        time.sleep(0.1)
    assert machine.end(process).code == 0
    order = list(dict.fromkeys([*seen, tuple(sorted(machine.content()))]))
    assert order == [("old",), ("1", "old"), ("1", "2", "old"), ("2", "old")]


@pytest.mark.heavy
def test_an_output_in_use_is_refused(machine):
    process = machine.start("--output", f"out={machine.url}", *program(HEARS))
    process.stdout.readline()
    other = Machine(machine.bucket.store, machine.bucket.name, machine.folder)
    other.env["MINDLIFT_CACHE"] = str(machine.folder / "other")
    started = time.monotonic()
    done = other.run("--output", f"out={machine.url}", *program(""))
    assert done.code == 2
    assert f"{machine.url} is the output of a run that is going on (process {process.pid}" in done.err
    assert time.monotonic() - started < 40
    process.send_signal(signal.SIGTERM)
    assert machine.end(process).code == 3


def test_a_store_that_is_away_loses_nothing(tmp_path):
    """The program ends while the store is down; the same command publishes what is left, then the program continues."""
    with Minio() as store:
        s3_client(store).create_bucket(Bucket="away")
        machine = Machine(store, "away", tmp_path)
        words = machine.training(steps=6, pause_ms=300)
        process = machine.start("--publish_timeout", "2", *words)
        wait_for(lambda: any(name.endswith(".ckpt") for name in machine.content()), 30)
        os.kill(store.pid, signal.SIGSTOP)
        try:
            done = machine.end(process)
        finally:
            os.kill(store.pid, signal.SIGCONT)
        assert done.code == 1
        assert "error: not published to obs://away/run/: net-00" in done.err
        assert done.out.splitlines()[-1] == last_line(6)
        again = machine.run(*machine.training(steps=8))
        assert again.code == 0
        assert again.out.splitlines()[0] == "begins at 6"
        assert {"net-0006.ckpt", "net-0007.ckpt", "net-0008.ckpt"} <= set(machine.content())


def test_a_store_that_is_away_when_the_platform_ends_the_job(tmp_path):
    """The grace is kept to, and what the program saved in it is published by the next run on this disk."""
    with Minio() as store:
        s3_client(store).create_bucket(Bucket="away")
        machine = Machine(store, "away", tmp_path)
        words = ["--output", f"out={machine.url}", "--grace_seconds", "4"]
        process = machine.start(*words, *program(HEARS))
        assert process.stdout.readline() == "ready\n"
        os.kill(store.pid, signal.SIGSTOP)
        try:
            process.send_signal(signal.SIGTERM)
            done = machine.end(process)
        finally:
            os.kill(store.pid, signal.SIGCONT)
        assert done.code == 3
        assert "error: not published to obs://away/run/: last.ckpt" in done.err
        assert machine.run(*words, *program("")).code == 0
        assert machine.content() == {"last.ckpt": b"saved"}


@pytest.mark.parametrize("launcher", ["card", "torchrun"])
def test_ranks_of_a_node_share_what_one_has_staged(machine, launcher):
    machine.bucket.put({"a": b"data"}, "data/")
    code = (
        "rank = os.environ.get('RANK_ID') or os.environ['RANK']; data = sys.argv[1][7:]; out = pathlib.Path(sys.argv[2][6:])\n"
        "(out / rank).write_bytes(open(data + '/a', 'rb').read()); time.sleep(1 + int(rank)); sys.exit(int(rank) * 4)"
    )
    words = ["--input", f"data={machine.bucket.url('data')}", "--output", f"out={machine.url}"]
    words += ["--", *PYTHON, f"import os, pathlib, sys, time\n{code}"]
    processes = []
    for rank in ("0", "1"):
        names = {"RANK_ID": rank, "RANK_SIZE": "2", "DEVICE_ID": rank}
        if launcher == "torchrun":
            names = {"RANK": rank, "WORLD_SIZE": "2", "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": "2"}
        processes.append(machine.start(*words, **names))
    done = [machine.end(process) for process in processes]
    assert [each.code for each in done] == [0, 4], done[0].err + done[1].err
    assert machine.content() == {"0": b"data", "1": b"data"}
    assert "copied 1 of 1 files" in done[0].err
    assert done[1].err == ""


def test_a_second_node_publishes_to_a_folder_of_its_own(machine):
    names = {"MA_NUM_HOSTS": "2", "VC_TASK_INDEX": "1", "MA_NUM_GPUS": "8"}
    done = machine.run("--output", f"out={machine.url}", *program("(out / 'f').write_text('1')"), **names)
    assert done.code == 0, done.err
    assert machine.content() == {"node-1/f": b"1"}


def test_nothing_stays_of_a_program_whose_supervisor_is_killed(machine):
    process = machine.start(
        "--output", f"out={machine.url}", *program("print(os.getpid(), flush=True); time.sleep(60)")
    )
    pid = int(process.stdout.readline())
    process.kill()
    machine.end(process)
    wait_for(lambda: not os.path.exists(f"/proc/{pid}"), 10)


def test_the_programs_stdin_is_the_users(machine):
    done = subprocess.run(
        [sys.executable, "-m", "mindlift", "run", "--", "cat"],
        input="words\n",
        env={**os.environ, **machine.env},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "words\n")
