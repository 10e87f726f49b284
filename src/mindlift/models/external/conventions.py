"""How the same tensors are computed with: what frameworks and packages do differently in a network of one name."""

from __future__ import annotations

import math
from typing import Tuple, Union

import mindspore.nn as nn
import mindspore.ops as ops

from mindlift.models import layers
from mindlift.models.external.cells import put
from mindlift.models.external.peers import Conventions

Sides = Union[int, Tuple[int, ...]]


class ExactGelu(nn.Cell):
    """x * P(X <= x) for a standard normal X, element by element (Hendrycks and Gimpel 2016)."""

    def construct(self, x):
        return x * 0.5 * (1.0 + ops.erf(x * math.sqrt(0.5)))


def apply(network: nn.Cell, conventions: Conventions) -> None:
    """Replace the layers of `network` that compute otherwise; tensors and their names stay."""
    for _, cell in list(network.cells_and_names()):
        for position, (name, inner) in enumerate(list(cell.name_cells().items())):
            new = replacement(inner, conventions)
            if new is not inner:
                put(cell, name, position, new)
    layers.name_parameters(network)


def replacement(cell: nn.Cell, conventions: Conventions) -> nn.Cell:
    """`cell`, or one with its tensors that computes as `conventions` say."""
    if isinstance(cell, nn.GELU):
        return ExactGelu() if conventions.exact_gelu else cell
    if type(cell) is nn.BatchNorm2d and conventions.bn_eps is not None:
        return with_bn_eps(cell, conventions.bn_eps)
    if type(cell) is nn.LayerNorm and conventions.ln_eps is not None:
        return with_ln_eps(cell, conventions.ln_eps)
    if isinstance(cell, nn.Conv2d) and conventions.padding:
        return padded(cell, conventions.padding)
    if isinstance(cell, nn.MaxPool2d) and conventions.padding == "sym" and cell.pad_mode.lower() == "same":
        return nn.MaxPool2d(cell.kernel_size, cell.stride, pad_mode="pad", padding=one_side(cell.kernel_size))
    return cell


def with_bn_eps(old: nn.Cell, eps: float) -> nn.Cell:
    new = nn.BatchNorm2d(
        old.num_features, eps=eps, momentum=1.0 - old.momentum, use_batch_statistics=old.use_batch_statistics
    )
    return with_tensors(new, old, ("gamma", "beta", "moving_mean", "moving_variance"))


def with_ln_eps(old: nn.Cell, eps: float) -> nn.Cell:
    new = nn.LayerNorm(old.normalized_shape, old.begin_norm_axis, old.begin_params_axis, epsilon=eps)
    return with_tensors(new, old, ("gamma", "beta"))


def padded(old: nn.Conv2d, padding: str) -> nn.Conv2d:
    """The convolution with other paddings. One whose windows do not overlap has none in PyTorch's networks."""
    height, width = pair(old.kernel_size)
    if (height, width) == (1, 1):
        return old
    is_patches = min(pair(old.stride)) >= max(height, width)
    mode = {"sym": "valid" if is_patches else "pad", "same": "same"}[padding]
    kernel = tuple((side - 1) * gap + 1 for side, gap in zip((height, width), pair(old.dilation)))
    sides = layers.padding_of((kernel[0], kernel[1])) if mode == "pad" else 0
    new = nn.Conv2d(
        old.in_channels,
        old.out_channels,
        (height, width),
        stride=old.stride,
        pad_mode=mode,
        padding=sides,
        dilation=old.dilation,
        group=old.group,
        has_bias=old.has_bias,
        weight_init="zeros",
    )
    return with_tensors(new, old, ("weight", "bias") if old.has_bias else ("weight",))


def with_tensors(new: nn.Cell, old: nn.Cell, names: tuple[str, ...]) -> nn.Cell:
    for name in names:
        setattr(new, name, getattr(old, name))
    return new.set_train(old.training)


def pair(value: Sides) -> tuple[int, int]:
    """(height, width) of what MindSpore keeps as one number, as two, or behind two ones."""
    return (value, value) if isinstance(value, int) else (value[-2], value[-1])


def one_side(kernel: Sides) -> int:
    return max(pair(kernel)) // 2
