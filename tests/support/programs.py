"""Real runs of train.py, eval.py and the other programs, as users start them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TRAIN, EVAL = "train.py", "eval.py"
TINY = ["--net", "densenet22", "--dataset", "digits", "--run_eval", "false"]
TRAINED = [*TINY, *"--max_epoch 3 --ckpt_interval 2 --log_interval 4 --tensorboard true".split()]
TRAINED += "--run_eval true --eval_interval 1 --eval_start_epoch 2".split()  # of the fixture `trained`


class Finished:
    """A finished process; `result` is the JSON line that train.py and eval.py end with, as `with_json` makes them."""

    def __init__(self, process: subprocess.CompletedProcess):
        self.code, self.out, self.err = process.returncode, process.stdout, process.stderr

    @property
    def result(self) -> dict:
        return json.loads(self.out.strip().splitlines()[-1])

    @property
    def error(self) -> str:
        """The one line that a failed run prints; fails the test if there are more or a traceback."""
        assert "Traceback" not in self.err + self.out, self.err
        lines = [line for line in self.err.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1, self.err
        return lines[0]


def environment(**extra: str) -> dict[str, str]:
    """The environment of a user's shell: none of the rank variables of this process."""
    private = ("RANK", "MS_", "DEVICE_", "OMPI_", "MA_", "VC_", "DLS_", "BATCH_")
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(private) and key != "OMP_NUM_THREADS"
    }
    return {**kept, "GLOG_v": "3", **extra}


def with_json(program: str, arguments: Sequence[object]) -> list[str]:
    """`arguments` that make the programs which have a result end with it as JSON."""
    wants = program in (TRAIN, EVAL) and "--json" not in arguments
    return [*map(str, arguments), *(["--json", "true"] if wants else [])]


def run_program(
    program: str, *arguments: object, cwd: Path = ROOT, timeout: float = 300, **extra: str
) -> Finished:
    command = [sys.executable, str(ROOT / program), *with_json(program, arguments)]
    process = subprocess.run(
        command,
        cwd=cwd,
        env=environment(**extra),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return Finished(process)


def run_ranks(count: int, program: str, *arguments: object, timeout: float = 300, **extra: str) -> Finished:
    """Run a program as `count` real processes through the launch script."""
    command = [
        "bash",
        str(ROOT / "scripts/local_ranks.sh"),
        str(count),
        str(ROOT / program),
        *with_json(program, arguments),
    ]
    process = subprocess.run(
        command,
        cwd=ROOT,
        env=environment(**{"PYTHON": sys.executable, **extra}),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return Finished(process)


def run_python(words: Sequence[object], cwd: Path = ROOT, **extra: str) -> subprocess.CompletedProcess[str]:
    """A command that starts a Python, with this checkout's package on its path."""
    return subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        env=environment(**{"PYTHONPATH": str(ROOT / "src"), **extra}),
        capture_output=True,
        text=True,
        check=False,
    )


def check_evaluation(run: Path, few_digits: Path, env: dict[str, str]) -> None:
    """eval.py finds what the run of a job reported of these 83 images."""
    done = run_program(EVAL, *TINY[:4], "--data_dir", few_digits, "--pretrained", run, **env)
    assert done.code == 0, done.err
    reported = json.loads((run / "result.json").read_text())
    names = ("top1", "top5", "total")
    assert [done.result[name] for name in names] == [reported[name] for name in names]
    assert reported["total"] == 83


def wait_for(condition: Callable[[], object], process: subprocess.Popen, seconds: float = 120) -> None:
    """Until `condition` holds, while `process` runs."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
