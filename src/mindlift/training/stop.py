"""How ranks agree to stop: a signal may reach only one of them, or each in another step, and their clocks differ.

A rank that got a signal sends its number along with the loss of the next step (step.Backward), so all ranks learn of it in
the same step, save that step and leave. This costs no collective of its own.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import mindspore as ms
import numpy as np

from mindlift.interrupts import SignalFlag
from mindlift.model_utils.collectives import Peers
from mindlift.training.step import TrainStep

TIME_IS_UP = 1000  # sent like the number of a signal, and no signal's


class Stop:
    """Whether the training stops after this step; the same on all ranks.

    `deadline` is the time in seconds since the epoch, by `clock`, from which on it does, None for never.
    """

    def __init__(
        self,
        flag: SignalFlag,
        step: TrainStep,
        ranks: Peers,
        deadline: float | None = None,
        clock: Callable[[], float] = time.time,
    ):
        self.flag, self.step, self.ranks = flag, step, ranks
        self.deadline, self.clock = deadline, clock
        self.is_told = False

    @property
    def own(self) -> int:
        """The number of the signal that this rank got, TIME_IS_UP, or 0."""
        is_up = self.deadline is not None and self.clock() >= self.deadline
        return self.flag.number or (TIME_IS_UP if is_up else 0)

    def tell(self) -> None:
        """Let the other ranks know in the next step of a signal that this one got, or of its time."""
        number = self.own
        if number and self.ranks.size > 1 and not self.is_told:
            own = np.zeros(self.ranks.size)
            own[self.ranks.rank] = number
            self.step.signals.set_data(ms.Tensor(own, ms.float32))
            self.is_told = True

    @property
    def is_agreed(self) -> bool:
        return any(self.signals())

    def signals(self) -> list[int]:
        """The number of the signal of each rank, 0 if it got none, as all ranks know it."""
        return [self.own] if self.ranks.size == 1 else self.step.heard

    @property
    def is_planned(self) -> bool:
        """Whether it stops because its time is up, and no signal came."""
        return set(self.signals()) <= {0, TIME_IS_UP}

    @property
    def number(self) -> int:
        """The signal that it was stopped by: this rank's own if it got one."""
        return self.signals()[self.signalled_rank()]

    def signalled_rank(self) -> int:
        """This rank if it got a signal, else the first that did."""
        heard = [rank for rank, number in enumerate(self.signals()) if number not in (0, TIME_IS_UP)]
        return self.ranks.rank if self.ranks.rank in heard else heard[0]

    def reason(self) -> str:
        """By what it was stopped, as this rank should say it."""
        rank = self.signalled_rank()
        return name_of(self.number) + ("" if rank == self.ranks.rank else f" to rank {rank}")


def name_of(number: int) -> str:
    return signal.Signals(number).name
