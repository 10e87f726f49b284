"""submit.py top: of a real rehearsal, through pipes, and on a terminal that changes its size."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mindlift.cloud.follow.screen import ENTER, LEAVE
from mindlift.cloud.platforms.request import Request, State
from mindlift.cloud.providers.local.folder import JobFolder
from tests.support.home import wait_for
from tests.support.programs import ROOT, environment, run_program
from tests.support.terminal import Terminal

FRAME = re.compile(r"\033\[H(.*?)\033\[J", re.DOTALL)
CODES = re.compile(r"\033\[[\d;]*[Km]")


@pytest.mark.heavy
def test_top_of_a_rehearsal(home, few_digits):
    handle = home.submit(
        "--net",
        "densenet22",
        "--dataset",
        "digits",
        "--data_url",
        few_digits,
        "--recipe",
        "max_epoch=300",
        "log_interval=1",
        "eval_interval=1",
    )
    found: dict = {}

    def has_figures() -> bool:
        done = home.run("top", "--once", "--json")
        assert done.code == 0, done.err
        (row,) = json.loads(done.out)
        found.update(row)
        return "top1" in row and row["eta_s"] is not None

    wait_for(has_figures)
    assert (found["handle"], found["phase"]) == (handle, "running")
    assert (found["steps_per_epoch"], found["total"]) == (6, 1800)
    assert 0 < found["step"] < 1800
    table = home.run("watch", "--once", "--state", "running")
    head, line = table.out.splitlines()
    assert head.split()[:5] == ["JOB", "PHASE", "EPOCH", "STEP", "LOSS"]
    assert re.match(rf"{handle} +running +[\d.]+/300 +\d+/1800 +[\d.]+ +[\d.]+ % ", line)
    assert "\033" not in table.out
    home.run("cancel", handle)
    wait_for(lambda: home.status(handle)["phase"] == "stopped", 60)
    (row,) = json.loads(home.run("top", "--once", "--json").out)
    assert (row["phase"], row["eta_s"]) == ("stopped", None)
    assert row["step"] >= found["step"]
    assert home.run("top", "--once", "--state", "running").out == "no jobs\n"


@pytest.fixture
def jobs(tmp_path) -> dict[str, str]:
    """The environment of a user with twelve jobs that wait."""
    for number in range(12):
        folder = JobFolder(tmp_path / f"densenet100-digits-1123-1015{number:02d}")
        folder.root.mkdir()
        request = Request("modelarts-v2", folder.id, "", "train.py")
        folder.request_file.write_text(request.as_json())
        folder.write_state(State("queued", created_at=time.time()))
    return {"MINDLIFT_REHEARSALS": str(tmp_path), "HOME": str(tmp_path), "TERM": "xterm"}


def test_pipes_get_whole_tables(jobs):
    process = subprocess.Popen(
        [sys.executable, "cloud/submit.py", "top", "--interval", "0.5"],
        cwd=ROOT,
        env=environment(**jobs),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout
    lines = [process.stdout.readline() for _ in range(3 * 14)]
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "")
    assert [line.split()[:1] for line in lines[::14]] == [["JOB"]] * 3
    assert lines[13::14] == ["\n"] * 3
    assert "\033" not in "".join(lines)


def test_json_lines(jobs):
    process = subprocess.Popen(
        [sys.executable, "cloud/submit.py", "top", "--json", "--limit", "2"],
        cwd=ROOT,
        env=environment(**jobs),
        text=True,
        stdout=subprocess.PIPE,
    )
    assert process.stdout
    found = json.loads(process.stdout.readline())
    process.stdout.close()  # as `| head -1` does
    assert process.wait(timeout=30) == 1
    assert [item["phase"] for item in found] == ["queued", "queued"]


def test_mistakes(jobs):
    for words, part in (
        (["--interval", "-1"], "--interval"),
        (["--state", "flying"], "expected one of queued"),
    ):
        done = run_program("cloud/submit.py", "top", *words, **jobs)
        assert done.code == 2
        assert part in done.error


class Watched(Terminal):
    """submit.py top, and the pages that it has drawn."""

    def frames(self) -> list[list[str]]:
        """The lines of each page that was drawn."""
        return [re.split("\r+\n", CODES.sub("", frame)) for frame in FRAME.findall(self.read())]

    def wait_for_frame(self, columns: int, lines: int) -> list[str]:
        """The first page since now that fills a terminal of this size."""
        wait_for(lambda: any(fills(frame, columns, lines) for frame in self.frames()), 60)
        found = next(frame for frame in self.frames() if fills(frame, columns, lines))
        self.said = ""
        return found


def fills(frame: list[str], columns: int, lines: int) -> bool:
    return len(frame) == lines and columns - 3 <= max(map(len, frame)) < columns


@pytest.fixture
def terminal(jobs) -> Iterator[Watched]:
    with Watched([sys.executable, "cloud/submit.py", "top", "--interval", "60"], jobs, 70, 10) as found:
        yield found


def test_a_terminal_is_drawn_anew_when_it_is_resized_and_given_back(terminal):
    wait_for(lambda: len(terminal.frames()) > 1, 60)
    assert terminal.said.startswith(ENTER)
    assert not terminal.is_echoing()
    frame = terminal.frames()[-1]
    assert frame[0].endswith("12 jobs, 12 queued  every 60 s, Ctrl-C ends")
    assert {"JOB", "PHASE", "STEP", "LOSS"} <= set(frame[2].split())
    assert frame[-1] == "6 more"
    for columns, lines in ((36, 6), (50, 10)):  # long before the next look
        terminal.resize(columns, lines)
        assert terminal.wait_for_frame(columns, lines)[-1].endswith(" more")
    terminal.type("ls\n\x03")
    assert terminal.process.wait(timeout=30) == 130
    rest = terminal.read()
    assert rest.endswith(LEAVE)
    assert "Traceback" not in rest
    assert terminal.is_echoing()
    assert not select.select([terminal.slave], [], [], 0)[0], "what was typed is not left to the shell"


def test_a_terminal_is_given_back_at_sigterm_and_while_stopped(terminal):
    wait_for(lambda: len(terminal.frames()) > 1, 60)
    terminal.type("\x1a")
    wait_for(lambda: terminal.read().endswith(LEAVE), 30)
    wait_for(lambda: "T (stopped)" in Path(f"/proc/{terminal.process.pid}/status").read_text(), 30)
    assert terminal.is_echoing()
    terminal.said = ""
    os.kill(terminal.process.pid, signal.SIGCONT)
    wait_for(lambda: bool(terminal.frames()), 30)
    assert terminal.said.startswith(ENTER)
    terminal.process.terminate()
    assert terminal.process.wait(timeout=30) == 143
    assert terminal.read().endswith(LEAVE)
