"""Sink mode: the device takes the batches of its steps from a queue of its own, which is filled meanwhile.

Batches are made by the same host pipeline as without sink mode, a few steps ahead, and handed on to MindSpore's transfer
pipeline. A failure inside of a transfer pipeline would reach nobody: its queue stays empty, and the step waits for the
time limit of GetNext. Here it is raised by its own name before the step, and the time that steps wait for data is known.

MindSpore's pipeline is driven by the main thread.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import mindspore as ms
import mindspore.dataset as ds
import mindspore.nn as nn
import numpy as np

from mindlift.data.workers import InThreads

AHEAD = 3  # batches handed over before the step that needs them


class Handover:
    """`count` batches on their way to MindSpore's transfer pipeline, which iterates over it in a thread of its own.

    Until `open` only `first` is given, again and again: MindSpore asks for a batch to know the shapes.
    """

    def __init__(self, first: tuple[ms.Tensor, ...], count: int):
        self.first, self.count = first, count
        self.is_open = self.is_closed = False
        self.batches: deque[tuple[ms.Tensor, ...]] = deque([first])
        self.changed = threading.Condition()

    def __len__(self) -> int:
        return self.count

    def put(self, batch: tuple[ms.Tensor, ...]) -> None:
        with self.changed:
            self.batches.append(batch)
            self.changed.notify_all()

    def __iter__(self) -> Iterator[tuple[np.ndarray, ...]]:
        if not self.is_open:
            yield arrays(self.first)
            return
        for _ in range(self.count):
            with self.changed:
                self.changed.wait_for(lambda: self.is_closed or self.batches)
                if self.is_closed:
                    return
                batch = self.batches.popleft()
            yield arrays(batch)

    def close(self) -> None:
        with self.changed:
            self.is_closed = True
            self.changed.notify_all()


def arrays(batch: tuple[ms.Tensor, ...]) -> tuple[np.ndarray, ...]:
    return tuple(tensor.asnumpy() for tensor in batch)


class Queue:
    """Steps of `cell` on `batches`, which the device takes from its queue; close it before anything else runs there."""

    def __init__(self, cell: nn.Cell, batches: InThreads):
        self.source, self.left = iter(batches), len(batches) - 1
        try:
            self.handover = Handover(next(self.source), len(batches))
            self.cell, self.release = connected(cell, self.handover)
        except BaseException:
            self.source.close()
            raise
        self.lead = 1

    def step(self, waiting: Callable[[Iterator[Any]], Any]) -> Any:
        """What the cell gives for the next batch; `waiting(source)` takes and times a batch."""
        while self.left and self.lead < AHEAD:
            self.handover.put(waiting(self.source))
            self.left, self.lead = self.left - 1, self.lead + 1
        self.lead -= 1
        return self.cell()

    def close(self) -> None:
        """End both pipelines and free the queue, at the end as after a failure or a signal."""
        self.handover.close()
        try:
            self.release()
        finally:
            self.source.close()


def transfer(handover: Handover) -> ds.Dataset:
    """The transfer pipeline, with its shapes known and the handover open."""
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
