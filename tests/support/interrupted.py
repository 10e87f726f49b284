"""Programs that are restricted or interrupted, and the files that they leave."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.support.programs import ROOT, TRAIN, Finished, environment


def files(*folders: Path) -> dict[Path, tuple[int, int]]:
    found = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in found}


def prepared(prepare: Callable[[], None], *given: object) -> Finished:
    """train.py in a process that `prepare` has restricted."""
    command = [sys.executable, str(ROOT / TRAIN), *map(str, given)]
    return Finished(
        subprocess.run(
            command,
            cwd=ROOT,
            env=environment(),
            preexec_fn=prepare,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    )


def interrupted(
    program: str, *given: object, when: Callable[[subprocess.Popen], bool], number: int = signal.SIGINT
) -> Finished:
    """A program that is sent a signal, Ctrl-C, as soon as `when` is true."""
    process = subprocess.Popen(
        [sys.executable, str(ROOT / program), *map(str, given)],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not when(process):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, number)
    out, err = process.communicate(timeout=60)
    return Finished(subprocess.CompletedProcess([], process.returncode, out, err))
