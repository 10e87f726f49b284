"""Which image is read when, and with which random stream. Pure functions of integers.

The training data is one endless virtual sequence per rank: item n of a rank belongs to epoch
n // items_per_epoch. So a resumed run starts at any item without reading what came before, and what
an image looks like in an epoch depends on (seed, epoch, image) alone, not on ranks or threads.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np


@lru_cache(maxsize=5)  # what is trained, and what is fetched ahead of it
def epoch_order(count: int, seed: int, epoch: int) -> np.ndarray:
    """Permutation of range(count) for this epoch, shape (count,), int64."""
    return np.random.default_rng([seed, epoch]).permutation(count)


def steps_per_epoch(count: int, global_batch: int) -> int:
    """Whole batches in an epoch; the remainder, another one each epoch, is left out."""
    return count // global_batch


@dataclass(frozen=True)
class BatchRange:
    """What a rank trains on: its batches `first` .. `last` - 1, numbered from the beginning of the whole training.

    A step of the training takes `accumulation` batches of each of `size` ranks.
    """

    first: int
    last: int
    rank: int = 0
    size: int = 1
    accumulation: int = 1

    def order(self, count: int, batch: int, seed: int) -> TrainOrder:
        """The order of `count` images in batches of `batch`."""
        return TrainOrder(count, batch * self.accumulation, self.rank, self.size, seed)


class TrainOrder:
    """Maps item n of one rank's stream to (epoch, image index).

    `size` ranks with batch b read, step by step, the same images as one rank with batch size*b.
    """

    def __init__(self, count: int, batch: int, rank: int, size: int, seed: int):
        self.count, self.rank, self.size, self.seed = count, rank, size, seed
        self.items_per_epoch = steps_per_epoch(count, batch * size) * batch

    def __call__(self, item: int) -> tuple[int, int]:
        epoch, position = divmod(item, self.items_per_epoch)
        order = epoch_order(self.count, self.seed, epoch)
        return epoch, int(order[position * self.size + self.rank])

    def batch(self, number: int, size: int) -> tuple[int, np.ndarray]:
        """The epoch and the images (size,) of batch `number`; an epoch is a whole number of batches."""
        epoch, position = divmod(number * size, self.items_per_epoch)
        order = epoch_order(self.count, self.seed, epoch)
        return epoch, order[position * self.size + self.rank :: self.size][:size]


def reading_order(
    count: int, global_batch: int, seed: int, done: int, ranks: range = range(1), size: int = 1
) -> np.ndarray:
    """All images in the order in which `ranks`, of `size`, together read them first, after `done` items of the training
    of all ranks; those of later epochs follow as all ranks read them next. Shape (count,).
    """
    per_epoch = steps_per_epoch(count, global_batch) * global_batch
    epoch, position = divmod(done, per_epoch)
    first, following = (epoch_order(count, seed, each)[:per_epoch] for each in (epoch, epoch + 1))
    rank = np.arange(per_epoch) % size
    is_here = (rank >= ranks.start) & (rank < ranks.stop)
    wanted = [first[position:][is_here[position:]], following[is_here], epoch_order(count, seed, epoch + 1)]
    found, places = np.unique(np.concatenate(wanted), return_index=True)
    return found[np.argsort(places)]


def sample_rng(seed: int, epoch: int, index: int, stage: int = 0) -> np.random.Generator:
    """The random stream of one image in one epoch, for one stage of its augmentation."""
    return np.random.default_rng([seed, epoch, index, stage])


def eval_shard(count: int, batch: int, rank: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices and weights of one rank's exact evaluation: every image has weight 1 on one rank.

    Rank r takes r, r + size, ...; each list is filled to the same whole number of batches with rows
    of weight 0, so all ranks run the same steps at one static shape. Shapes (rows,), int64 and int32.
    """
    own_most = math.ceil(count / size)
    rows = math.ceil(own_most / batch) * batch
    own = np.arange(rank, count, size)
    indices = np.zeros(rows, np.int64)
    weights = np.zeros(rows, np.int32)
    indices[: len(own)] = own
    weights[: len(own)] = 1
    return indices, weights
