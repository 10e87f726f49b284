"""Maps in blocks of b channels, (N, C / b, H, W, b), as oneDNN's convolutions compute them.

Where one convolution follows another nothing is copied between the two formats. b is 16 with AVX-512, 8 with AVX2. Maps
whose channels are no multiple of 16 stay (N, C, H, W), as all of them do where oneDNN chooses another format.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import mindspore as ms
import mindspore.nn as nn
import numpy as np

from mindlift.models.cpu import operators

FULL = 16  # the largest block, so that the same maps are in blocks on all CPUs


def channels(library: str) -> int:
    """b of this CPU, 0 for none."""
    return int(ctypes.CDLL(library).block_of_channels())


def shape(plain: Sequence[int], block: int) -> list[int]:
    """Of maps (N, C, H, W) as they are held."""
    n, c, height, width = plain
    if block == 0 or c % FULL:
        return [n, c, height, width]
    return [n, c // block, height, width, block]


def plain(x):
    """(N, C, H, W) of maps of either format."""
    if x.ndim != 5:
        return x
    n, count, height, width, block = x.shape
    return x.transpose(0, 1, 4, 2, 3).reshape(n, count * block, height, width)


class Pool(nn.Cell):
    """A pool of nn: maps of the format in which they come. Of plain ones it is `pool` itself, unless it `serves_all`, without a gradient."""

    def __init__(self, pool: nn.MaxPool2d | nn.AvgPool2d, library: str, serves_all: bool):
        super().__init__()
        self.pool, self.serves_all = pool, serves_all
        self.kernel, self.stride = sides(pool.kernel_size), sides(pool.stride)
        self.is_same = pool.pad_mode == "SAME"
        numbers = (*self.kernel, *self.stride, *(-1 if self.is_same else 0,) * 4)
        self.numbers = ms.Tensor(np.array(numbers), ms.float32)
        self.operator = operators.pool(library, isinstance(pool, nn.MaxPool2d), self.shape, repr(numbers))

    def shape(self, x, numbers):
        return [*x[:2], self.size(x[2], 0), self.size(x[3], 1), *x[4:]]

    def size(self, size: int, axis: int) -> int:
        if self.is_same:
            return -(-size // self.stride[axis])
        return operators.places(size, self.kernel[axis], self.stride[axis])

    def construct(self, x):
        if self.serves_all or x.ndim == 5:
            return self.operator(x, self.numbers)
        return self.pool(x)


class Pool3x3(nn.Cell):
    """Max-pool of 3x3 with stride 2 behind a `border` of zeros, with its gradient: (N, C, H, W), or in blocks.

    MindSpore's operators take 5 to 10 times as long where maps are large, those that oneDNN has no compiled kernel for.
    """

    def __init__(self, library: str, border: int):
        super().__init__()
        self.numbers, self.operator = ms.Tensor([border], ms.float32), operators.pool_3x3(library, border)

    def construct(self, x):
        return self.operator(x, self.numbers)


def in_place_of(pool: nn.Cell, library: str, is_folded: bool, block: int) -> nn.Cell | None:
    """Of a max-pool or average pool with pad_mode "valid" or "same", where there is one; or None.

    `is_folded` says that the network is for inference, and `block` how many channels its maps have in a block, if any.
    """
    if type(pool) not in (nn.MaxPool2d, nn.AvgPool2d) or pool.format != "NCHW":
        return None
    has_more_options = getattr(pool, "is_expand", False)
    if pool.pad_mode not in ("VALID", "SAME") or has_more_options:
        return None
    shape = sides(pool.kernel_size), sides(pool.stride)
    if isinstance(pool, nn.MaxPool2d) and pool.pad_mode == "VALID" and shape == ((3, 3), (2, 2)):
        return Pool3x3(library, 0)
    return Pool(pool, library, is_folded) if is_folded or block else None


def sides(value: int | tuple[int, ...]) -> tuple[int, int]:
    height, width = (value, value) if isinstance(value, int) else value[-2:]
    return height, width
