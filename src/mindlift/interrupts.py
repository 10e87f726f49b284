"""Signals: Ctrl-C and SIGTERM at a place where they do no harm, and handlers that are given back."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator, Mapping
from types import FrameType
from typing import Callable, Optional, Union

Handler = Union[Callable[[int, Optional[FrameType]], object], int, None]  # what signal.signal takes


@contextlib.contextmanager
def handling(handlers: Mapping[int, Handler]) -> Iterator[None]:
    """Those handlers in the block, and the former ones after it. Only in the main thread."""
    former = {number: signal.getsignal(number) for number in handlers}
    try:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def leave_ctrl_c_to_parent() -> None:
    """Ctrl-C reaches the whole process group; this process is ended by its parent, when that is done with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class SignalFlag:
    """A `with` block that only notes SIGTERM and SIGINT; the second of one kind does what it did before the block.

    `number` is the signal that came last, 0 if none did.
    """

    def __init__(self) -> None:
        self.number = 0
        self.previous: dict[int, Handler] = {}

    def __enter__(self) -> SignalFlag:
        for number in (signal.SIGTERM, signal.SIGINT):
            self.previous[number] = signal.signal(number, self.note)
        return self

    def note(self, number: int, _frame: FrameType | None) -> None:
        self.number = number
        self.restore(number)

    def restore(self, *numbers: int) -> None:
        for number in numbers:
            signal.signal(number, self.previous[number])

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.restore(*self.previous)


class Deferred(SignalFlag):
    """A `with` block in which SIGINT and SIGTERM wait for `check` or for the end of the block.

    Then KeyboardInterrupt is raised. A second signal does what it did before the block. Both are held
    because mindspore turns SIGINT into SIGTERM once it has compiled a graph.
    """

    def __enter__(self) -> Deferred:
        super().__enter__()
        return self

    def note(self, number: int, _frame: FrameType | None) -> None:
        self.number = number
        self.restore(*self.previous)

    def check(self) -> None:
        if self.number:
            raise KeyboardInterrupt

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        super().__exit__(kind, *error)
        if kind is None:
            self.check()
