"""Where a training is, for the lines that a task says of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """Where a training is after a step; epochs and steps count from 0 and from 1.

    `epoch_steps` and `epoch_seconds` are those of this process since the epoch began or the training was continued.
    """

    epoch: int
    step: int
    step_in_epoch: int
    steps_per_epoch: int
    loss: float
    images_per_second: float | None
    epoch_steps: int
    epoch_seconds: float
