"""Trainings whose end is known: what a training that has had an accident is compared with. Made once for all points."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.programs import ROOT, TINY, TRAIN, environment

EVERY = ("--max_epoch", "3", "--ckpt_interval", "2", "--log_interval", "1")
COMPILED = (
    0.5  # the time to the first step of a job that finds its graph in the cache, to that of one that does not
)
STEPS = 18  # 200 images in batches of 32, three times


@dataclass(frozen=True)
class Kind:
    """The options that decide the weights."""

    name: str
    ranks: int
    words: tuple[str, ...]
    steps: int = STEPS


ONE = Kind("one", 1, (*TINY, *EVERY))
TWO = Kind("two", 2, (*TINY, *EVERY, "--per_batch_size", "16"))
DROPOUT = Kind(
    "dropout",
    1,
    (
        *("--net", "deeplab_v3_r26_s16", "--dataset", "vocdigits", "--run_eval", "false"),
        *("--image_size", "33", "--per_batch_size", "4", "--dropout", "0.5"),
        *("--max_steps", "8", "--ckpt_interval", "2", "--log_interval", "1"),
    ),
    8,
)


@dataclass(frozen=True)
class Whole:
    """A training without an accident: its run folder, its last checkpoint, and how long the start of a job takes."""

    run: Path
    checkpoint: Path
    first_step_s: float


class Shared:
    """The data, a cache with compiled graphs, and the trainings without an accident. Several processes may use it."""

    def __init__(self, folder: Path, digits: Path):
        self.folder, self.digits = folder, digits
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    def words(self, kind: Kind) -> list[str]:
        """The command's words, without where it writes."""
        data = ["--data_dir", str(self.data)] if kind is not DROPOUT else []
        return [*kind.words, *data]

    @property
    def data(self) -> Path:
        with self.locked("data"):
            if not (self.folder / "data").exists():
                shutil.copytree(self.digits, self.folder / "data")
        return self.folder / "data"

    def whole(self, kind: Kind) -> Whole:
        with self.locked(kind.name):
            note = self.folder / f"{kind.name}.json"
            if not note.exists():
                self.train(kind, note)
            run, checkpoint, first_step_s = json.loads(note.read_text())
        return Whole(Path(run), Path(checkpoint), first_step_s)

    def train(self, kind: Kind, note: Path) -> None:
        done = subprocess.run(
            command(kind, [*self.words(kind), "--ckpt_path", str(self.folder / kind.name)]),
            cwd=ROOT,
            env=variables(self.cache, self.folder / f"logs-{kind.name}"),
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )
        assert done.returncode == 0, done.stderr + done.stdout
        result = json.loads(done.stdout.strip().splitlines()[-1])
        assert result["steps"] == kind.steps
        first = COMPILED * result["seconds_to_first_step"]
        note.write_text(json.dumps([result["run"], result["checkpoint"], first]))

    def cut(self, kind: Kind) -> Path:
        """The folder of a run that was killed after half of its steps."""
        self.whole(kind)
        with self.locked(f"cut-{kind.name}"):
            runs = self.folder / f"cut-{kind.name}"
            if not runs.exists():
                kill_half_way(command(kind, [*self.words(kind), "--ckpt_path", str(runs)]), self, kind)
        return next(runs.iterdir())

    @contextmanager
    def locked(self, name: str) -> Iterator[None]:
        with open(self.folder / f".{name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def command(kind: Kind, words: list[str]) -> list[str]:
    launcher = ["bash", str(ROOT / "scripts/local_ranks.sh"), str(kind.ranks)]
    return [*(launcher if kind.ranks > 1 else [sys.executable]), str(ROOT / TRAIN), *words, "--json", "true"]


def variables(cache: Path, logs: Path) -> dict[str, str]:
    return environment(
        PYTHON=sys.executable, PYTHONUNBUFFERED="1", LOG_DIR=str(logs), MINDLIFT_CACHE=str(cache)
    )


def kill_half_way(words: list[str], shared: Shared, kind: Kind) -> None:
    process = subprocess.Popen(
        words,
        cwd=ROOT,
        env=variables(shared.cache, shared.folder / "logs-cut"),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert process.stdout
    for line in process.stdout:
        if f", step {kind.steps // 2 + 1} of " in line:
            break
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
