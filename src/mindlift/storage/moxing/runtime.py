"""`moxing.framework.util.runtime`: the names that scripts call."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from mindlift.interrupts import handling


class MoxTimeoutError(TimeoutError):
    """A block took longer than `mox_timeout` allows."""


def reset_logger(level: int = logging.INFO) -> None:
    """Set the level of the `moxing` logger. The root logger was never touched."""
    logging.getLogger("moxing").setLevel(level)


@contextlib.contextmanager
def mox_timeout(seconds: float) -> Iterator[None]:
    """MoxTimeoutError in the block after `seconds`; only in the main thread, elsewhere without effect."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise MoxTimeoutError(f"not finished after {seconds} s")

    with handling({signal.SIGALRM: ring}):
        try:
            signal.setitimer(signal.ITIMER_REAL, seconds)
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
