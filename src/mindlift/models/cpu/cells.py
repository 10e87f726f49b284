"""Networks whose norms, with the ReLU and the sum behind them, are one kernel of kernels.cpp each."""

from __future__ import annotations

import mindspore as ms
import mindspore.nn as nn
import mindspore.ops as ops
import numpy as np

from mindlift.models.batch_norms import InPlaceOf
from mindlift.models.bit.cells import StandardisedConv
from mindlift.models.cpu import blocks, operators
from mindlift.models.external.cells import put
from mindlift.models.layers import name_parameters


def numbers_of(norm: nn.BatchNorm2d) -> ms.Tensor:
    return ms.Tensor(np.array([norm.eps, norm.momentum]), ms.float32)


class Norm(InPlaceOf):
    """Batch norm, and ReLU if `relu`: (N, C, H, W) or in blocks -> the same, float32."""

    def __init__(self, norm: nn.BatchNorm2d, library: str, relu: bool):
        super().__init__(norm)
        self.numbers = numbers_of(self)
        self.operator = operators.norm(library, relu)
        self.at_inference = operators.norm_at_inference(library, relu)

    def construct(self, x):
        moving = self.moving_mean, self.moving_variance
        if not self.training or self.use_batch_statistics is not None:
            return self.at_inference(x, self.gamma, self.beta, *moving, self.numbers)
        return self.operator(x, self.gamma, self.beta, *moving, self.numbers)[0]


class NormAddReLU(InPlaceOf):
    """relu(batch norm of x + other): twice (N, C, H, W), or in blocks, -> the same, float32."""

    def __init__(self, norm: nn.BatchNorm2d, library: str):
        super().__init__(norm)
        self.numbers = numbers_of(self)
        self.operator = operators.norm_add_relu(library)
        self.at_inference = operators.norm_at_inference(library, relu=False)

    def construct(self, x, other):  # type: ignore[override]
        moving = self.moving_mean, self.moving_variance
        if not self.training or self.use_batch_statistics is not None:
            return ops.relu(self.at_inference(x, self.gamma, self.beta, *moving, self.numbers) + other)
        return self.operator(x, self.gamma, self.beta, *moving, self.numbers, other)[0]


def sides_of(conv: nn.Conv2d) -> tuple[int, ...]:
    """The padding (top, bottom, left, right), each -1 for "same", which depends on the size of the images."""
    if conv.pad_mode == "pad":
        return tuple(conv.padding) if isinstance(conv.padding, tuple) else (conv.padding,) * 4
    return (-1,) * 4 if conv.pad_mode == "same" else (0,) * 4


class Geometry:
    """Where a convolution's weights meet its images; of it `numbers` is what the kernel is told."""

    def __init__(self, conv: nn.Conv2d, block: int = 0):
        self.block = block
        self.stride, self.dilation, self.kernel = (
            pair(conv.stride),
            pair(conv.dilation),
            pair(conv.kernel_size),
        )
        self.sides = sides_of(conv)
        numbers = (*self.stride, *self.dilation, *self.sides, conv.group)
        self.numbers, self.name = (
            ms.Tensor(np.array(numbers), ms.float32),
            repr((*self.kernel, *numbers, block)),
        )

    def shape(self, x, weight, *others):
        """Of y, in blocks if it may be and its channels fill them, where weights are (O, C / groups, h, w).

        A 1x1 convolution of plain maps is a product of matrices as it stands, and gives plain ones.
        """
        is_product = len(x) == 4 and self.kernel == (1, 1)
        plain = x[0], weight[0], self.size(x[2], 0), self.size(x[3], 1)
        return blocks.shape(plain, 0 if is_product else self.block)

    def size(self, size: int, axis: int) -> int:
        before, after = self.sides[2 * axis : 2 * axis + 2]
        if before < 0:
            return -(-size // self.stride[axis])
        spread = (self.kernel[axis] - 1) * self.dilation[axis] + 1
        return (size + before + after - spread) // self.stride[axis] + 1


class Convolution(nn.Cell):
    """What `conv2d` of a convolution computes, without its bias: (N, C, H, W), (O, C / groups, h, w) -> (N, O, H', W').

    Its input may be in blocks, and its output is if there is a `block`, see blocks.py.
    """

    def __init__(self, conv: nn.Conv2d, library: str, block: int = 0):
        super().__init__()
        geometry = Geometry(conv, block)
        self.numbers, self.operator = (
            geometry.numbers,
            operators.convolution(library, geometry.shape, geometry.name),
        )

    def construct(self, x, weight):
        return self.operator(x, weight, self.numbers)


class ConvolutionBias(nn.Cell):
    """relu(convolution + bias + other) at inference: as Convolution, with bias (O,) and, if it `adds`, other, like the output.

    Its input may be in blocks, and its output is, see blocks.py.
    """

    def __init__(self, conv: nn.Conv2d, library: str, block: int, relu: bool, adds: bool):
        super().__init__()
        geometry, self.adds = Geometry(conv, block), adds
        self.numbers = geometry.numbers
        self.operator = operators.convolution_bias(library, geometry.shape, geometry.name, relu, adds)

    def construct(self, x, weight, bias, other=None):
        if self.adds:
            return self.operator(x, weight, bias, self.numbers, other)
        return self.operator(x, weight, bias, self.numbers)


class ConvolutionAdd(nn.Cell):
    """convolution + other at inference: as Convolution, with other, like the output."""

    def __init__(self, conv: nn.Conv2d, library: str, block: int):
        super().__init__()
        geometry = Geometry(conv, block)
        self.numbers = geometry.numbers
        self.operator = operators.convolution_add(library, geometry.shape, geometry.name)

    def construct(self, x, weight, other):
        return self.operator(x, weight, self.numbers, other)


class ConvolutionReLU(nn.Cell):
    """A ConvolutionBias with the weight and the bias of `conv`, by their names."""

    def __init__(self, conv: nn.Conv2d, whole: nn.Cell):
        super().__init__()
        self.weight, self.bias, self.whole = conv.weight, conv.bias, whole

    def construct(self, x):
        return self.whole(x, self.weight, self.bias)


def pair(value: int | tuple[int, ...]) -> tuple[int, int]:
    """(height, width) of a side, of a pair, or of what nn.Conv2d keeps for ops.Conv2D: (1, 1, height, width)."""
    height, width = (value, value) if isinstance(value, int) else value[-2:]
    return height, width


class Kernels:
    """Makes the cells that take the place of others; cells with a `fuse` of their own are given it by `apply`.

    `is_folded` says that the network is for inference, see layers.fold. `block` is how many channels its maps have in a block, 0 for
    plain ones.
    """

    def __init__(self, library: str, is_folded: bool = False, block: int = 0):
        self.library, self.is_folded, self.block = library, is_folded, block

    def convolution(self, conv: nn.Conv2d, in_blocks: bool = False) -> nn.Cell:
        """In place of its conv2d: takes the maps and the weight. Its output is in blocks if it may be, `in_blocks`."""
        return Convolution(conv, self.library, self.block if in_blocks else 0)

    def folded(self, conv: nn.Conv2d) -> nn.Cell:
        """In place of a convolution with a bias, at inference: with the ReLU behind it."""
        return ConvolutionReLU(conv, self.convolution_bias(conv, relu=True))

    def convolution_bias(self, conv: nn.Conv2d, relu: bool, adds: bool = False) -> nn.Cell:
        """For inference: takes the maps, the weight, the bias and, if it `adds`, what is added."""
        return ConvolutionBias(conv, self.library, self.block, relu, adds)

    def convolution_add(self, conv: nn.Conv2d) -> nn.Cell:
        """For inference: takes the maps, the weight and what is added."""
        return ConvolutionAdd(conv, self.library, self.block)

    @staticmethod
    def take(cell: object) -> bool:
        """Whether `cell` is a batch norm that they know: of a batch's own statistics, not over ranks, computed once."""
        return type(cell) is nn.BatchNorm2d and cell.use_batch_statistics is None

    def in_place_of(self, cell: nn.Cell) -> nn.Cell | None:
        """Of a batch norm or a pool, whatever is around it; None of other cells."""
        if self.take(cell):
            return self.norm(cell)
        return blocks.in_place_of(cell, self.library, self.is_folded, self.block)

    def norm(self, norm: nn.BatchNorm2d, relu: bool = False) -> nn.Cell:
        return Norm(norm, self.library, relu)

    def norm_add_relu(self, norm: nn.BatchNorm2d) -> nn.Cell:
        return NormAddReLU(norm, self.library)

    def means(self) -> ops.Custom:
        return operators.means(self.library)

    def zero_padded_pool(self) -> nn.Cell:
        return blocks.Pool3x3(self.library, 1)

    def group_norm_relu(self) -> ops.Custom:
        return operators.group_norm_relu(self.library)

    def rows(self) -> ops.Custom:
        return operators.rows(self.library)


def is_convolution(cell: nn.Cell) -> bool:
    """Whether it computes self.conv2d(x, weight) of maps (N, C, H, W), and perhaps adds a bias."""
    by_conv2d = (nn.Conv2d.construct, StandardisedConv.construct)
    return isinstance(cell, nn.Conv2d) and type(cell).construct in by_conv2d and cell.data_format == "NCHW"


def apply(network: nn.Cell, library: str) -> None:
    """Let `network` compute by the kernels of `library`, in float32. Its function stays, to rounding, and its names do.

    Maps are in blocks inside a network whose class says itself that its cells all take them, `takes_blocks`: not inside one derived from it.
    """
    inside = [cell for _, cell in network.cells_and_names()]
    is_folded = any(getattr(cell, "is_folded", False) for cell in inside)
    takes_norms = all(Kernels.take(cell) for cell in inside if isinstance(cell, nn.BatchNorm2d))
    takes_blocks = vars(type(network)).get("takes_blocks", False) and (is_folded or takes_norms)
    kernels = Kernels(library, is_folded, blocks.channels(library) if takes_blocks else 0)
    for _, cell in list(network.cells_and_names()):
        if hasattr(type(cell), "fuse"):
            cell.fuse(kernels)
    for _, cell in list(network.cells_and_names()):
        if is_convolution(cell) and not isinstance(cell.conv2d, Convolution):
            cell.conv2d = kernels.convolution(cell)
    made: dict[int, nn.Cell] = {}
    for _, cell in list(network.cells_and_names()):
        for position, (name, inner) in enumerate(list(cell.name_cells().items())):
            new = made[id(inner)] if id(inner) in made else kernels.in_place_of(inner)
            if new is not None:
                made[id(inner)] = new
                put(cell, name, position, new)
    name_parameters(network)
