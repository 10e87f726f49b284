"""Batch norms that take the place of a network's while it trains: over the images of all ranks, or to be computed twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import mindspore as ms
import mindspore.nn as nn
import mindspore.ops as ops
import numpy as np

from mindlift.errors import ConfigError
from mindlift.models.external.cells import put
from mindlift.models.layers import name_parameters

OTHER_KINDS = (nn.BatchNorm1d, nn.BatchNorm3d)
OVERWRITTEN = (-6.25, 7.75)  # of constants that are nobody else's, as of bit.cells.RowNorm


class InPlaceOf(nn.BatchNorm2d):
    """A batch norm with the parameters of `norm`; a subclass has `normed`, what it computes in training.

    In evaluation, and while it is frozen (training/freezing.py), it is `norm`.
    """

    def __init__(self, norm: nn.BatchNorm2d):
        # that of a batch norm makes parameters, too, which takes milliseconds
        nn.Cell.__init__(self)
        self.num_features, self.eps, self.momentum = norm.num_features, norm.eps, norm.momentum
        self.use_batch_statistics, self.bn_infer = norm.use_batch_statistics, norm.bn_infer
        self.moving_mean, self.moving_variance = norm.moving_mean, norm.moving_variance
        self.gamma, self.beta = norm.gamma, norm.beta
        self.set_train(norm.training)

    def construct(self, x):
        if not self.training or self.use_batch_statistics is not None:
            return self.bn_infer(x, self.gamma, self.beta, self.moving_mean, self.moving_variance)[0]
        return self.normed(x)


def move_by(share, mean, variance, seen):
    mean = ops.assign(mean, mean * (1.0 - share) + seen[0] * share)
    return ops.depend(ops.assign(variance, variance * (1.0 - share) + seen[1] * share), mean)


move = ops.MultitypeFuncGraph("move")


@move.register("Number", "Tensor", "Tensor", "Tensor")
def moved(share, mean, variance, seen):
    return move_by(share, mean, variance, seen)


class SyncBatchNorm(InPlaceOf):
    """Has the mean and variance of the batches of all `size` ranks, in training.

    Ioffe and Szegedy, Batch Normalization (2015), algorithm 1, over the union of the batches, which are equally large.
    MindSpore's nn.SyncBatchNorm is for Ascend only. Here the sums of the pixels, and then of the squares of their distances
    from the mean, are all-reduced, and so are their gradients on the way back: the gradient of a weight, averaged over the
    ranks, is that of the mean loss.
    """

    def __init__(self, norm: nn.BatchNorm2d, size: int):
        super().__init__(norm)
        self.size = size
        self.all_reduce = ops.AllReduce()

    def normed(self, x):
        images, channels, height, width = x.shape
        pixels = float(images * height * width * self.size)
        maps = x.astype(ms.float32)
        mean = self.all_reduce(maps.sum((0, 2, 3))) / pixels
        centred = maps - mean.reshape(1, channels, 1, 1)
        variance = self.all_reduce(ops.square(centred).sum((0, 2, 3))) / pixels
        unbiased = variance * (pixels / max(1.0, pixels - 1.0))
        moved = self.move(ops.stop_gradient(mean), ops.stop_gradient(unbiased))
        scale = self.gamma / ops.sqrt(variance + self.eps)
        found = centred * scale.reshape(1, channels, 1, 1) + self.beta.reshape(1, channels, 1, 1)
        return ops.depend(found.astype(x.dtype), moved)

    def move(self, mean, unbiased):
        """The moving statistics by the share `momentum`; the variance is the unbiased one (section 3.1)."""
        return move_by(self.momentum, self.moving_mean, self.moving_variance, (mean, unbiased))


class RepeatableBatchNorm(InPlaceOf):
    """Can be computed several times in a step, as in a block that is recomputed, and moves its statistics once.

    MindSpore's kernel moves them whenever it runs. Here it is given constants, and what the batch has is noted in `seen`
    (2, channels), its mean and unbiased variance, by which `Moving` moves them behind the backward pass.
    """

    def __init__(self, norm: nn.BatchNorm2d):
        super().__init__(norm)
        self.bn_train = norm.bn_train
        if hasattr(self.bn_train, "set_signatures"):
            self.bn_train.set_signatures(())  # MindSpore 2.0's takes Parameters only
        add_seen(self)

    def normed(self, x):
        images, channels, height, width = x.shape
        pixels = float(images * height * width)
        maps = ops.stop_gradient(x).astype(ms.float32)
        mean = maps.sum((0, 2, 3)) / pixels
        squares = ops.square(maps - mean.reshape(1, channels, 1, 1)).sum((0, 2, 3))
        noted = ops.assign(self.seen, ops.stack((mean, squares / max(1.0, pixels - 1.0))))
        spare_mean = ops.full((channels,), OVERWRITTEN[0], dtype=ms.float32)
        spare_variance = ops.full((channels,), OVERWRITTEN[1], dtype=ms.float32)
        found = self.bn_train(x, self.gamma, self.beta, spare_mean, spare_variance)[0]
        return ops.depend(found, noted)


class RepeatableSyncBatchNorm(SyncBatchNorm):
    """The same of all ranks' batches, which exchange their sums again whenever it is computed."""

    def __init__(self, norm: SyncBatchNorm):
        super().__init__(norm, norm.size)
        add_seen(self)

    def move(self, mean, unbiased):
        return ops.assign(self.seen, ops.stack((mean, unbiased)))


REPEATABLE = (RepeatableBatchNorm, RepeatableSyncBatchNorm)


def add_seen(norm: nn.BatchNorm2d) -> None:
    """A parameter, though none of this cell: weight files have no use for it."""
    zeros = np.zeros((2, norm.num_features), np.float32)
    seen = ms.Parameter(ms.Tensor(zeros), f"seen.{norm.gamma.name}", requires_grad=False)
    object.__setattr__(norm, "seen", seen)


class Moving(nn.Cell):
    """Moves the statistics of a network's repeatable batch norms, but for frozen ones, by what they have seen.

    Made anew when norms are frozen or released.
    """

    def __init__(self, network: nn.Cell):
        super().__init__(auto_prefix=False)
        norms = [cell for _, cell in network.cells_and_names() if isinstance(cell, REPEATABLE)]
        norms = [norm for norm in norms if norm.use_batch_statistics is None]
        self.is_needed = bool(norms)
        if norms:
            self.shares = tuple(norm.momentum for norm in norms)
            self.means = ms.ParameterTuple([norm.moving_mean for norm in norms])
            self.variances = ms.ParameterTuple([norm.moving_variance for norm in norms])
            self.seen = ms.ParameterTuple([norm.seen for norm in norms])
        self.map = ops.HyperMap()

    def construct(self, after):
        """Of the batch that `after` was computed of."""
        return self.map(move, self.shares, self.means, self.variances, ops.depend(self.seen, after))


def synchronise(network: nn.Cell, size: int, net: str) -> None:
    """Make all batch norms that use the statistics of a batch those of `size` ranks. ConfigError if there are none.

    Call it before cells are cast (models/precision.py).
    """
    if not list(norms_in(network)):
        raise ConfigError(
            f"--sync_bn true has no effect on {net}, which has no batch norm that learns from a batch; leave it out"
        )
    if size == 1:
        return
    replace(network, lambda norm: SyncBatchNorm(norm, size))


def make_repeatable(network: nn.Cell) -> None:
    """Prepare batch norms for cells that are recomputed. Call it behind `synchronise` and before cells are cast."""
    replace(network, repeatable)


def repeatable(norm: nn.BatchNorm2d) -> nn.Cell:
    return RepeatableSyncBatchNorm(norm) if isinstance(norm, SyncBatchNorm) else RepeatableBatchNorm(norm)


def replace(network: nn.Cell, make: Callable[[nn.BatchNorm2d], nn.Cell]) -> None:
    """A norm that is in several places is the same new one in each."""
    made: dict[int, nn.Cell] = {}
    for parent, name, position, norm in list(norms_in(network)):
        if id(norm) not in made:
            made[id(norm)] = make(norm)
        put(parent, name, position, made[id(norm)])
    name_parameters(network)


def norms_in(network: nn.Cell) -> Iterator[tuple[nn.Cell, str, int, nn.BatchNorm2d]]:
    """(cell, name in it, its position, norm) of every batch norm that uses the statistics of a batch."""
    for _, cell in list(network.cells_and_names()):
        for position, (name, inner) in enumerate(list(cell.name_cells().items())):
            if isinstance(inner, OTHER_KINDS):
                raise ConfigError(
                    f"--sync_bn and --recompute: {type(inner).__name__} ({name}) is not over (N, C, H, W) maps, and they know"
                    " only such batch norms; leave them out"
                )
            if isinstance(inner, nn.BatchNorm2d) and inner.use_batch_statistics is None:
                yield cell, name, position, inner
