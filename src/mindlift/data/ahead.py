"""Asks for the files of an evaluation some batches ahead, where files go again and nobody else knows that they are read soon."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mindlift.model_utils.streaming.arrivals import ARRIVALS

SOON = 8  # batches


class Ahead:
    """Of an evaluation that reads `indices` in their order, `batch` at a time; `paths_of` gives the files of one."""

    def __init__(self, paths_of: Callable[[int], Sequence[str]], indices: Sequence[int], batch: int):
        self.paths_of, self.indices, self.batch = paths_of, indices, batch

    def ask(self, number: int) -> None:
        """Before batch `number` is read."""
        if not ARRIVALS.lets_go:
            return
        first = number + SOON - 1 if number else 0
        rows = self.indices[first * self.batch : (number + SOON) * self.batch]
        ARRIVALS.will_read([path for index in rows for path in self.paths_of(index)])
