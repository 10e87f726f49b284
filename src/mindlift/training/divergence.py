"""When a training can't recover: the loss is no number, or far above all that it was, or every step overflows."""

from __future__ import annotations

import math
from collections import deque
from statistics import median

from mindlift.errors import MindLiftError

WINDOW = 100  # losses whose median is the running one
IN_A_ROW = 3  # losses above the bound that are no accident of a single batch
OVERFLOWS_IN_A_ROW = 20  # steps without an update while the loss scale can't fall any more
SLOWER = "lower --lr or raise --warmup_epochs"


class TrainingError(MindLiftError, ArithmeticError):
    """The training diverged."""


class Divergence:
    """Looks at every step's loss.

    A loss is compared with the running median, with the first loss, and with `chance`, the loss of guessing,
    for cross entropy ln(classes): so a few hard batches late in a training are no divergence, also after a resume, when the losses before
    it are not known. `factor` 0: losses are not compared.
    """

    def __init__(self, chance: float, factor: float, is_dynamic: bool):
        self.chance, self.factor, self.is_dynamic = chance, factor, is_dynamic
        self.losses: deque[float] = deque(maxlen=WINDOW)
        self.first: float | None = None
        self.high = self.overflows = 0

    def problem(self, loss: float, finite: bool, scale: float) -> tuple[str, str] | None:
        """What is wrong after a step with this loss, whose gradients were `finite`, at this loss scale; and what helps."""
        self.overflows = 0 if finite else self.overflows + 1
        if self.overflows >= OVERFLOWS_IN_A_ROW and (scale <= 1 or not self.is_dynamic):
            what = f"gradients overflowed in {self.overflows} steps in a row with a loss scale of {scale:g}"
            return what, SLOWER if scale <= 1 else "lower --loss_scale, or pass --is_dynamic_loss_scale 1"
        if not math.isfinite(loss):
            return None if self.is_dynamic else (f"loss is {loss}", SLOWER)
        return self.rise(loss)

    def rise(self, loss: float) -> tuple[str, str] | None:
        self.first = loss if self.first is None else self.first
        usual = max(self.chance, self.first, median(self.losses) if self.losses else 0.0)
        is_high = self.factor > 0 and loss > self.factor * usual
        self.high = self.high + 1 if is_high else 0
        if not is_high:
            self.losses.append(loss)
        if self.high < IN_A_ROW:
            return None
        what = f"loss is {loss:.4g}, above {self.factor:g} x {usual:.4g} in {self.high} steps in a row,"
        return what, f"{SLOWER}, or pass --divergence_factor 0 to let it go on"
