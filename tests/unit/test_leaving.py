"""Ranks of a launch script end together, because a peer's answer may still be needed; see device_adapter.leave."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from mindlift.model_utils import device_adapter
from tests.support.programs import ROOT, environment


def rank(folder: Path, size: int, code: int) -> subprocess.Popen:
    program = f"from mindlift.model_utils import device_adapter; print('at the end', flush=True); device_adapter.leave({code})"
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=environment(MINDLIFT_LAUNCHER=f"{size}:{folder}"),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "at the end\n"
    return process


@pytest.mark.parametrize("code", [0, 143])
def test_a_rank_waits_for_the_others(tmp_path, code):
    early = rank(tmp_path, 2, code)
    with pytest.raises(subprocess.TimeoutExpired):
        early.wait(1)
    late = rank(tmp_path, 2, 0)
    assert (early.wait(10), late.wait(10)) == (code, 0)


@pytest.mark.parametrize(("code", "size", "folder"), [(1, 2, ""), (2, 2, ""), (0, 1, ""), (0, 2, "removed")])
def test_a_rank_that_failed_or_is_alone_does_not_wait(tmp_path, code, size, folder):
    assert rank(tmp_path / folder, size, code).wait(10) == code


def test_patience_has_an_end(tmp_path):
    started = time.monotonic()
    device_adapter.await_others(tmp_path, 2, 0.3)
    assert 0.3 <= time.monotonic() - started < 5


def test_without_a_launcher_python_ends_the_process(monkeypatch):
    monkeypatch.delenv(device_adapter.LAUNCHER, raising=False)
    monkeypatch.setattr(device_adapter, "JOINED", [])
    with pytest.raises(SystemExit) as left:
        device_adapter.leave(3)
    assert left.value.code == 3


@pytest.mark.parametrize(("code", "signs_off"), [(0, True), (3, False)])
def test_a_rank_of_another_launcher_that_failed_does_not_sign_off(code, signs_off):
    """MindSpore signs off at Python's exit, as this program's function does."""
    program = (
        "import atexit; from mindlift.model_utils import device_adapter; from mindlift.model_utils.ranks import Ranks;"
        f" device_adapter.JOINED.append(Ranks(0, 2)); atexit.register(print, 'signed off'); device_adapter.leave({code})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment(), capture_output=True, text=True
    )
    assert (done.returncode, "signed off" in done.stdout) == (code, signs_off), done.stderr
