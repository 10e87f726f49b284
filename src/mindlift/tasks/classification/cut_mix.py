"""CutMix, and MixUp in the same batch, as a part of the graph."""

from __future__ import annotations

import mindspore as ms
import mindspore.ops as ops
import numpy as np
from mindspore import nn


class CutMix(nn.Cell):
    """(images, labels, partner, share, box) -> `loss` of the network's outputs for the mixed images of `size`.

    Yun et al., CutMix (ICCV 2019), algorithm 1: an image has its partner's pixels inside of its box (top, bottom, left,
    right), and `share` is how much of it is its own. One whose box is empty is mixed by MixUp.
    """

    def __init__(self, network: nn.Cell, loss: nn.Cell, size: tuple[int, int], channels_last: bool):
        super().__init__(auto_prefix=False)
        self.network, self.loss = network, loss
        (high, wide), at = size, (1, 2) if channels_last else (2, 3)
        shapes = np.ones((2, 4), np.int64)
        shapes[0, at[0]], shapes[1, at[1]] = high, wide
        self.row = ms.Tensor(np.arange(high).reshape(shapes[0]), ms.float32)
        self.column = ms.Tensor(np.arange(wide).reshape(shapes[1]), ms.float32)

    def construct(self, images, labels, partner, share, box):
        sides, images = box.astype(ms.float32), images.astype(ms.float32)  # images may be uint8
        top, bottom, left, right = sides[:, 0], sides[:, 1], sides[:, 2], sides[:, 3]
        inside = within(self.row, top, bottom) * within(self.column, left, right)
        is_empty = column(below((bottom - top) * (right - left), 1))
        own = (1 - is_empty + is_empty * column(share)) * (1 - inside)
        mixed = own * images + (1 - own) * ops.gather(images, partner, 0)
        return self.loss(self.network(mixed), labels, partner, share)


def within(place, start, end):
    """1 where `place` is from `start` (N,) on and before `end` (N,), else 0; float32, as all of them."""
    return (1 - below(place, column(start))) * below(place, column(end))


def below(values, bound):
    """1 where it is, else 0; the one comparison of float32 that is known of the AI cores of an Ascend."""
    return (values < bound).astype(ms.float32)


def column(values):
    """(N,) -> (N, 1, 1, 1)."""
    return values.reshape((-1, 1, 1, 1))
