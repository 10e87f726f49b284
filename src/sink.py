"""Sink mode: the device takes the batches of its steps from a queue of its own, which is filled meanwhile.

Batches are made by the same host pipeline as without sink mode and handed on to MindSpore's transfer pipeline, because a
failure inside of a transfer pipeline reaches nobody: its queue stays empty, and the step waits for the time limit of
GetNext. Here it is known on the host how many batches were handed over, so that a step starts when its batch is there, a
failure is raised by its own name, and the time that steps wait for data can be told.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import mindspore as ms
import mindspore.dataset as ds
import mindspore.nn as nn
import numpy as np

from src.data.batches import Batches
from src.step import read

AHEAD = 2  # batches between the host pipeline and the device's queue
LOOK_S = 1.0  # between two looks at whether a signal has come


class Handover:
    """The batches of a host pipeline, one after another, for MindSpore's transfer pipeline.

    `arrivals` is what the steps see of it. Until `open` only the first batch is given, again and again: MindSpore asks
    for one to know the shapes.
    """

    def __init__(self, batches: Batches):
        self.count, self.source = len(batches), iter(batches)
        self.first = arrays(next(self.source))
        self.is_open = self.is_closed = False
        self.given, self.failure = 0, None
        self.changed = threading.Condition()

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[tuple[np.ndarray, ...]]:
        if not self.is_open:
            yield self.first
            return
        yield self.next_one(self.first)
        try:
            for batch in self.source:
                if self.is_closed:
                    return
                yield self.next_one(arrays(batch))
        except (
            Exception
        ) as err:  # of any kind: the thread that asks is MindSpore's and would keep it to itself
            with self.changed:
                self.failure = err
                self.changed.notify_all()

    def next_one(self, batch: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
        with self.changed:
            self.given += 1
            self.changed.notify_all()
        return batch

    def arrivals(self) -> Iterator[int]:
        """1, 2, ... as soon as so many batches were handed over; raises the failure of the one that could not be."""
        for number in range(1, self.count + 1):
            with self.changed:
                while self.given < number and self.failure is None:
                    self.changed.wait(LOOK_S)
                if self.given < number:
                    assert self.failure is not None
                    raise self.failure
            yield number

    def close(self) -> None:
        """End the host pipeline; the transfer pipeline has been released."""
        self.is_closed = True
        try:
            self.source.close()
        except ValueError:  # a thread is inside of it, and finds out when it gets its batch
            return


def arrays(batch: tuple[ms.Tensor, ...]) -> tuple[np.ndarray, ...]:
    return tuple(tensor.asnumpy() for tensor in batch)


class Queue:
    """Steps of `cell` on `batches`, which the device takes from its queue; close it before anything else runs there."""

    def __init__(self, cell: nn.Cell, batches: Batches):
        self.handover = Handover(batches)
        self.arrivals = self.handover.arrivals()
        try:
            self.cell, self.release = connected(cell, self.handover)
        except BaseException:
            self.handover.close()
            raise

    def step(self, waiting: Callable[[Iterator[Any]], Any]) -> tuple[float, bool]:
        """The loss of the next batch and whether nothing has overflowed; `waiting` takes the time of its arrival."""
        waiting(self.arrivals)
        return read(self.cell())

    def close(self) -> None:
        self.handover.is_closed = True
        try:
            self.release()
        finally:
            self.handover.close()


def transfer(handover: Handover) -> ds.Dataset:
    """The transfer pipeline of batches whose shapes are known, about to be opened."""
    names = [f"column{number}" for number in range(len(handover.first))]
    dataset = ds.GeneratorDataset(
        handover, names, shuffle=False, num_parallel_workers=1, python_multiprocessing=False
    )
    dataset.output_types()
    dataset.output_shapes()
    handover.is_open = True
    return dataset


def connected(cell: nn.Cell, handover: Handover) -> tuple[Callable[[], Any], Callable[[], None]]:
    """`cell` on the batches of the device's queue, and what stops the transfer and frees the queue.

    As mindspore.train.Model does it for one step at a time: `__loop_size__` is its own way to say that a data set is
    sent whole and fetched one by one.
    """
    usual = ds.config.get_prefetch_size()
    ds.config.set_prefetch_size(AHEAD)
    try:
        dataset = transfer(handover)
        dataset.__loop_size__ = 1
        helper = ms.DatasetHelper(dataset, dataset_sink_mode=True, sink_size=1, epoch_num=1)
        network = ms.connect_network_with_dataset(cell, helper)
    finally:
        ds.config.set_prefetch_size(usual)

    def release() -> None:
        helper.stop_send()
        helper.release()

    return network, release
