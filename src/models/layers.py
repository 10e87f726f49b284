"""What several families are made of: a convolution with its batch norm, which become one at inference."""

from __future__ import annotations

from collections.abc import Iterator

import mindspore as ms
import mindspore.nn as nn
import numpy as np
from mindspore.common.initializer import Initializer


def padding_of(kernel: tuple[int, int]) -> tuple[int, int, int, int]:
    """(top, bottom, left, right) that keep the size at stride 1, the same on both sides."""
    high, wide = kernel
    return high // 2, high // 2, wide // 2, wide // 2


class ConvNorm(nn.Cell):
    """Convolution without bias, batch norm, and ReLU unless `relu` is off: (N, cin, H, W) -> (N, cout, H', W').

    `kernel` is a side or (height, width); `pad` is "sym" (zeros on both sides), "valid" (none) or "same"
    (TensorFlow's: with stride 2 on an even size one more at the bottom and right). `fold` turns it into one
    convolution with a bias for inference.
    """

    def __init__(
        self, cin: int, cout: int, kernel: int | tuple[int, int], stride: int = 1, *, pad: str = "sym", relu: bool = True,
        dilation: int = 1, eps: float, momentum: float, init: Initializer,
    ):  # fmt: skip
        super().__init__()
        height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
        sides = padding_of(((height - 1) * dilation + 1, (width - 1) * dilation + 1)) if pad == "sym" else 0
        self.settings = {
            "kernel_size": (height, width), "stride": stride, "dilation": dilation, "padding": sides,
            "pad_mode": "pad" if pad == "sym" else pad,
        }  # fmt: skip
        self.conv = nn.Conv2d(cin, cout, **self.settings, has_bias=False, weight_init=init)
        self.norm = nn.BatchNorm2d(cout, eps=eps, momentum=momentum)
        self.relu = nn.ReLU()
        self.has_relu, self.is_folded = relu, False

    def construct(self, x):
        x = self.between(self.conv(x))
        if not self.is_folded:
            x = self.norm(x)
        return self.relu(x) if self.has_relu else x

    def between(self, x):
        """What lies between convolution and norm: nothing here."""
        return x

    def fold(self) -> None:
        """Become one convolution with a bias; `refill` gives it its values."""
        cout, cin = self.conv.weight.shape[:2]
        self.conv = nn.Conv2d(cin, cout, **self.settings, has_bias=True, weight_init="zeros")
        self.norm = nn.SequentialCell()
        self.is_folded = True

    def folded(self) -> tuple[np.ndarray, np.ndarray]:
        """Weight (cout, cin, kh, kw) and bias (cout,) of the convolution that norm(conv(x)) is at inference.

        Ioffe and Szegedy, Batch Normalization (2015), section 3.1: with fixed statistics it is an affine map.
        """
        weight, norm = self.conv.weight.asnumpy(), self.norm
        variance = norm.moving_variance.asnumpy().astype(np.float64)
        scale = norm.gamma.asnumpy() / np.sqrt(variance + norm.eps)
        bias = norm.beta.asnumpy() - norm.moving_mean.asnumpy() * scale
        return (weight * scale[:, None, None, None]).astype(np.float32), bias.astype(np.float32)


def conv_norms(network: nn.Cell) -> Iterator[tuple[str, ConvNorm]]:
    """The ConvNorms of a network with their names."""
    return ((name, cell) for name, cell in network.cells_and_names() if isinstance(cell, ConvNorm))


def fold(network: nn.Cell) -> None:
    """Make every ConvNorm of `network` one convolution. Only for inference; its weights come by `refill`."""
    for _, cell in list(conv_norms(network)):
        cell.fold()
    for name, parameter in network.parameters_and_names():
        parameter.name = name


def refill(folded: nn.Cell, source: nn.Cell) -> None:
    """Give the `folded` network the function that `source`, the same network as it trains, has at inference."""
    if folded is source:
        return
    targets, given = folded.parameters_dict(), source.parameters_dict()
    values = {name: given[name].asnumpy() for name in targets if name in given}
    for name, cell in conv_norms(source):
        values[f"{name}.conv.weight"], values[f"{name}.conv.bias"] = cell.folded()
    for name, parameter in targets.items():
        parameter.set_data(ms.Tensor(values[name], parameter.dtype))
