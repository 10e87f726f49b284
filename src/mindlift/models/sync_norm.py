"""Batch norms over the images of all ranks, so that several ranks with small batches train as one with a large one."""

from __future__ import annotations

from collections.abc import Iterator

import mindspore as ms
import mindspore.nn as nn
import mindspore.ops as ops

from mindlift.errors import ConfigError
from mindlift.models.external.cells import put
from mindlift.models.layers import name_parameters

OTHER_KINDS = (nn.BatchNorm1d, nn.BatchNorm3d)


class SyncBatchNorm(nn.BatchNorm2d):
    """The batch norm `norm` with the mean and variance of the batches of all `size` ranks, in training.

    Ioffe and Szegedy, Batch Normalization (2015), algorithm 1, over the union of the batches, which are equally large; the
    moving variance is the unbiased one, as section 3.1 has it. MindSpore's nn.SyncBatchNorm is for Ascend only. Here
    the sums of the pixels, and then of the squares of their distances from the mean, are all-reduced, and so are their
    gradients on the way back: the gradient of a weight, averaged over the ranks, is that of the mean loss.

    In evaluation, and while it is frozen (training/freezing.py), it is the norm that it was made of.
    """

    def __init__(self, norm: nn.BatchNorm2d, size: int):
        super().__init__(norm.num_features, eps=norm.eps, momentum=1.0 - norm.momentum)
        self.gamma, self.beta = norm.gamma, norm.beta
        self.moving_mean, self.moving_variance = norm.moving_mean, norm.moving_variance
        self.size = size
        self.all_reduce = ops.AllReduce()

    def construct(self, x):
        if not self.training or self.use_batch_statistics is not None:
            return self.bn_infer(x, self.gamma, self.beta, self.moving_mean, self.moving_variance)[0]
        images, channels, height, width = x.shape
        pixels = float(images * height * width * self.size)
        maps = x.astype(ms.float32)
        mean = self.all_reduce(maps.sum((0, 2, 3))) / pixels
        centred = maps - mean.reshape(1, channels, 1, 1)
        variance = self.all_reduce(ops.square(centred).sum((0, 2, 3))) / pixels
        scale = self.gamma / ops.sqrt(variance + self.eps)
        normed = centred * scale.reshape(1, channels, 1, 1) + self.beta.reshape(1, channels, 1, 1)
        unbiased = ops.stop_gradient(variance) * (pixels / max(1.0, pixels - 1.0))
        normed = ops.depend(normed, self.moved(self.moving_mean, ops.stop_gradient(mean)))
        normed = ops.depend(normed, self.moved(self.moving_variance, unbiased))
        return normed.astype(x.dtype)

    def moved(self, moving, found):
        """`momentum` is the share of what was `found`, as in nn.BatchNorm2d."""
        return ops.assign(moving, moving * (1.0 - self.momentum) + found * self.momentum)


def synchronise(network: nn.Cell, size: int, net: str) -> None:
    """Make all batch norms that use the statistics of a batch those of `size` ranks. ConfigError if there are none.

    Call it before cells are cast (models/precision.py).
    """
    found = list(norms_in(network))
    if not found:
        raise ConfigError(
            f"--sync_bn true has no effect on {net}, which has no batch norm that learns from a batch; leave it out"
        )
    if size == 1:
        return
    made: dict[int, nn.Cell] = {}
    for parent, name, position, norm in found:
        if id(norm) not in made:
            made[id(norm)] = SyncBatchNorm(norm, size)
        put(parent, name, position, made[id(norm)])
    name_parameters(network)


def norms_in(network: nn.Cell) -> Iterator[tuple[nn.Cell, str, int, nn.BatchNorm2d]]:
    """(cell, name in it, its position, norm) of every batch norm that uses the statistics of a batch."""
    for _, cell in list(network.cells_and_names()):
        for position, (name, inner) in enumerate(list(cell.name_cells().items())):
            if isinstance(inner, OTHER_KINDS):
                raise ConfigError(
                    f"--sync_bn true: {type(inner).__name__} ({name}) is not over (N, C, H, W) maps, and only such"
                    " batch norms can be synchronised; leave it out"
                )
            if isinstance(inner, nn.BatchNorm2d) and inner.use_batch_statistics is None:
                yield cell, name, position, inner
