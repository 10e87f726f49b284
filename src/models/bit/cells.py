"""What BigTransfer is made of: convolutions with standardised weights, and group norm with its ReLU."""

from __future__ import annotations

import math

import mindspore as ms
import mindspore.nn as nn
import mindspore.ops as ops
import numpy as np
from mindspore.common.initializer import HeUniform

GROUPS = 32
NORM_EPS = 1e-5


class StandardisedConv(nn.Conv2d):
    """Convolution without bias whose weights have mean 0 and variance 1 over each output channel.

    Qiao et al. 2019, equation 1, without a gain: (w - mean) / sqrt(variance + eps), in float32 whatever the
    precision of the convolution, since an `eps` of 1e-10 is 0 in float16. Decay, average and checkpoint have the raw
    weight. `fold` makes it a plain convolution, which gets the standardised weight once (see layers.refill).
    `pad` is as of layers.ConvNorm.
    """

    def __init__(
        self,
        cin: int,
        cout: int,
        kernel: int,
        stride: int = 1,
        *,
        pad: str = "sym",
        eps: float,
        on_cpu: bool = False,
    ):
        sides = {"pad_mode": "pad", "padding": kernel // 2} if pad == "sym" else {"pad_mode": pad}
        init = HeUniform(
            negative_slope=math.sqrt(5)
        )  # PyTorch's default, which the paper's code leaves in place
        super().__init__(cin, cout, kernel, stride, **sides, has_bias=False, weight_init=init)
        self.eps, self.is_folded = eps, False

    def construct(self, x):
        weight = self.weight if self.is_folded else self.standardised(self.weight)
        return self.conv2d(x, weight.astype(x.dtype))

    def standardised(self, weight):
        weight = weight.astype(ms.float32)
        centred = weight - weight.mean((1, 2, 3), keep_dims=True)
        return centred * ops.rsqrt(ops.square(centred).mean((1, 2, 3), keep_dims=True) + self.eps)

    def fold(self) -> None:
        """Use the weight as it is; `refill` gives it the standardised one."""
        self.is_folded = True

    def folded(self) -> dict[str, np.ndarray]:
        """The standardised weight (cout, cin, k, k)."""
        weight = self.weight.asnumpy().astype(np.float64)
        centred = weight - weight.mean((1, 2, 3), keepdims=True)
        variance = np.square(centred).mean((1, 2, 3), keepdims=True)
        return {"weight": (centred / np.sqrt(variance + self.eps)).astype(np.float32)}


class GroupNormReLU(nn.GroupNorm):
    """relu(group norm(x)) with 32 groups of channels: (N, C, H, W) -> (N, C, H, W)."""

    def __init__(self, channels: int, is_recomputed: bool, on_cpu: bool):
        super().__init__(GROUPS, channels, eps=NORM_EPS)
        if is_recomputed:
            self.recompute()

    def construct(self, x):
        return ops.relu(self._cal_output(x))
