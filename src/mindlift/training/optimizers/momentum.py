"""SGD with momentum, Nesterov's too, and LARS, which is that with a rate for each layer."""

from __future__ import annotations

import mindspore.nn as nn
import mindspore.ops as ops

from mindlift.training.optimizers.formula import Formula, Plan, norm, ratio_or_1, scaled

momentum_update = ops.MultitypeFuncGraph("momentum_update")
lars_update = ops.MultitypeFuncGraph("lars_update")


@momentum_update.register("Tuple", "Number", "Bool", "Tensor", "Tensor", "Tensor")
def momentum_updated(numbers, scale, nesterov, gradient, weight, moment):
    momentum, lr = numbers
    moved = ops.assign(moment, momentum * moment + gradient)
    step = gradient + momentum * moved if nesterov else moved
    return ops.assign(weight, weight - scaled(lr, scale) * step)


@lars_update.register("Tuple", "Number", "Number", "Bool", "Tensor", "Tensor", "Tensor")
def lars_updated(numbers, scale, decay, adapts, gradient, weight, moment):
    momentum, coefficient, lr = numbers
    rate = scaled(lr, scale)
    if adapts:
        size = norm(weight)
        rate = rate * coefficient_or_1(coefficient, size, norm(gradient) + decay * size)
        gradient = gradient + decay * weight
    moved = ops.assign(moment, momentum * moment + rate * gradient)
    return ops.assign(weight, weight - moved)


def coefficient_or_1(coefficient, size, length):
    """coefficient * size / length; 1 where weights or gradients are all 0."""
    has_none = ops.logical_or(size <= 0.0, length <= 0.0)
    return ops.select(has_none, ops.ones_like(size), coefficient * ratio_or_1(size, length))


class Momentum(Formula):
    """nn.Momentum with Nesterov's step on a CPU, too, and with a rate of its own for each weight.

    The CPU's kernel of ops.ApplyMomentum (2.8) takes use_nesterov and computes the plain step.
    """

    def __init__(self, plan: Plan, momentum: float, nesterov: bool):
        super().__init__(plan)
        self.moments, self.momentum = self.gathered("moments"), momentum
        self.nesterov = tuple(nesterov for _ in self.scales)

    def construct(self, gradients):
        gradients, lr = self.with_decay(gradients), self.rate()
        update = ops.partial(momentum_update, (self.momentum, lr))
        return self.map(update, self.scales, self.nesterov, gradients, self.parameters, self.moments)


class LARS(Formula):
    """r = eta * |w| / (|g| + wd * |w|), v = momentum * v + lr * r * (g + wd * w), w -= v.

    You, Gitman and Ginsburg, Large Batch Training of Convolutional Networks (2017), algorithm 1; `coefficient` is eta.
    Weights without decay (biases, norms) are trained by plain momentum, as in MindSpore's nn.LARS with its
    `lars_filter` and in timm's Lars.
    """

    def __init__(self, plan: Plan, momentum: float, coefficient: float):
        super().__init__(plan)
        self.moments = self.gathered("moments")
        self.momentum, self.coefficient = momentum, coefficient

    def construct(self, gradients):
        lr = self.rate()
        update = ops.partial(lars_update, (self.momentum, self.coefficient, lr))
        return self.map(
            update, self.scales, self.decays, self.decayed, gradients, self.parameters, self.moments
        )


def sgd_momentum(plan: Plan, momentum: float, nesterov: bool = False) -> nn.Optimizer:
    """v = momentum * v + g + wd * w; w -= lr * v, or with `nesterov` w -= lr * (g + wd * w + momentum * v).

    Sutskever et al., On the importance of initialization and momentum in deep learning (ICML 2013), section 2, in the
    form that PyTorch and MindSpore have: the rate is no part of v.
    """
    if nesterov or plan.is_layerwise:
        return Momentum(plan, momentum, nesterov)
    return nn.Momentum(plan.groups, learning_rate=plan.table, momentum=momentum)
