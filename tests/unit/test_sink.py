"""Sink mode, with a stand-in for the device's queue: what arrives, what fails by name, and what is left at the end."""

from __future__ import annotations

import contextlib
import threading
import time

import mindspore as ms
import mindspore.nn as nn
import mindspore.ops as ops
import numpy as np
import pytest

from mindlift.data.workers import InThreads, Unfilled
from mindlift.errors import DataError
from mindlift.runs.log import Pace
from mindlift.training import sink
from tests.support import ascend_form

COUNT = 12


class Source:
    """Batches of two rows (value, label); row `bad` can't be read, and row `slow` takes its time."""

    def __init__(self, bad: int | None = None, slow: int | None = None):
        self.bad, self.slow = bad, slow
        self.read: list[int] = []

    def batch(self, number: int) -> Unfilled:
        values, labels = np.empty((2, 3, 4), np.uint8), np.empty(2, np.int32)

        def fill(row: int) -> None:
            value = 2 * number + row
            self.read.append(value)
            if value == self.slow:
                time.sleep(0.5)
            if value == self.bad:
                raise DataError(f"can't read image cat{value}.jpg")
            values[row], labels[row] = value, value

        return Unfilled((values, labels), fill)


def batches(rows: int = 2 * COUNT, **of_source: int) -> tuple[InThreads, Source]:
    source = Source(**of_source)
    return InThreads(source, range(rows // 2), 2, workers=1), source


class Sums(nn.Cell):
    """A step of which the loss is the sum of the labels."""

    def construct(self, images, labels):
        return labels.astype(ms.float32).sum() + 0 * images.astype(ms.float32).sum(), ops.ones((), ms.bool_)


@pytest.fixture(autouse=True)
def stand_in(monkeypatch):
    monkeypatch.setattr(sink, "connected", ascend_form.connected)
    before = threading.active_count()
    yield
    deadline = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert threading.active_count() <= before, "a thread was left behind"


def test_each_batch_once_and_in_order():
    of_rows, source = batches()
    assert losses(of_rows, COUNT) == [4 * number + 1 for number in range(COUNT)]
    assert source.read == list(range(2 * COUNT))


def losses(of_rows: InThreads, steps: int) -> list[float]:
    pace = Pace()
    with contextlib.closing(sink.Queue(Sums(), of_rows)) as queue:
        return [float(queue.step(pace.waiting)[0].asnumpy()) for _ in range(steps)]


def test_a_failure_of_the_data_is_raised_by_its_own_name_before_its_step():
    """When its batch is due, which is a few steps ahead."""
    of_rows, _ = batches(bad=15)
    with pytest.raises(DataError, match=r"can't read image cat15\.jpg"):
        losses(of_rows, 8)


def test_a_failure_of_the_first_batch_comes_before_anything_is_connected():
    of_rows, _ = batches(bad=0)
    with pytest.raises(DataError, match=r"cat0\.jpg"):
        sink.Queue(Sums(), of_rows)


def test_the_time_that_steps_wait_for_data_is_told():
    of_rows, _ = batches(slow=2 * COUNT - 2)
    queue, pace = sink.Queue(Sums(), of_rows), Pace()
    for _ in range(COUNT):
        queue.step(pace.waiting)
        pace.count(2)
    queue.close()
    reading = pace.read()
    assert 0.25 < reading.data_wait * reading.step_seconds * (COUNT - 1) < 0.6


@pytest.mark.parametrize("steps", [0, 1, 5])
def test_a_queue_that_is_closed_early_stops_reading(steps):
    of_rows, source = batches(rows=400)
    queue, pace = sink.Queue(Sums(), of_rows), Pace()
    for _ in range(steps):
        queue.step(pace.waiting)
    time.sleep(0.3)
    queue.close()
    read = len(source.read)
    time.sleep(0.3)
    assert len(source.read) == read < 200


def test_a_connection_that_fails_leaves_no_pipeline_behind(monkeypatch):
    def refused(*_: object):
        raise RuntimeError("Unsupported op [InitDataSetQueue] on CPU")

    monkeypatch.setattr(sink, "connected", refused)
    of_rows, source = batches(rows=400)
    with pytest.raises(RuntimeError, match="InitDataSetQueue"):
        sink.Queue(Sums(), of_rows)
    read = len(source.read)
    time.sleep(0.3)
    assert len(source.read) <= read + 2


def test_shapes_are_asked_for_without_taking_a_batch():
    """MindSpore runs a pipeline once more to learn its shapes."""
    of_rows, _ = batches()
    source = iter(of_rows)
    handover = sink.Handover(next(source), len(of_rows))
    dataset = sink.transfer(handover)
    assert dataset.output_shapes() == [[2, 3, 4], [2]]
    assert [str(kind) for kind in dataset.output_types()] == ["uint8", "int32"]
    assert dataset.get_dataset_size() == COUNT
    assert len(handover.batches) == 1
    source.close()
