"""Which image is read when, and with which random stream. Pure functions of integers.

The training data is one endless virtual sequence per rank: item n of a rank belongs to epoch
n // items_per_epoch. So a resumed run starts at any item without reading what came before, and what
an image looks like in an epoch depends on (seed, epoch, image) alone, not on ranks or threads.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Callable

import numpy as np

BALANCED_STREAM = 1  # of the random numbers of balanced epochs
KEPT = 5  # epochs: what is trained, and what is fetched ahead of it
EpochOrder = Callable[[int], np.ndarray]  # the draws (count,) of an epoch, see TrainOrder


@lru_cache(maxsize=KEPT)
def epoch_order(count: int, seed: int, epoch: int) -> np.ndarray:
    """Permutation of range(count) for this epoch, shape (count,), int64."""
    return np.random.default_rng([seed, epoch]).permutation(count)


def shuffled(count: int, seed: int) -> EpochOrder:
    """Each of `count` images once in an epoch."""
    return partial(epoch_order, count, seed)


class Balanced:
    """Each class of `labels` as often as any other in an epoch of `count` draws, give or take one: class-aware sampling,
    Shen et al., Relay Backpropagation (ECCV 2016).

    Within a class each image is drawn as often as any other, give or take one, in an order of its own in each epoch.
    Labels are (count,), or (count, K) of images that may have several: these are drawn for each class of theirs, as Wu et
    al. do it (Distribution-Balanced Loss, ECCV 2020), and images that have none are a class more.
    """

    def __init__(self, labels: np.ndarray, seed: int):
        self.count, self.seed = len(labels), seed
        self.members = members_of_several(labels) if labels.ndim == 2 else members(labels)
        self.of_epoch = lru_cache(maxsize=KEPT)(self.drawn)

    def __call__(self, epoch: int) -> np.ndarray:
        return self.of_epoch(epoch)

    def drawn(self, epoch: int) -> np.ndarray:
        """Draw number `count * n + i` is image i after n others of it in this epoch, so that it can look otherwise."""
        rng = np.random.default_rng([self.seed, epoch, BALANCED_STREAM])
        least, more = divmod(self.count, len(self.members))
        gets_more = rng.permutation(len(self.members)) < more
        found = []
        for images, extra in zip(self.members, gets_more.tolist()):
            quota = least + extra
            own = [rng.permutation(images) for _ in range(math.ceil(quota / len(images)))]
            found.append(np.concatenate([np.zeros(0, np.int64), *own])[:quota])
        images = np.concatenate(found)
        return rng.permutation(images + self.count * times_before(images))


def members(labels: np.ndarray) -> list[np.ndarray]:
    """The images of each class that has some."""
    by_class = np.argsort(labels, kind="stable")
    return np.split(by_class, np.flatnonzero(np.diff(labels[by_class])) + 1)


def members_of_several(labels: np.ndarray) -> list[np.ndarray]:
    """The same of labels (N, K) that are 1 or 0, and last the images without any."""
    is_there = labels.astype(bool)
    columns = [*is_there.T, ~is_there.any(1)]
    return [np.flatnonzero(column) for column in columns if column.any()]


def times_before(values: np.ndarray) -> np.ndarray:
    """(N,): how often each of `values` (N,) stands before it."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=-1))
    lengths = np.diff(starts, append=len(values))
    found = np.empty(len(values), np.int64)
    found[order] = np.arange(len(values)) - np.repeat(starts, lengths)
    return found


def repeated(epochs: EpochOrder, count: int, repeats: int) -> EpochOrder:
    """Each draw of `epochs` so many times in a row; an epoch, which stays as long, has the fewer of them.

    Hoffer et al., Augment Your Batch (CVPR 2020), in the order of all ranks, as DeiT's RASampler deals them out.
    """

    def drawn(epoch: int) -> np.ndarray:
        before, images = divmod(epochs(epoch)[: -(-count // repeats)], count)
        times = before[:, None] * repeats + np.arange(repeats)
        return (images[:, None] + count * times).reshape(-1)[:count]

    return lru_cache(maxsize=KEPT)(drawn)


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

    def order(self, count: int, batch: int, seed: int, epochs: EpochOrder | None = None) -> TrainOrder:
        """The order of `count` images in batches of `batch`."""
        return TrainOrder(count, batch * self.accumulation, self.rank, self.size, seed, epochs)


class TrainOrder:
    """Maps item n of one rank's stream to (epoch, image index).

    `epochs` gives the draws of an epoch of all ranks, None: `shuffled`. A draw is an image's index, and `count` more for
    each time that the image has been drawn before in the epoch.

    `size` ranks with batch b read, step by step, the same images as one rank with batch size*b.
    """

    def __init__(
        self, count: int, batch: int, rank: int, size: int, seed: int, epochs: EpochOrder | None = None
    ):
        self.count, self.rank, self.size, self.seed = count, rank, size, seed
        self.epochs = epochs or shuffled(count, seed)
        self.items_per_epoch = steps_per_epoch(count, batch * size) * batch

    def __call__(self, item: int) -> tuple[int, int]:
        epoch, position = divmod(item, self.items_per_epoch)
        order = self.epochs(epoch)
        return epoch, int(order[position * self.size + self.rank] % self.count)

    def batch(self, number: int, size: int) -> tuple[int, np.ndarray]:
        """The epoch and the images (size,) of batch `number`; an epoch is a whole number of batches."""
        epoch, draws = self.draws(number, size)
        return epoch, draws % self.count

    def repetitions(self, number: int, size: int) -> np.ndarray:
        """(size,): how often each image of batch `number` has come before in this epoch."""
        return self.draws(number, size)[1] // self.count

    def draws(self, number: int, size: int) -> tuple[int, np.ndarray]:
        epoch, position = divmod(number * size, self.items_per_epoch)
        return epoch, self.epochs(epoch)[position * self.size + self.rank :: self.size][:size]


def reading_order(
    count: int,
    global_batch: int,
    epochs: EpochOrder,
    done: int,
    ranks: range = range(1),
    size: int = 1,
) -> np.ndarray:
    """All images in the order in which `ranks`, of `size`, together read them first, after `done` items of the training
    of all ranks; those of later epochs follow as all ranks read them next. `repeats`: see TrainOrder. Shape (count,).
    """
    per_epoch = steps_per_epoch(count, global_batch) * global_batch
    epoch, position = divmod(done, per_epoch)
    first, following = (epochs(each)[:per_epoch] % count for each in (epoch, epoch + 1))
    rank = np.arange(per_epoch) % size
    is_here = (rank >= ranks.start) & (rank < ranks.stop)
    here, next_here = first[position:][is_here[position:]], following[is_here]
    wanted = [here, next_here, epochs(epoch + 1) % count, np.arange(count)]
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
