"""Where a training is, and the line about it; with `--log_style original` a task has its original's lines instead."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """Where a training is after a step; epochs and steps count from 0 and from 1.

    `total` are the steps of the whole training; `epoch_steps` and `epoch_seconds` are those of this process since the epoch began or the training was continued.
    """

    epoch: int
    step: int
    step_in_epoch: int
    steps_per_epoch: int
    loss: float
    images_per_second: float | None
    epoch_steps: int
    epoch_seconds: float
    total: int = 0

    def line(self) -> str:
        """Epochs and steps from 1, of so many."""
        epochs = math.ceil(self.total / self.steps_per_epoch)
        speed = "" if self.images_per_second is None else f", {self.images_per_second:.1f} images/s"
        return f"epoch {self.epoch + 1} of {epochs}, step {self.step} of {self.total}: loss {self.loss:.3f}{speed}"
