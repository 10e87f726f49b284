"""A program that works is heard: a line says what is going on wherever nothing else has been said for five seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType

from mindlift.language import localized

LIMIT_S, MOST_S = 5.0, 60.0
SHARE = 20  # of the time that has passed, between two lines about the same work: days of training are not a line every 5 s


class Watch:
    """Calls `say` with what `doing` tells, from a thread, as a `with` block; `heard` is told of everything else that is said.

    While C++ holds the interpreter's lock the thread waits, too, so what is long is also announced.
    """

    def __init__(
        self,
        say: Callable[[str], None],
        doing: Callable[[], str],
        limit_s: float = LIMIT_S,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.say, self.doing, self.limit_s, self.clock = say, doing, limit_s, clock
        self.began = self.last = clock()
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.run, name="silence", daemon=True)

    def __enter__(self) -> Watch:
        self.began = self.last = self.clock()
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ended.set()
        self.thread.join(1)

    def heard(self) -> None:
        self.last = self.clock()

    def left(self) -> float:
        """Seconds until something has to be said."""
        now = self.clock()
        pause = min(MOST_S, max(self.limit_s, (now - self.began) / SHARE))
        return self.last + pause - now

    def run(self) -> None:
        while not self.ended.wait(max(0.05, self.left())):
            if self.left() <= 0:
                self.heard()
                try:
                    self.say(self.doing())
                except (OSError, ValueError):  # the terminal is gone, the work goes on
                    return


def told(what: str) -> Watch:
    """For work that nothing else is said of: `with told("loading MindSpore"):`."""
    began = time.monotonic()
    return Watch(
        lambda line: print(localized(line), flush=True),
        lambda: f"{what}, {time.monotonic() - began:.0f} s so far",
        LIMIT_S,
    )
