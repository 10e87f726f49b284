"""RMSProp as TensorFlow has it."""

from __future__ import annotations

from dataclasses import dataclass

import mindspore as ms
import mindspore.nn as nn
import mindspore.ops as ops

from mindlift.training.optimizers.formula import Formula, Plan, scaled


@dataclass(frozen=True)
class RMSPropOptions:
    decay: float
    momentum: float
    epsilon: float


rms_update = ops.MultitypeFuncGraph("rms_update")
rms_kernel = ops.MultitypeFuncGraph("rms_kernel")


@rms_update.register("Tuple", "Number", "Tensor", "Tensor", "Tensor", "Tensor")
def rms_updated(numbers, scale, gradient, weight, square, moment):
    decay, momentum, epsilon, lr = numbers
    squared = ops.assign(square, decay * square + (1 - decay) * gradient * gradient)
    step = scaled(lr, scale) * gradient * ops.rsqrt(squared + epsilon)
    moved = ops.assign(moment, momentum * moment + step)
    return ops.assign(weight, weight - moved)


@rms_kernel.register("Function", "Tuple", "Number", "Tensor", "Tensor", "Tensor", "Tensor")
def rms_applied(kernel, numbers, scale, gradient, weight, square, moment):
    decay, momentum, epsilon, lr = numbers
    return kernel(weight, square, moment, scaled(lr, scale), gradient, decay, momentum, epsilon)


class RMSProp(Formula):
    """s = decay * s + (1 - decay) * g**2, m = momentum * m + lr * g / sqrt(s + epsilon), w -= m; s starts at 1.

    Tieleman and Hinton, Lecture 6.5 (2012), as TensorFlow has it: epsilon inside the root. nn.RMSProp documents
    the same, but its CPU kernel (2.7 - 2.10) takes epsilon out of the root for all but the last size % 8 weights of
    a tensor, which makes an epsilon of 1 another optimiser. So a CPU computes the formula step by step; other devices
    have KernelRMSProp.
    """

    def __init__(self, plan: Plan, options: RMSPropOptions):
        super().__init__(plan)
        self.square, self.moment = self.gathered("mean_square"), self.gathered("moments")
        self.decay, self.momentum, self.epsilon = (
            self.constant(number) for number in (options.decay, options.momentum, options.epsilon)
        )

    def constant(self, value: float) -> ms.Tensor | float:
        return ms.Tensor(value, ms.float32)

    def construct(self, gradients):
        gradients, lr = self.with_decay(gradients), self.rate()
        update = ops.partial(rms_update, (self.decay, self.momentum, self.epsilon, lr))
        return self.map(update, self.scales, gradients, self.parameters, self.square, self.moment)


class KernelRMSProp(RMSProp):
    """RMSProp by the device's kernel (ops.ApplyRMSProp) in place of 19 small ones a tensor.

    A class of its own, because MindSpore 2.0 crashes while it compiles a graph with both in branches.
    """

    def __init__(self, plan: Plan, options: RMSPropOptions):
        super().__init__(plan, options)
        self.kernel = ops.ApplyRMSProp()

    def constant(self, value: float) -> ms.Tensor | float:
        return float(value)

    def construct(self, gradients):
        gradients, lr = self.with_decay(gradients), self.rate()
        update = ops.partial(rms_kernel, self.kernel, (self.decay, self.momentum, self.epsilon, lr))
        return self.map(update, self.scales, gradients, self.parameters, self.square, self.moment)


def rmsprop(plan: Plan, options: RMSPropOptions, has_kernel: bool = False) -> nn.Optimizer:
    """RMSProp; `has_kernel`: the device's kernel for it computes the formula, see RMSProp."""
    return (KernelRMSProp if has_kernel else RMSProp)(plan, options)
