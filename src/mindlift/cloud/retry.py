"""Asking a service again while that may help, with a deadline."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from mindlift.cloud.errors import NoAnswer, Overloaded

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 20.0
Result = TypeVar("Result")


def silent(line: str) -> None:
    pass


@dataclass
class RetryPolicy:
    """`call` repeats a request that met 429, 5xx or no answer, for `deadline_s` at most."""

    deadline_s: float = 120.0
    say: Callable[[str], None] = silent
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def call(self, request: Callable[[], Result]) -> Result:
        """`request()`; its last Overloaded or NoAnswer when the time is up."""
        started, wait = self.clock(), FIRST_WAIT_S
        while True:
            try:
                return request()
            except (Overloaded, NoAnswer) as err:
                pause = max(wait * random.uniform(0.5, 1), getattr(err, "retry_after_s", 0.0))
                if self.clock() + pause - started > self.deadline_s:
                    raise
                self.say(f"{err}; again in {pause:.0f} s" if pause >= 1 else f"{err}; again")
                self.sleep(pause)
                wait = min(2 * wait, LONGEST_WAIT_S)
