"""What several families are made of: a convolution with its batch norm, which become one at inference."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import mindspore as ms
import mindspore.nn as nn
import mindspore.ops as ops
import numpy as np
from mindspore.common.initializer import Initializer

if TYPE_CHECKING:
    from mindlift.models.cpu.cells import Kernels


def padding_of(kernel: tuple[int, int]) -> tuple[int, int, int, int]:
    """(top, bottom, left, right) that keep the size at stride 1, the same on both sides."""
    high, wide = kernel
    return high // 2, high // 2, wide // 2, wide // 2


class ConvNorm(nn.Cell):
    """Convolution without bias, batch norm, and ReLU unless `relu` is off: (N, cin, H, W) -> (N, cout, H', W').

    `kernel` is a side or (height, width); `pad` is "sym" (zeros on both sides), "valid" (none) or "same"
    (TensorFlow's: with stride 2 on an even size one more at the bottom and right). With `is_frozen` the norm uses its
    moving statistics in training, too, and leaves them as they are; gamma and beta learn. `fold` turns it into one
    convolution with a bias for inference.
    """

    def __init__(
        self,
        cin: int,
        cout: int,
        kernel: int | tuple[int, int],
        stride: int = 1,
        *,
        pad: str = "sym",
        relu: bool = True,
        dilation: int = 1,
        eps: float,
        momentum: float,
        init: Initializer,
        is_frozen: bool = False,
    ):
        super().__init__()
        height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
        sides = padding_of(((height - 1) * dilation + 1, (width - 1) * dilation + 1)) if pad == "sym" else 0
        self.settings = {
            "kernel_size": (height, width),
            "stride": stride,
            "dilation": dilation,
            "padding": sides,
            "pad_mode": "pad" if pad == "sym" else pad,
        }
        self.conv = nn.Conv2d(cin, cout, **self.settings, has_bias=False, weight_init=init)
        # False, not True: True would take the statistics of the images in evaluation, too
        statistics = False if is_frozen else None
        self.norm = nn.BatchNorm2d(cout, eps=eps, momentum=momentum, use_batch_statistics=statistics)
        self.relu = nn.ReLU()
        self.has_relu, self.is_folded, self.is_fused = relu, False, False

    def construct(self, x):
        if self.is_fused:
            return self.fused(x)
        x = self.between(self.convolved(x))
        if not self.is_folded:
            x = self.norm(x)
        return self.relu(x) if self.has_relu else x

    def convolved(self, x):
        return self.conv(x)

    def between(self, x):
        """What lies between convolution and norm: nothing here."""
        return x

    def fused(self, x):
        """Everything at once, when folded."""
        return self.whole(x, self.conv.weight, self.conv.bias)

    def fuse(self, kernels: Kernels) -> None:
        """Compute norm and ReLU, or when folded everything, at once; see models/cpu/cells.py."""
        if self.is_folded:
            self.is_fused = True
            self.whole = kernels.convolution_bias(self.conv, self.has_relu)
        elif kernels.take(self.norm):
            self.conv.conv2d = kernels.convolution(self.conv, in_blocks=True)
            self.norm = kernels.norm(self.norm, self.has_relu)
            self.has_relu = False

    def fold(self) -> None:
        """Become one convolution with a bias; `refill` gives it its values."""
        cout, cin = self.conv.weight.shape[:2]
        self.conv = nn.Conv2d(cin, cout, **self.settings, has_bias=True, weight_init="zeros")
        self.norm = nn.SequentialCell()
        self.is_folded = True

    def folded(self) -> dict[str, np.ndarray]:
        """Weight (cout, cin, kh, kw) and bias (cout,) of the convolution that norm(conv(x)) is at inference."""
        weight, bias = merged(self.conv.weight, self.norm)
        return {"conv.weight": weight, "conv.bias": bias}


def merged(weight: ms.Parameter, norm: nn.BatchNorm2d) -> tuple[np.ndarray, np.ndarray]:
    """Weight (cout, cin, kh, kw) and bias (cout,) of the convolution that `norm` behind one with `weight` makes at inference.

    Ioffe and Szegedy, Batch Normalization (2015), section 3.1: with fixed statistics it is an affine map.
    """
    variance = norm.moving_variance.asnumpy().astype(np.float64)
    scale = norm.gamma.asnumpy() / np.sqrt(variance + norm.eps)
    bias = norm.beta.asnumpy() - norm.moving_mean.asnumpy() * scale
    return (weight.asnumpy() * scale[:, None, None, None]).astype(np.float32), bias.astype(np.float32)


class Means(nn.Cell):
    """The float32 mean of each map: (N, C, H, W) -> (N, C)."""

    def __init__(self) -> None:
        super().__init__()
        self.is_fused = False

    def fuse(self, kernels: Kernels) -> None:
        """Take maps in blocks, too; see models/cpu/blocks.py."""
        self.operator, self.is_fused = kernels.means(), True

    def construct(self, x):
        return self.operator(x) if self.is_fused else ops.mean(x.astype(ms.float32), (2, 3))


class ZeroPaddedPool(nn.Cell):
    """Max-pool of 3x3 with stride 2 behind a border of zeros: (N, C, H, W) -> (N, C, ceil(H/2), ceil(W/2)).

    Of maps without negative values (`is_behind_relu`) that is what a pool does that pads by itself, since a zero never wins there.
    For one that pads by 1 MindSpore takes a 3-dimensional operator: twice as fast as a border of zeros on a CPU, computed by
    the host of an Ascend (MaxPool3DWithArgmax), and not to be exported to ONNX.
    """

    def __init__(self, is_behind_relu: bool = False, on_cpu: bool = False):
        super().__init__()
        self.pads_itself = is_behind_relu and on_cpu
        self.pad = ops.Pad(((0, 0), (0, 0), (1, 1), (1, 1)))
        self.pool = nn.MaxPool2d(3, 2, pad_mode="pad", padding=1) if self.pads_itself else nn.MaxPool2d(3, 2)
        self.is_fused = False

    def fuse(self, kernels: Kernels) -> None:
        """Compute both at once, of maps in blocks, too; see models/cpu/blocks.py."""
        self.operator, self.is_fused = kernels.zero_padded_pool(), True

    def construct(self, x):
        if self.is_fused:
            return self.operator(x)
        return self.pool(x if self.pads_itself else self.pad(x))


def stem_pool(kind: str, on_cpu: bool) -> nn.Cell:
    """The 3x3 max-pool with stride 2 behind a stem's ReLU, padded by 1 on each side ("sym") or as TensorFlow does ("same")."""
    if kind == "same":
        return nn.MaxPool2d(3, 2, pad_mode="same")
    return ZeroPaddedPool(is_behind_relu=True, on_cpu=on_cpu)


def for_onnx(network: nn.Cell) -> None:
    """Replace, for inference, what MindSpore's ONNX export can't write by cells that compute the same.

    Paddings that differ between height and width, as around 1x7, are written in the wrong order: of a stride of 1 and odd
    kernels, pad_mode "same" means the same. Cells with a `for_onnx` of their own know what to do.
    """
    for _, cell in list(network.cells_and_names()):
        if hasattr(type(cell), "for_onnx"):
            cell.for_onnx()
        for name, inner in list(cell.name_cells().items()):
            is_conv = isinstance(inner, nn.Conv2d)
            if is_conv and isinstance(inner.padding, tuple) and len(set(inner.padding)) > 1:
                setattr(cell, name, padded_as_same(inner))
    name_parameters(network)


def padded_as_same(conv: nn.Conv2d) -> nn.Conv2d:
    """The convolution with its weights, of stride 1 and an odd kernel, whose padding keeps the size."""
    new = nn.Conv2d(
        conv.in_channels,
        conv.out_channels,
        conv.kernel_size,
        1,
        pad_mode="same",
        dilation=conv.dilation,
        has_bias=conv.has_bias,
    )
    new.weight = conv.weight
    if conv.has_bias:
        new.bias = conv.bias
    return new


def foldable(network: nn.Cell) -> Iterator[tuple[str, nn.Cell]]:
    """The cells that are simpler at inference, with their names: they have a `fold` and a `folded` as ConvNorm has."""
    return ((name, cell) for name, cell in network.cells_and_names() if hasattr(type(cell), "folded"))


def fold(network: nn.Cell) -> None:
    """Make every foldable cell of `network` what it is at inference; `refill` gives the weights."""
    for _, cell in list(foldable(network)):
        cell.fold()
    name_parameters(network)


def name_parameters(network: nn.Cell) -> None:
    """By their place in the network, which cells that were put in later don't know."""
    for name, parameter in network.parameters_and_names():
        parameter.name = name


def refill(folded: nn.Cell, source: nn.Cell) -> None:
    """Give the `folded` network the function that `source`, the same network as it trains, has at inference.

    Raises KeyError if it lacks a value or has no use for one: then they are not the same network.
    """
    if folded is source:
        return
    inside = tuple(f"{name}." for name, _ in foldable(source))
    values = {
        name: parameter.asnumpy()
        for name, parameter in source.parameters_dict().items()
        if not name.startswith(inside)
    }
    for name, cell in foldable(source):
        values.update({f"{name}.{part}": value for part, value in cell.folded().items()})
    targets = folded.parameters_dict()
    if targets.keys() != values.keys():
        different = ", ".join(sorted(targets.keys() ^ values.keys()))
        raise KeyError(f"the network for inference and the one that trains differ in {different}")
    for name, parameter in targets.items():
        parameter.set_data(ms.Tensor(values[name], parameter.dtype))
