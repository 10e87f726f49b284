"""Gradient clipping: by the global norm, by value, or adaptively."""

from __future__ import annotations

from collections.abc import Collection

import mindspore as ms
import mindspore.nn as nn
import mindspore.ops as ops

from mindlift.models.cpu import operators

LEAST_NORM = 1e-3  # of a unit's weights, so that those that start at zero can learn

rescale = ops.MultitypeFuncGraph("rescale")
limit = ops.MultitypeFuncGraph("limit")
adapt = ops.MultitypeFuncGraph("adapt")


@rescale.register("Tensor", "Tensor")
def rescaled(factor, gradient):
    return gradient.astype(ms.float32) * factor


@limit.register("Number", "Tensor")
def limited(largest, gradient):
    return ops.minimum(ops.maximum(gradient, -largest), largest)


@adapt.register("Number", "Bool", "Tensor", "Tensor")
def adapted(largest, clips, gradient, weight):
    if not clips:
        return gradient
    allowed = ops.maximum(unit_norms(weight), LEAST_NORM) * largest
    norms = unit_norms(gradient)
    return gradient * (allowed / ops.maximum(norms, allowed))


def unit_norms(x):
    """Of each output unit, (O, 1, ...), of a weight (O, ...) of a convolution or dense layer; of others of the whole."""
    if x.ndim <= 1:
        return ops.sqrt(ops.square(x).sum())
    return ops.sqrt(ops.square(x).sum(axis=tuple(range(1, x.ndim)), keepdims=True))


class ByNorm(nn.Cell):
    """Times what brings the global norm down to `largest` (Pascanu et al. 2013, algorithm 1)."""

    def __init__(self, largest: float):
        super().__init__()
        self.largest, self.map = largest, ops.HyperMap()

    def construct(self, gradients, weights):
        return self.map(ops.partial(rescale, clip_factor(gradients, self.largest)), gradients)


class OnePassByNorm(ByNorm):
    """ByNorm of float32 gradients on a CPU, whose norm is one pass of models/cpu/optimizer.cpp."""

    def __init__(self, largest: float, library: str):
        super().__init__(largest)
        self.norm = operators.norm_of_all(library)

    def construct(self, gradients, weights):
        return self.map(ops.partial(rescale, self.factor(gradients, ms.Tensor(1.0, ms.float32))), gradients)

    def factor(self, gradients, scale):
        """Scalar by which to multiply gradients that have to be multiplied by `scale`, and then clipped."""
        norm = self.norm(*gradients).reshape(()) * scale
        return scale * self.largest / ops.maximum(norm, ms.Tensor(self.largest, ms.float32))


class ByValue(nn.Cell):
    """Each value to [-largest, largest], as in torch.nn.utils.clip_grad_value_."""

    def __init__(self, largest: float):
        super().__init__()
        self.largest, self.map = largest, ops.HyperMap()

    def construct(self, gradients, weights):
        return self.map(ops.partial(limit, self.largest), gradients)


class Adaptive(nn.Cell):
    """Each output unit's gradient to a norm of `largest` times that of its weights, or LEAST_NORM if they have less.

    Brock et al., High-Performance Large-Scale Image Recognition Without Normalization (ICML 2021), section 4.1, eq. 3.
    `clips` says of each weight whether it is clipped; the last layer is not, as advised there.
    """

    def __init__(self, largest: float, clips: tuple[bool, ...]):
        super().__init__()
        self.largest, self.clips, self.map = largest, clips, ops.HyperMap()

    def construct(self, gradients, weights):
        return self.map(ops.partial(adapt, self.largest), self.clips, gradients, weights)


def clip_factor(gradients, largest):
    """Scalar that brings the global norm down to `largest`, 1 if it is not above."""
    total = ms.Tensor(0.0, ms.float32)
    for gradient in gradients:
        total = total + ops.square(gradient).sum()
    return largest / ops.maximum(ops.sqrt(total), ms.Tensor(largest, ms.float32))


def clipping(
    mode: str, largest: float, names: Collection[str], head: Collection[str], library: str = ""
) -> nn.Cell:
    """The clipping of gradients of weights with these names; `head` are those of the last layer. `library` as in one_pass.py."""
    if mode == "agc":
        return Adaptive(largest, tuple(name not in head for name in names))
    if mode == "norm" and library:
        return OnePassByNorm(largest, library)
    return {"norm": ByNorm, "value": ByValue}[mode](largest)
