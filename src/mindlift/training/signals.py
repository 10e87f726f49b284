"""SIGTERM and SIGINT while a training runs."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Callable, Union

from mindlift.errors import MindLiftError

Handler = Union[Callable[[int, Union[FrameType, None]], object], int, None]


class Stopped(MindLiftError, InterruptedError):
    """A signal ended the training after it had saved a checkpoint."""


class SignalFlag:
    """Remembers SIGTERM and SIGINT so that the loop can save before it ends; a second one ends at once."""

    def __init__(self) -> None:
        self.number = 0
        self.previous: dict[int, Handler] = {}

    def __enter__(self) -> SignalFlag:
        for number in (signal.SIGTERM, signal.SIGINT):
            self.previous[number] = signal.signal(number, self.note)
        return self

    def note(self, number: int, _frame: object) -> None:
        self.number = number
        signal.signal(number, self.previous[number])

    def __exit__(self, *_: object) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)
