"""Dropout and drop path whose masks are a function of numbers that a training knows, and of nothing that its process did before.

MindSpore's own draws from a stream of the process, so a training that continues would drop other features than one that
was never stopped. Here a mask is a hash of the batch's keys and of the place in it: keep x[r, s] if

    (a[0, r] * b[0, s] + a[1, r] * b[1, s]) mod P

is small, where the a and b of a batch are sums of products, mod P, of its KEYS random numbers with fixed random tables.
Linear hashes modulo a prime are independent in pairs for random keys (Carter and Wegman 1979), and so, but for a share
of 1/P**2, are these. All of it is float32 arithmetic with whole numbers below 2**24, which is exact: no product here may be left to a cube unit, which computes
in float16 on an Ascend 910A.
"""

from __future__ import annotations

import mindspore as ms
import mindspore.nn as nn
import mindspore.ops as ops
import numpy as np

from mindlift.backports import prod

P = 1021  # KEYS * (P - 1)**2 < 2**24
KEYS = 16
ON_ROWS, ON_COLUMNS = 0, 1


class Dropout(nn.Cell):
    """(N, C, ...), or maps in blocks of models/cpu/blocks.py -> the same shape: in training a share `p` is set to 0 and the rest is enlarged, so that means stay.

    `keys` (KEYS,) are whole numbers from 0 to P - 1 in float32, drawn anew for each batch (training/masks.py). Row i of
    rank r has the mask of row i * size + r of one rank with all of the batch, as it has that row's image. `number` says
    which of a network's dropouts this is. The kept share is a whole number of 1/P.
    """

    def __init__(self, p: float, number: int = 0):
        super().__init__()
        self.p, self.number, self.rank, self.size = p, number, 0, 1
        kept = round((1 - p) * P)
        self.threshold = (kept - 0.5) / P
        self.factor = P / kept if kept else 0.0
        self.maps: ms.Type | None = None
        self.read_keys(ms.Parameter(ms.Tensor(np.arange(KEYS), ms.float32), "dropout_keys", False))

    def read_keys(self, keys: ms.Parameter) -> None:
        """Take the keys from there. It is no parameter of this cell: weight files and averages have no use for it."""
        object.__setattr__(self, "keys", keys)

    def compute_in(self, _matrices: ms.Type, maps: ms.Type) -> None:
        """Only what is returned is cast (models/precision.py)."""
        self.maps = maps

    def construct(self, x):
        if self.maps is not None:
            x = x.astype(self.maps)
        if not self.training or self.p == 0:
            return x
        return x * (self.mask(x.shape).astype(x.dtype) * self.factor)

    def mask(self, shape):
        """`kept`, in blocks of channels if `shape` is."""
        if len(shape) != 5:
            return self.kept(shape)
        n, c, height, width, block = shape
        kept = self.kept((n, c * block, height, width)).reshape(n, c, block, height, width)
        return kept.transpose(0, 1, 3, 4, 2)

    def kept(self, shape):
        """The mask, bool, of `shape`."""
        rows, columns = matrix_of(shape)
        hashed = (tables(self.number, self.rank, self.size, shape) * self.keys.reshape(1, KEYS, 1)).sum(1)
        hashed = hashed - ops.floor(hashed / P) * P
        a, b = hashed[:, :rows].reshape(2, rows, 1), hashed[:, rows:].reshape(2, 1, columns)
        share = (a[0] * b[0] + a[1] * b[1]) / P
        return (share - ops.floor(share) < self.threshold).reshape(shape)


def dropout(share: float | None, number: int = 0) -> nn.Cell:
    """What drops a share of the features, and nothing at all where that is 0 or not set."""
    return Dropout(share, number) if share else nn.Identity()


class DropPath(nn.Cell):
    """(N, C, H, W) -> the same shape: in training a share `p` of the images becomes 0 and the others are enlarged by 1 / (1 - p).

    Of a residual branch (Huang et al., Deep Networks with Stochastic Depth, ECCV 2016, equation 2, decided for each image
    and enlarged in training, as timm's drop_path does). `number` as of Dropout.
    """

    def __init__(self, p: float, number: int):
        super().__init__()
        self.dropout = Dropout(p, number)

    def construct(self, x):
        if not self.training:
            return x
        kept = self.dropout(ops.ones((x.shape[0], 1), x.dtype))
        return x * kept.astype(x.dtype).reshape((-1, *(1,) * (x.ndim - 1)))


def drop_paths(share: float | None, blocks: int) -> list[DropPath | None]:
    """Of each residual branch of a network, in their order; None where nothing is dropped.

    Block i = 0, 1, ... of n drops `share` * i / (n - 1): linearly more, as in section 3 of the paper, counted as timm
    counts. Dropouts beside them have the number 0.
    """
    shares = [(share or 0.0) * block / max(1, blocks - 1) for block in range(blocks)]
    return [DropPath(each, 1 + block) if each else None for block, each in enumerate(shares)]


@ops.constexpr
def matrix_of(shape: tuple[int, ...]) -> tuple[int, int]:
    """A mask as a matrix (rows, columns): images by features, or channels of images by places of a map."""
    return (shape[0], shape[1]) if len(shape) == 2 else (shape[0] * shape[1], prod(shape[2:]))


@ops.constexpr
def tables(number: int, rank: int, size: int, shape: tuple[int, ...]) -> ms.Tensor:
    """(2, KEYS, rows + columns) float32: what the keys are multiplied by."""
    count = shape[0] * size
    per_image, columns = (1, shape[1]) if len(shape) == 2 else (shape[1], prod(shape[2:]))
    of_all = drawn(number, ON_ROWS, count * per_image).reshape(2, KEYS, count, per_image)
    rows = of_all[:, :, rank::size].reshape(2, KEYS, -1)
    return ms.Tensor(np.concatenate([rows, drawn(number, ON_COLUMNS, columns)], 2), ms.float32)


def drawn(number: int, axis: int, count: int) -> np.ndarray:
    """(2, KEYS, count) whole numbers; the first ones are the same for every count."""
    return np.random.default_rng([number, axis]).integers(0, P, (count, 2, KEYS)).transpose(1, 2, 0)
