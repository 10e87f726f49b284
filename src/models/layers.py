"""What several families are made of: a convolution with its batch norm, which become one at inference."""

from __future__ import annotations

from collections.abc import Iterator

import mindspore as ms
import mindspore.nn as nn
import mindspore.ops as ops
import numpy as np
from mindspore.common.initializer import Initializer


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
        self, cin: int, cout: int, kernel: int | tuple[int, int], stride: int = 1, *, pad: str = "sym", relu: bool = True,
        dilation: int = 1, eps: float, momentum: float, init: Initializer, is_frozen: bool = False,
    ):  # fmt: skip
        super().__init__()
        height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
        sides = padding_of(((height - 1) * dilation + 1, (width - 1) * dilation + 1)) if pad == "sym" else 0
        self.settings = {
            "kernel_size": (height, width), "stride": stride, "dilation": dilation, "padding": sides,
            "pad_mode": "pad" if pad == "sym" else pad,
        }  # fmt: skip
        self.conv = nn.Conv2d(cin, cout, **self.settings, has_bias=False, weight_init=init)
        # False, not True: True would take the statistics of the images in evaluation, too
        statistics = False if is_frozen else None
        self.norm = nn.BatchNorm2d(cout, eps=eps, momentum=momentum, use_batch_statistics=statistics)
        self.relu = nn.ReLU()
        self.has_relu, self.is_folded = relu, False

    def construct(self, x):
        x = self.between(self.convolved(x))
        if not self.is_folded:
            x = self.norm(x)
        return self.relu(x) if self.has_relu else x

    def convolved(self, x):
        return self.conv(x)

    def between(self, x):
        """What lies between convolution and norm: nothing here."""
        return x

    def fold(self) -> None:
        """Become one convolution with a bias; `refill` gives it its values."""
        cout, cin = self.conv.weight.shape[:2]
        self.conv = nn.Conv2d(cin, cout, **self.settings, has_bias=True, weight_init="zeros")
        self.norm = nn.SequentialCell()
        self.is_folded = True

    def folded(self) -> dict[str, np.ndarray]:
        """Weight (cout, cin, kh, kw) and bias (cout,) of the convolution that norm(conv(x)) is at inference.

        Ioffe and Szegedy, Batch Normalization (2015), section 3.1: with fixed statistics it is an affine map.
        """
        weight, norm = self.conv.weight.asnumpy(), self.norm
        variance = norm.moving_variance.asnumpy().astype(np.float64)
        scale = norm.gamma.asnumpy() / np.sqrt(variance + norm.eps)
        bias = norm.beta.asnumpy() - norm.moving_mean.asnumpy() * scale
        values = {"conv.weight": weight * scale[:, None, None, None], "conv.bias": bias}
        return {name: value.astype(np.float32) for name, value in values.items()}


class ZeroPaddedPool(nn.Cell):
    """nn.MaxPool2d of maps without negative values, padded on all sides, of operators that ONNX has.

    A border of zeros never wins against what is not negative. On a CPU it is twice as slow as the pooling that pads.
    """

    def __init__(self, kernel: int, stride: int, height: int, width: int):
        super().__init__()
        self.pad = ops.Pad(((0, 0), (0, 0), (height, height), (width, width)))
        self.pool = nn.MaxPool2d(kernel, stride)

    def construct(self, x):
        return self.pool(self.pad(x))


def for_onnx(network: nn.Cell) -> None:
    """Replace, for inference, what MindSpore's ONNX export can't write by cells that compute the same.

    Max-pools that pad are 3-dimensional ones to MindSpore, which it does not export (a replaced one has to be behind a
    ReLU, as in the stems here). Paddings that differ between height and width, as around 1x7, are written in the wrong
    order: of a stride of 1 and odd kernels, pad_mode "same" means the same. Cells with a `for_onnx` of their own know
    what to do.
    """
    for _, cell in list(network.cells_and_names()):
        if hasattr(type(cell), "for_onnx"):
            cell.for_onnx()
        for name, inner in list(cell.name_cells().items()):
            if isinstance(inner, nn.MaxPool2d) and inner.pad_mode.lower() == "pad":
                around = inner.padding if isinstance(inner.padding, tuple) else (inner.padding,) * 2
                setattr(cell, name, ZeroPaddedPool(inner.kernel_size, inner.stride, *around[-2:]))
            elif (
                isinstance(inner, nn.Conv2d)
                and isinstance(inner.padding, tuple)
                and len(set(inner.padding)) > 1
            ):
                setattr(cell, name, padded_as_same(inner))
    name_parameters(network)


def padded_as_same(conv: nn.Conv2d) -> nn.Conv2d:
    """The convolution with its weights, of stride 1 and an odd kernel, whose padding keeps the size."""
    new = nn.Conv2d(
        conv.in_channels, conv.out_channels, conv.kernel_size, 1, pad_mode="same", dilation=conv.dilation,
        has_bias=conv.has_bias,
    )  # fmt: skip
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
    """Give the `folded` network the function that `source`, the same network as it trains, has at inference."""
    if folded is source:
        return
    targets, given = folded.parameters_dict(), source.parameters_dict()
    values = {name: given[name].asnumpy() for name in targets if name in given}
    for name, cell in foldable(source):
        values.update({f"{name}.{part}": value for part, value in cell.folded().items()})
    for name, parameter in targets.items():
        parameter.set_data(ms.Tensor(values[name], parameter.dtype))
