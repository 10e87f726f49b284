"""How ranks agree to stop: a signal may reach only one of them, or each in another step.

A rank that got a signal sends its number along with the loss of the next step (step.Backward), so all ranks learn of it in
the same step, save that step and leave. This costs no collective of its own.
"""

from __future__ import annotations

import signal

import mindspore as ms
import numpy as np

from mindlift.interrupts import SignalFlag
from mindlift.model_utils.collectives import Peers
from mindlift.training.step import TrainStep


class Stop:
    """Whether the training stops after this step; the same on all ranks."""

    def __init__(self, flag: SignalFlag, step: TrainStep, ranks: Peers):
        self.flag, self.step, self.ranks = flag, step, ranks
        self.is_told = False

    def tell(self) -> None:
        """Let the other ranks know in the next step of a signal that this one got."""
        if self.flag.number and self.ranks.size > 1 and not self.is_told:
            own = np.zeros(self.ranks.size)
            own[self.ranks.rank] = self.flag.number
            self.step.signals.set_data(ms.Tensor(own, ms.float32))
            self.is_told = True

    @property
    def is_agreed(self) -> bool:
        return any(self.signals())

    def signals(self) -> list[int]:
        """The number of the signal of each rank, 0 if it got none, as all ranks know it."""
        return [self.flag.number] if self.ranks.size == 1 else self.step.heard

    @property
    def number(self) -> int:
        """The signal that it was stopped by: this rank's own if it got one."""
        return self.signals()[self.signalled_rank()]

    def signalled_rank(self) -> int:
        signals, own = self.signals(), self.ranks.rank
        return own if signals[own] else next(rank for rank, number in enumerate(signals) if number)

    def reason(self) -> str:
        """By what it was stopped, as this rank should say it."""
        rank = self.signalled_rank()
        return name_of(self.number) + ("" if rank == self.ranks.rank else f" to rank {rank}")


def name_of(number: int) -> str:
    return signal.Signals(number).name
