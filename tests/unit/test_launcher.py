"""The launcher's rule with small programs: who ends, how, when, and what is left behind."""

from __future__ import annotations

import sys
import textwrap
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from mindlift.cloud import platforms
from mindlift.cloud.errors import JobError
from mindlift.cloud.platforms.request import Request
from mindlift.cloud.providers.local import interpreter, isolation, launcher
from mindlift.cloud.providers.local.launcher import Ended, Launcher
from mindlift.cloud.providers.local.node import Node
from mindlift.model_utils.staging.node_gate import start_ticks

PYTHON = interpreter.ask(sys.executable)


@pytest.fixture(params=[False, True], ids=["mapped", "isolated"])
def run(request, tmp_path, monkeypatch) -> Callable[..., tuple[Ended, list[str], str]]:
    """Runs a program as the ranks of one node: how it ended, the node's log, what stands before its paths."""
    if request.param and isolation.obstacle():
        pytest.skip(isolation.obstacle())
    is_isolated = request.param
    monkeypatch.setattr(launcher, "GRACE_S", 1.0)

    def start(program: str, cards: int = 2, stop_after: float = 60, hours: float = 1, **changes: object):
        request = Request("modelarts-v2", "job", "obs://b/code/x/", "train.py", cards=cards, **changes)  # type: ignore[arg-type]
        lines: list[str] = []
        container = platforms.container(request, "job", 0)
        node = Node(
            0,
            tmp_path / "node",
            container,
            lambda line: lines.append(line.decode().rstrip("\n")),
            is_isolated,
        )
        path = node.path(container.program)
        path.parent.mkdir(parents=True)
        path.write_text(
            "import os, signal, sys, time\nrank = os.environ['RANK_ID'] if 'RANK_ID' in os.environ else 'sched'\n"
            "if rank == 'sched': time.sleep(600)\n" + textwrap.dedent(program)
        )
        found = Launcher(request, "job", [node], PYTHON, {})
        found.start()
        pids, until = found.pids(), time.monotonic() + stop_after
        ended = found.wait(lambda: time.monotonic() > until, time.monotonic() + hours * 3600)
        assert [pid for pid in pids if start_ticks(pid) is not None] == [], "nothing runs on"
        return ended, lines, "" if is_isolated else str(node.root)

    return start


def test_all_end_well(run, tmp_path):
    ended, lines, before = run("print('hello from', rank, os.getcwd())")
    assert ended == Ended(0)
    assert sorted(lines) == [
        f"hello from {n} {before}/home/ma-user/modelarts/workspace/device{n}" for n in "01"
    ]
    logs = tmp_path / "node/home/ma-user/modelarts/log"
    assert "hello from 1" in (logs / "job-proc-rank-1-device-1.txt").read_text()


def test_the_first_failure_ends_the_others(run):
    started = time.monotonic()
    ended, _, _ = run("if rank == '1': sys.exit(3)\ntime.sleep(600)")
    assert ended == Ended(3, "rank 1 ended with exit code 3")
    assert time.monotonic() - started < 20


def test_others_get_time_to_save_and_no_more(run):
    ended, lines, _ = run(
        """
        if rank == '0':
            signal.signal(signal.SIGTERM, lambda *_: (print('saved', flush=True), sys.exit(1)))
            print('ready', flush=True)
            time.sleep(600)
        if rank == '1':
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(600)
        time.sleep(2)
        os.kill(os.getpid(), signal.SIGKILL)
    """,
        cards=3,
    )
    assert ended == Ended(137, "rank 2 was ended by SIGKILL", by_signal=True)
    assert "saved" in lines


def test_a_stop_and_a_deadline(run):
    ended, _, _ = run("time.sleep(600)", stop_after=0.5)
    assert (ended.code, ended.was_stopped, ended.reason) == (143, True, "stopped on request")


def test_the_hours_are_over(run):
    ended, _, _ = run("time.sleep(600)", hours=0.0002, max_hours=0.0002)
    assert (ended.was_stopped, ended.reason) == (True, "ended after 0.0002 hours (auto_stop)")


def test_children_of_a_rank_end_with_it(run, tmp_path):
    ended, lines, _ = run("""
        import subprocess
        if rank == '0':
            print('child', subprocess.Popen(['sleep', '600']).pid, flush=True)
            time.sleep(600)
        time.sleep(1)
        sys.exit(1)
    """)
    assert ended.code == 1
    child = int(next(line for line in lines if line.startswith("child")).split()[1])
    assert start_ticks(child) is None


def test_nothing_of_this_computers_variables(run, monkeypatch):
    monkeypatch.setenv("SECRET_ACCESS_KEY", "hush")
    monkeypatch.setenv("RANK_ID", "7")
    ended, lines, before = run("print(sorted(os.environ.items()))", cards=1, environment={"MINE": "/cache/x"})
    assert ended.code == 0
    assert "hush" not in lines[0]
    assert f"('MINE', '{before}/cache/x')" in lines[0]
    assert f"('HOME', '{before}/home/ma-user')" in lines[0]
    assert "('RANK_ID', '0')" in lines[0]


def test_a_start_that_fails_leaves_nothing_running(tmp_path):
    """The place where ranks meet is there before msrun is missed."""
    request = Request(
        "modelarts-v2", "job", "obs://b/code/x/", "train.py", nodes=2, launcher="msrun", is_own=False
    )
    nodes = [
        Node(number, tmp_path / f"node-{number}", platforms.container(request, "job", number), print)
        for number in range(2)
    ]
    bare = replace(PYTHON, python=f"{tmp_path}/python", has=frozenset())
    (tmp_path / "python").symlink_to("/bin/sleep")
    found = Launcher(request, "job", nodes, bare, {})
    with pytest.raises(JobError, match="^launcher: msrun is not there"):
        found.start()
    assert found.pids()
    assert [pid for pid in found.pids() if start_ticks(pid) is not None] == []
