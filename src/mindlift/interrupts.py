"""Ctrl-C and SIGTERM at a place where they do no harm."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any


class Deferred:
    """A `with` block in which SIGINT and SIGTERM wait for `check` or for the end of the block.

    Then KeyboardInterrupt is raised. A second signal does what it did before the block. Both are held
    because mindspore turns SIGINT into SIGTERM once it has compiled a graph.
    """

    def __init__(self) -> None:
        self.came = False
        self.previous: dict[int, Any] = {}

    def __enter__(self) -> Deferred:
        for number in (signal.SIGTERM, signal.SIGINT):
            self.previous[number] = signal.signal(number, self.note)
        return self

    def note(self, number: int, _frame: FrameType | None) -> None:
        self.came = True
        self.restore()

    def restore(self) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)

    def check(self) -> None:
        if self.came:
            raise KeyboardInterrupt

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.restore()
        if kind is None:
            self.check()
