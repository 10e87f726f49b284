"""What turns images as files hold them into what networks see, as a part of the graph."""

from __future__ import annotations

from collections.abc import Sequence

import mindspore as ms
import mindspore.nn as nn
import numpy as np


class FromPixels(nn.Cell):
    """(N, H, W, 3) images with values from 0 to 255 -> `network` of the (N, 3, H, W) float32 ones, normalised.

    `mean` and `std` (3,) are in the same steps. Parameters keep the names that they have in `network`.
    """

    def __init__(self, network: nn.Cell, mean: Sequence[float], std: Sequence[float]):
        super().__init__(auto_prefix=False)
        self.network = network
        self.mean, self.std = (ms.Tensor(np.array(x).reshape(1, 3, 1, 1), ms.float32) for x in (mean, std))

    def construct(self, images):
        return self.network(self.normalised(images))

    def normalised(self, images):
        return (images.astype(ms.float32).transpose(0, 3, 1, 2) - self.mean) / self.std


class FromMaskedPixels(FromPixels):
    """The same for (N, H, W, 4) uint8: the last channel is 1 where there is an image, and what is beside it becomes 0."""

    def normalised(self, images):
        planes = images.astype(ms.float32).transpose(0, 3, 1, 2)
        return (planes[:, :3] - self.mean) / self.std * planes[:, 3:]
