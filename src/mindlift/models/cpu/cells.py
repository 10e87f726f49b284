"""Networks whose norms, with the ReLU and the sum behind them, are one kernel of kernels.cpp each."""

from __future__ import annotations

import mindspore as ms
import mindspore.nn as nn
import mindspore.ops as ops
import numpy as np

from mindlift.models.batch_norms import InPlaceOf
from mindlift.models.cpu import operators
from mindlift.models.external.cells import put
from mindlift.models.layers import name_parameters


def numbers_of(norm: nn.BatchNorm2d) -> ms.Tensor:
    return ms.Tensor(np.array([norm.eps, norm.momentum]), ms.float32)


class Norm(InPlaceOf):
    """Batch norm, and ReLU if `relu`: (N, C, H, W) -> (N, C, H, W), float32."""

    def __init__(self, norm: nn.BatchNorm2d, library: str, relu: bool):
        super().__init__(norm)
        self.numbers, self.has_relu = numbers_of(self), relu
        self.operator = operators.norm(library, relu)
        self.at_inference = operators.norm_at_inference(library, relu)

    def construct(self, x):
        if not self.training:
            moving = self.moving_mean, self.moving_variance
            return self.at_inference(x, self.gamma, self.beta, *moving, self.numbers)
        if self.use_batch_statistics is not None:
            y = self.bn_infer(x, self.gamma, self.beta, self.moving_mean, self.moving_variance)[0]
            return ops.relu(y) if self.has_relu else y
        moving = self.moving_mean, self.moving_variance
        return self.operator(x, self.gamma, self.beta, *moving, self.numbers)[0]


class NormAddReLU(InPlaceOf):
    """relu(batch norm of x + other): twice (N, C, H, W) -> (N, C, H, W), float32."""

    def __init__(self, norm: nn.BatchNorm2d, library: str):
        super().__init__(norm)
        self.numbers = numbers_of(self)
        self.operator = operators.norm_add_relu(library)

    def construct(self, x, other):  # type: ignore[override]
        if not self.training or self.use_batch_statistics is not None:
            y = self.bn_infer(x, self.gamma, self.beta, self.moving_mean, self.moving_variance)[0]
            return ops.relu(y + other)
        moving = self.moving_mean, self.moving_variance
        return self.operator(x, self.gamma, self.beta, *moving, self.numbers, other)[0]


class Kernels:
    """Makes the cells that take the place of others; cells with a `fuse` of their own are given it by `apply`."""

    def __init__(self, library: str):
        self.library = library

    def take(self, cell: object) -> bool:
        """Whether `cell` is a batch norm that they know: of a batch's own statistics, not over ranks, computed once."""
        return type(cell) is nn.BatchNorm2d and cell.use_batch_statistics is None

    def norm(self, norm: nn.BatchNorm2d, relu: bool = False) -> nn.Cell:
        return Norm(norm, self.library, relu)

    def norm_add_relu(self, norm: nn.BatchNorm2d) -> nn.Cell:
        return NormAddReLU(norm, self.library)

    def bias(self, relu: bool, adds: bool = False) -> ops.Custom:
        """For inference."""
        return operators.bias(self.library, relu, adds)

    def group_norm_relu(self) -> ops.Custom:
        return operators.group_norm_relu(self.library)

    def rows(self) -> ops.Custom:
        return operators.rows(self.library)


def apply(network: nn.Cell, library: str) -> None:
    """Let `network` compute by the kernels of `library`, in float32. Its function stays, to rounding, and its names do."""
    kernels = Kernels(library)
    for _, cell in list(network.cells_and_names()):
        if hasattr(type(cell), "fuse"):
            cell.fuse(kernels)
    made: dict[int, nn.Cell] = {}
    for _, cell in list(network.cells_and_names()):
        for position, (name, inner) in enumerate(list(cell.name_cells().items())):
            if kernels.take(inner):
                if id(inner) not in made:
                    made[id(inner)] = kernels.norm(inner)
                put(cell, name, position, made[id(inner)])
    name_parameters(network)
