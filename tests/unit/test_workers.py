"""Batches whose rows threads make: order, failures, and what is left when they are closed."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from mindlift.data.workers import AHEAD, InThreads, Unfilled
from mindlift.errors import DataError

BATCH = 6


class Numbers:
    """Row r of batch n is 100 n + r; rows in `bad` can't be made, and those in `slow` take a while."""

    def __init__(self, bad: tuple[int, ...] = (), slow: tuple[int, ...] = ()):
        self.bad, self.slow = bad, slow
        self.begun: list[int] = []

    def batch(self, number: int) -> Unfilled:
        self.begun.append(number)
        rows = np.full((BATCH, 2), -1)

        def fill(row: int) -> None:
            value = 100 * number + row
            if value in self.slow:
                time.sleep(0.2)
            if value in self.bad:
                raise DataError(f"can't make {value}")
            rows[row] = value

        return Unfilled((rows, np.arange(BATCH)), fill)


@pytest.mark.parametrize("workers", [1, 2, 5, 40])
def test_batches_are_whole_and_in_order(workers):
    source = Numbers(slow=(400, 503))
    found = [batch[0].asnumpy()[:, 1] for batch in InThreads(source, range(4, 9), BATCH, workers)]
    assert np.stack(found).tolist() == [
        [100 * number + row for row in range(BATCH)] for number in range(4, 9)
    ]


def test_each_iteration_begins_anew():
    batches = InThreads(Numbers(), range(2), BATCH, 2)
    assert len(batches) == 2
    for _ in range(2):
        assert [int(batch[0].asnumpy()[0, 0]) for batch in batches] == [0, 100]


def test_nothing_is_nothing():
    assert list(InThreads(Numbers(), range(3, 3), BATCH, 2)) == []


def test_only_few_batches_are_made_ahead():
    source = Numbers()
    iterator = iter(InThreads(source, range(100), BATCH, 2))
    for done in range(3):
        next(iterator)
        time.sleep(0.05)
        assert len(source.begun) == done + 1 + AHEAD
    iterator.close()


def test_the_first_bad_row_is_told_when_its_batch_is_due():
    """Also if a later one fails before it."""
    iterator = iter(InThreads(Numbers(bad=(101, 104, 200), slow=(101,)), range(9), BATCH, 8))
    next(iterator)
    with pytest.raises(DataError, match="can't make 101"):
        next(iterator)


@pytest.mark.parametrize("taken", [0, 1, 3])
def test_closing_ends_the_threads(taken):
    before, source = threading.active_count(), Numbers()
    iterator = iter(InThreads(source, range(1000), BATCH, 3))
    for _ in range(taken):
        next(iterator)
    iterator.close()
    assert threading.active_count() == before
    assert len(source.begun) <= taken + AHEAD
