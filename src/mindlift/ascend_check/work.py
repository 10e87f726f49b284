"""What a part of the check works with: the place, its programs, their logs and figures."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict, cast

from mindlift import json_text, language
from mindlift.ascend_check import redaction
from mindlift.checkout import ROOT, SOURCES
from mindlift.model_utils.devices import Device


class Failed(Exception):
    """A part that failed; says what is wrong."""


class Skipped(Exception):
    """A part that can't run here; says why."""


class Command(TypedDict):
    command: str
    exit_code: int
    seconds: float


class Trained(TypedDict):
    """The result that train.py prints, as far as it is read here."""

    run: str
    checkpoint: str
    steps: int
    images_per_second: float
    seconds_to_first_step: float


class StepFigures(TypedDict):
    losses: list[float | None]
    step_seconds: list[list[float]]  # of each rank
    data_wait: list[list[float]]
    images_per_second: float
    seconds_to_first_step: float
    memory_mb: list[float] | None
    skipped_steps: int | None


@dataclass(frozen=True)
class Place:
    device: Device
    cards: int  # for the part on all cards
    rank_table: Path | None
    folder: Path
    redact: redaction.Redact
    keeps: bool = False  # what parts leave on disk stays


@dataclass
class Work:
    """One part while it runs. `deadline` is on the monotonic clock; at it, programs are killed."""

    place: Place
    folder: Path
    deadline: float
    figures: dict[str, object] = field(default_factory=dict)
    commands: list[Command] = field(default_factory=list)
    log: list[str] = field(default_factory=list)

    def python(self, *words: object, kill_when: Callable[[str], bool] | None = None) -> str:
        return self.run(sys.executable, *words, kill_when=kill_when)

    def python_under(self, program: Sequence[object], *words: object) -> str:
        """Run Python by another program, such as a profiler."""
        return self.run(*program, sys.executable, *words)

    def train(self, *words: object) -> Trained:
        """train.py in one process; the result that it prints."""
        common = ("--ckpt_path", self.folder / "runs", "--is_distributed", 0, *self.target)
        return trained(self.python("train.py", *words, *common))

    @property
    def target(self) -> tuple[str, ...]:
        return "--device_target", self.place.device.target

    def run(
        self,
        *command: object,
        env: Mapping[str, str] | None = None,
        kill_when: Callable[[str], bool] | None = None,
    ) -> str:
        """What a program printed on stdout; Failed for another exit code than 0 or a program that takes too long.

        With `kill_when` it is killed as soon as that is true of its output, and Failed if it ends before.
        """
        words = [str(word) for word in command]
        started = time.monotonic()
        number = len(self.commands)
        out, err = (self.folder / f"{number}.{kind}" for kind in ("out", "err"))
        with open(out, "wb") as stdout, open(err, "wb") as stderr:
            process = subprocess.Popen(
                words,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
                env={
                    **redaction.public(os.environ),
                    "PYTHON": sys.executable,
                    "PYTHONUNBUFFERED": "1",
                    language.VARIABLE: language.ENGLISH,  # what is printed is read here
                    "PYTHONPATH": os.pathsep.join(filter(None, (str(SOURCES), os.environ.get("PYTHONPATH")))),
                    **(env or {}),
                },
            )
        is_killed = False
        try:
            while process.poll() is None and time.monotonic() < self.deadline and not is_killed:
                time.sleep(0.05)
                is_killed = bool(kill_when and kill_when(text_of(out)))
            is_late = process.poll() is None and not is_killed
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            code = process.wait()
        self.commands.append(
            {"command": shlex.join(words), "exit_code": code, "seconds": round(time.monotonic() - started, 1)}
        )
        self.log.append(f"$ {shlex.join(words)}\n{text_of(out)}{text_of(err)}[exit code {code}]\n")
        self.check_exit(words, code, is_late, is_killed, wants_kill=kill_when is not None)
        return text_of(out)

    def check_exit(
        self, words: Sequence[str], code: int, is_late: bool, is_killed: bool, wants_kill: bool
    ) -> None:
        name = name_of(words)
        if is_late:
            raise Failed(f"{name} was not done when its time was over")
        if wants_kill and not is_killed:
            raise Failed(f"{name} ended before it could be killed, with exit code {code}")
        if code and not is_killed:
            lines = [line for line in self.log[-1].splitlines()[1:-1] if line.strip()]
            telling = [line for line in lines if line.startswith("error: ")] or lines
            raise Failed(
                f"{name} ended with exit code {code}" + (f": {telling[-1][:300]}" if telling else "")
            )


def name_of(words: Sequence[str]) -> str:
    """What a command runs, for people."""
    if "-m" in words[:-1]:
        return words[words.index("-m") + 1]
    return next((Path(word).name for word in words if word.endswith((".py", ".sh"))), Path(words[0]).name)


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def trained(out: str) -> Trained:
    return cast("Trained", result_of(out))


def result_of(out: str) -> dict[str, object]:
    """The last line of JSON that a program printed; Failed if there is none."""
    for line in reversed(out.splitlines()):
        with contextlib.suppress(ValueError):
            if isinstance(found := json_text.parse(line), dict):
                return found
    raise Failed("the program printed no result")


def step_figures(result: Trained) -> StepFigures:
    """Of a run: losses and times of its steps."""
    steps = [
        line for line in json_text.read_records(Path(result["run"]) / "metrics.jsonl")[0] if "lr" in line
    ]
    return {
        "losses": [line["loss"] for line in steps],
        "step_seconds": [line["step_seconds"] for line in steps],
        "data_wait": [line["data_wait"] for line in steps],
        "images_per_second": result["images_per_second"],
        "seconds_to_first_step": result["seconds_to_first_step"],
        "memory_mb": steps[-1]["memory_mb"] if steps else None,
        "skipped_steps": steps[-1]["skipped"] if steps else None,
    }
