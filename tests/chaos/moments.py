"""Moments of a run's life at which accidents happen. Drawn by their phase: most of a short training is its start."""

from __future__ import annotations

import os
import random
import time
from dataclasses import dataclass

from tests.chaos.jobs import Attempt, Job, wait_until

PHASES = ("start", "steps", "save", "publish", "end")
LAST = 10**9  # of the steps that there are


@dataclass(frozen=True)
class Moment:
    """`share` (0 to 1) of a phase, that of step `step` where the phase comes again and again."""

    phase: str
    step: int
    share: float

    def __str__(self) -> str:
        return f"{self.phase}, step {self.step}, {self.share:.2f}"

    def await_in(self, job: Job, attempt: Attempt) -> None:
        """Returns at that moment, or when the attempt has ended."""
        if self.phase == "start":
            pause(self.share * job.whole.first_step_s, attempt)
            return
        step = min(self.step, job.kind.steps - 1)
        wait_until(lambda: f", step {step + 1} of " in attempt.out, attempt)
        if self.phase == "steps":
            pause(self.share * 0.2, attempt)
        elif self.phase == "save":
            wait_until(lambda: is_saving(job) or is_over(job), attempt)
            pause(self.share * 0.03, attempt)
        elif self.phase == "publish":
            pause(self.share, attempt)
        else:
            wait_until(lambda: is_over(job), attempt)
            pause(self.share, attempt)


def draw(rng: random.Random, index: int, phases: tuple[str, ...] = PHASES) -> Moment:
    """Point `index` of a scenario: its phases take turns."""
    phase = phases[index % len(phases)]
    return Moment(phase, LAST if phase == "end" else rng.randint(1, 16), rng.random())


def is_saving(job: Job) -> bool:
    """Whether a checkpoint is being written."""
    inside = [entry for run in job.runs() for entry in os.walk(run / "checkpoints")]
    return any(name.endswith(".part") for _, folders, files in inside for name in (*folders, *files))


def is_over(job: Job) -> bool:
    return any((run / "result.json").exists() for run in job.runs())


def pause(seconds: float, attempt: Attempt) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not attempt.has_ended:
        time.sleep(0.001)
