"""Optimisers and their parameter groups."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import mindspore as ms
import mindspore.nn as nn
import mindspore.ops as ops
import numpy as np
from mindspore.common.initializer import initializer

from mindlift.backports import TypedDict

# How the state that an optimiser gathers starts, by the names that MindSpore gives it.
STARTS = {"moments.": "zeros", "mean_square.": "ones"}
NOT_DECAYED = (".gamma", ".beta", ".bias")


class Group(TypedDict):
    """Parameters with a weight decay of their own, as MindSpore's optimisers take them."""

    params: list[ms.Parameter]
    weight_decay: float


@dataclass(frozen=True)
class RMSPropOptions:
    decay: float
    momentum: float
    epsilon: float


def decay_groups(parameters: Iterable[ms.Parameter], weight_decay: float) -> list[Group]:
    """Two groups: weights with `weight_decay`; biases and norms' gamma and beta with none.

    The second group states its 0 because a group without a value inherits the optimiser's.
    """
    decayed: list[ms.Parameter] = []
    plain: list[ms.Parameter] = []
    for parameter in parameters:
        (plain if parameter.name.endswith(NOT_DECAYED) else decayed).append(parameter)
    groups: list[Group] = [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


rms_update = ops.MultitypeFuncGraph("rms_update")
rms_kernel = ops.MultitypeFuncGraph("rms_kernel")


@rms_update.register("Tuple", "Tensor", "Tensor", "Tensor", "Tensor")
def rms_updated(numbers, gradient, weight, square, moment):
    decay, momentum, epsilon, lr = numbers
    squared = ops.assign(square, decay * square + (1 - decay) * gradient * gradient)
    moved = ops.assign(moment, momentum * moment + lr * gradient * ops.rsqrt(squared + epsilon))
    return ops.assign(weight, weight - moved)


@rms_kernel.register("Function", "Tuple", "Tensor", "Tensor", "Tensor", "Tensor")
def rms_applied(kernel, numbers, gradient, weight, square, moment):
    decay, momentum, epsilon, lr = numbers
    return kernel(weight, square, moment, lr, gradient, decay, momentum, epsilon)


class RMSProp(nn.Optimizer):
    """s = decay * s + (1 - decay) * g**2, m = momentum * m + lr * g / sqrt(s + epsilon), w -= m; s starts at 1.

    Tieleman and Hinton, Lecture 6.5 (2012), as TensorFlow has it: epsilon inside the root. nn.RMSProp documents
    the same, but its CPU kernel (2.7 - 2.10) takes epsilon out of the root for all but the last size % 8 weights of
    a tensor, which makes an epsilon of 1 another optimiser. So a CPU computes the formula step by step; other devices
    have KernelRMSProp.
    """

    def __init__(
        self,
        groups: list[Group],
        lr: ms.Tensor,
        options: RMSPropOptions,
    ):
        super().__init__(lr, groups)
        self.square = self.parameters.clone(prefix="mean_square", init="ones")
        self.moment = self.parameters.clone(prefix="moments", init="zeros")
        self.decay, self.momentum, self.epsilon = (
            self.constant(number) for number in (options.decay, options.momentum, options.epsilon)
        )
        self.map = ops.HyperMap()

    def constant(self, value: float) -> ms.Tensor | float:
        return ms.Tensor(value, ms.float32)

    def construct(self, gradients):
        gradients, lr = self.begin(gradients)
        update = ops.partial(rms_update, (self.decay, self.momentum, self.epsilon, lr))
        return self.map(update, gradients, self.parameters, self.square, self.moment)

    def begin(self, gradients):
        """The gradients with weight decay, and the rate of this step, which is counted.

        Not by get_lr(): MindSpore 2.0's counts global_step too, later ones leave that to the optimiser.
        """
        gradients = self.scale_grad(self.decay_weight(gradients))
        lr = self.learning_rate(self.global_step).reshape(())
        self.assignadd(self.global_step, self.global_step_increase_tensor)
        return gradients, lr


class KernelRMSProp(RMSProp):
    """RMSProp by the device's kernel (ops.ApplyRMSProp) in place of 19 small ones a tensor.

    A class of its own, because MindSpore 2.0 crashes while it compiles a graph with both in branches.
    """

    def __init__(self, groups: list[Group], lr: ms.Tensor, options: RMSPropOptions):
        super().__init__(groups, lr, options)
        self.kernel = ops.ApplyRMSProp()

    def constant(self, value: float) -> ms.Tensor | float:
        return float(value)

    def construct(self, gradients):
        gradients, lr = self.begin(gradients)
        update = ops.partial(rms_kernel, self.kernel, (self.decay, self.momentum, self.epsilon, lr))
        return self.map(update, gradients, self.parameters, self.square, self.moment)


def rmsprop(
    parameters: Iterable[ms.Parameter],
    lr: np.ndarray,
    options: RMSPropOptions,
    weight_decay: float,
    has_kernel: bool = False,
) -> nn.Optimizer:
    """RMSProp with `lr` (steps,) read at the optimiser's own step count; see sgd_momentum.

    `has_kernel`: the device's kernel for it computes the formula, see RMSProp.
    """
    groups = decay_groups(parameters, weight_decay)
    kind = KernelRMSProp if has_kernel else RMSProp
    return kind(groups, ms.Tensor(lr, ms.float32), options)


def reset_state(optimizer: nn.Optimizer) -> None:
    """Set what the optimiser has gathered back to how it started. Its count of steps, which finds the rate, stays."""
    for name, parameter in optimizer.parameters_dict().items():
        start = next((value for prefix, value in STARTS.items() if name.startswith(prefix)), None)
        if start is not None:
            ops.assign(parameter, initializer(start, parameter.shape, parameter.dtype).init_data())


def sgd_momentum(
    parameters: Iterable[ms.Parameter], lr: np.ndarray, momentum: float, weight_decay: float
) -> nn.Optimizer:
    """v = momentum * v + g + wd * w; w -= lr * v, with `lr` (steps,) read at the optimiser's own step count."""
    groups = decay_groups(parameters, weight_decay)
    return nn.Momentum(groups, learning_rate=ms.Tensor(lr, ms.float32), momentum=momentum)
