"""Batches whose rows are made by threads, each row in its place in the batch's arrays.

Nearly all of a row's time has to be spent in functions that let other threads run (OpenCV's, Pillow's resizing, numpy's on
whole images). What is left under Python's interpreter lock bounds the rows per second, however many threads there are.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import cv2
import numpy as np

from mindlift.backports import Protocol

AHEAD = 3  # batches that are made or waiting while one is used; one of 32 crops of 513 x 513 takes 135 MB
PARTS = 4  # of a batch for each thread


class Unfilled(NamedTuple):
    """The arrays of a batch, and what fills one row of them, whatever else is filled at the same time."""

    arrays: tuple[np.ndarray, ...]
    fill: Callable[[int], None]


class Source(Protocol):
    """The batches of a training, by number from its beginning: each the same whenever it is asked for."""

    def batch(self, number: int) -> Unfilled: ...


class InThreads:
    """Iterates over batches as tuples of tensors; `samples` says what was skipped."""

    def __init__(
        self,
        source: Source,
        numbers: range,
        batch: int,
        workers: int,
        passed: Callable[[int], None] = lambda count: None,
    ):
        """`passed` is told up to which number all batches are made."""
        self.source, self.numbers, self.batch, self.workers = source, numbers, batch, max(1, workers)
        self.passed = passed

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> Generator[tuple, None, None]:
        """Threads end when it is done or closed. An exception is that of the first row in order that has one."""
        import mindspore as ms  # here, because who only decodes images, as for MindSpore Lite, may not have it

        cv2.setNumThreads(1)  # the threads here are as many as the CPUs
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="images")
        waiting: deque[tuple[tuple[np.ndarray, ...], list[Future[None]]]] = deque()
        begun = (self.begun(pool, number) for number in self.numbers)
        numbers = iter(self.numbers)
        try:
            waiting.extend(itertools.islice(begun, AHEAD))
            while waiting:
                arrays, parts = waiting[0]
                for part in parts:
                    part.result()
                waiting.popleft()
                self.passed(next(numbers) + 1)
                waiting.extend(itertools.islice(begun, 1))
                yield tuple(ms.Tensor.from_numpy(array) for array in arrays)
        finally:
            for part in (part for _, parts in waiting for part in parts):
                part.cancel()
            pool.shutdown()

    def prepare(self, number: int) -> None:
        """Called before the files of batch `number` are read."""

    def begun(
        self, pool: ThreadPoolExecutor, number: int
    ) -> tuple[tuple[np.ndarray, ...], list[Future[None]]]:
        """The arrays of a batch, and the parts of it that threads fill."""
        self.prepare(number)
        arrays, fill = self.source.batch(number)
        rows = max(1, math.ceil(self.batch / (self.workers * PARTS)))
        starts = range(0, self.batch, rows)
        return arrays, [pool.submit(fill_rows, fill, range(i, min(i + rows, self.batch))) for i in starts]


def fill_rows(fill: Callable[[int], None], rows: Sequence[int]) -> None:
    for row in rows:
        fill(row)
