"""The exponential moving average of a network's weights."""

from __future__ import annotations

from collections.abc import Iterable

import mindspore as ms
import mindspore.nn as nn
import mindspore.ops as ops

from mindlift.models.cpu import operators

PREFIX = "ema"

blend = ops.MultitypeFuncGraph("blend")


@blend.register("Tensor", "Tensor", "Tensor")
def blended(share, shadow, weight):
    return ops.assign(shadow, ops.lerp(shadow, weight, share))


follow = ops.MultitypeFuncGraph("follow")


@follow.register("Tensor", "Tensor", "Tensor", "Tensor")
def followed(is_early, share, shadow, weight):
    return ops.assign(shadow, ops.where(is_early, weight, ops.lerp(shadow, weight, share)))


class Average(nn.Cell):
    """Moves each of `shadows` towards its parameter: s = decay * s + (1 - decay) * w.

    Shadows are float32 and start as the parameters are; those of batch norms' statistics are averaged too. With
    `warmup` the decay of update t = 1, 2, ... is min(decay, (1 + t) / (10 + t)), as in TensorFlow's
    ExponentialMovingAverage with num_updates, so that the first weights are soon forgotten. `updates` counts t. For the
    first `start` updates shadows are the parameters, and t is counted from there.
    """

    def __init__(
        self,
        parameters: Iterable[ms.Parameter],
        updates: ms.Parameter,
        decay: float,
        warmup: bool,
        start: int = 0,
    ):
        super().__init__(auto_prefix=False)
        self.weights = ms.ParameterTuple(parameters)
        self.shadows = self.weights.clone(prefix=PREFIX, init="same")
        for shadow in self.shadows:
            shadow.requires_grad = False
        self.updates, self.decay, self.warmup, self.start = updates, decay, warmup, start
        self.map = ops.HyperMap()

    def construct(self, after):
        """Average what there is `after` that value has been computed."""
        share, is_early = self.numbers(after)
        weights = ops.depend(self.weights, after)
        if self.start:
            return self.map(ops.partial(follow, is_early, share), self.shadows, weights)
        return self.map(ops.partial(blend, share), self.shadows, weights)

    def numbers(self, after):
        """The share of the weights in this update, and whether it is one of the first `start`."""
        decay = ops.depend(ms.Tensor(self.decay, ms.float32), after)
        count = ops.depend(self.updates, after).astype(ms.float32).reshape(()) - self.start
        if self.warmup:
            decay = ops.minimum(decay, (1 + count) / (10 + count))
        return 1 - decay, count <= 0.0

    def to_weights(self) -> None:
        """Overwrite the parameters with their averages."""
        for weight, shadow in zip(self.weights, self.shadows):
            weight.set_data(ms.Tensor(shadow.asnumpy(), weight.dtype))


class OnePassAverage(Average):
    """Average, of float32 weights on a CPU, by one pass of models/cpu/optimizer.cpp."""

    def __init__(
        self,
        parameters: Iterable[ms.Parameter],
        updates: ms.Parameter,
        decay: float,
        warmup: bool,
        start: int,
        library: str,
    ):
        super().__init__(parameters, updates, decay, warmup, start)
        self.step = operators.average(library, len(self.weights))

    def construct(self, after):
        share, is_early = self.numbers(after)
        early = is_early.astype(ms.float32) if self.start else ops.zeros_like(share)
        return self.step(*self.shadows, *self.weights, ops.stack((share, early)))
