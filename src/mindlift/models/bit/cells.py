"""What BigTransfer is made of: convolutions with standardised weights, and group norm with its ReLU."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import mindspore as ms
import mindspore.nn as nn
import mindspore.ops as ops
import numpy as np
from mindspore.common.initializer import HeUniform

if TYPE_CHECKING:
    from mindlift.models.cpu.cells import Kernels

GROUPS = 32
NORM_EPS = 1e-5
OVERWRITTEN = (-5.75, 7.25)  # of constants that are nobody else's; see RowNorm


class RowNorm(nn.Cell):
    """(x - mean) / sqrt(variance + eps) over each row of (R, K), in float32 at every precision.

    On a CPU the rows are the channels of a batch norm, whose kernels are there 2 - 8 times as fast, forward and
    backward, as those of group norm, layer norm or the formula written out. In training mode these kernels overwrite
    the moving mean and variance that they are given: so these are not the constants that serve as beta and gamma.
    """

    def __init__(self, eps: float, on_cpu: bool):
        super().__init__()
        self.on_cpu = on_cpu
        self.batch_norm = ops.BatchNorm(is_training=True, epsilon=eps, momentum=0.1)
        if hasattr(self.batch_norm, "set_signatures"):
            self.batch_norm.set_signatures(
                ()
            )  # MindSpore 2.0's takes Parameters only, its kernel tensors too
        self.layer_norm = ops.LayerNorm(-1, -1, eps)
        self.is_fused, self.eps = False, eps

    def fuse(self, kernels: Kernels) -> None:
        """Compute all at once; see models/cpu/cells.py."""
        self.operator, self.numbers = kernels.rows(), ms.Tensor([self.eps], ms.float32)
        self.is_fused = True

    def compute_in(self, matrices: ms.Type, maps: ms.Type) -> None:
        """Stays float32."""

    def construct(self, x):
        x = x.astype(ms.float32)
        count, length = x.shape
        if self.is_fused:
            return self.operator(x, self.numbers)[0]
        if not self.on_cpu:
            ones, zeros = ops.ones((length,), ms.float32), ops.zeros((length,), ms.float32)
            return self.layer_norm(x, ones, zeros)[0]
        ones, zeros = ops.ones((count,), ms.float32), ops.zeros((count,), ms.float32)
        mean, variance = (
            ops.full((count,), OVERWRITTEN[0], dtype=ms.float32),
            ops.full((count,), OVERWRITTEN[1], dtype=ms.float32),
        )
        image = x.reshape((1, count, length, 1))
        return self.batch_norm(image, ones, zeros, mean, variance)[0].reshape(x.shape)


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
        self.matrices = self.maps = ms.float32
        self.unit = RowNorm(eps, on_cpu)

    def compute_in(self, matrices: ms.Type, maps: ms.Type) -> None:
        self.matrices, self.maps = matrices, maps

    def construct(self, x):
        weight = self.weight if self.is_folded else self.standardised(self.weight)
        return self.conv2d(x.astype(self.matrices), weight.astype(self.matrices)).astype(self.maps)

    def standardised(self, weight):
        rows = weight.reshape((weight.shape[0], -1))
        return self.unit(rows).reshape(weight.shape)

    def fold(self) -> None:
        """Use the weight as it is; `refill` gives it the standardised one."""
        self.is_folded = True

    def fuse(self, kernels: Kernels) -> None:
        """Give maps in blocks where the network takes them; see models/cpu/blocks.py."""
        self.conv2d = kernels.convolution(self, in_blocks=True)

    def folded(self) -> dict[str, np.ndarray]:
        """The standardised weight (cout, cin, k, k)."""
        weight = self.weight.asnumpy().astype(np.float64)
        centred = weight - weight.mean((1, 2, 3), keepdims=True)
        variance = np.square(centred).mean((1, 2, 3), keepdims=True)
        return {"weight": (centred / np.sqrt(variance + self.eps)).astype(np.float32)}


class GroupNormReLU(nn.GroupNorm):
    """relu(group norm(x)) with 32 groups of channels: (N, C, H, W) -> (N, C, H, W) of the type of x, float32 inside.

    `for_onnx` makes it of operators that MindSpore's ONNX export can write.
    """

    def __init__(self, channels: int, on_cpu: bool):
        super().__init__(GROUPS, channels, eps=NORM_EPS)
        self.on_cpu, self.is_for_onnx, self.is_fused = on_cpu, False, False
        self.unit = RowNorm(NORM_EPS, on_cpu)
        if on_cpu:
            # gamma * x + beta of each channel, in one pass each way
            self.affine = ops.BatchNorm(is_training=False, epsilon=NORM_EPS)
            self.mean = ms.Tensor(np.zeros(channels), ms.float32)
            self.variance = ms.Tensor(np.full(channels, 1 - NORM_EPS), ms.float32)

    def compute_in(self, matrices: ms.Type, maps: ms.Type) -> None:
        """Statistics stay float32; maps have the type that comes in."""

    def fuse(self, kernels: Kernels) -> None:
        """Compute all at once; see models/cpu/cells.py."""
        self.operator, self.numbers = kernels.group_norm_relu(), ms.Tensor([NORM_EPS], ms.float32)
        self.is_fused = True

    def construct(self, x):
        if self.is_fused:
            return self.operator(x, self.gamma, self.beta, self.numbers)[0]
        if not self.on_cpu and not self.is_for_onnx:
            return ops.relu(self._cal_output(x.astype(ms.float32))).astype(x.dtype)
        rows = x.reshape((x.shape[0] * GROUPS, -1))
        unit = self.unit(rows).reshape(x.shape)
        if self.is_for_onnx:
            return ops.relu(unit * self.gamma.reshape((1, -1, 1, 1)) + self.beta.reshape((1, -1, 1, 1)))
        return ops.relu(self.affine(unit, self.gamma, self.beta, self.mean, self.variance)[0]).astype(x.dtype)

    def for_onnx(self) -> None:
        self.is_for_onnx = True
