"""What the optimisers share that are written as formulas here, in elementary operators, the same on every device."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import mindspore as ms
import mindspore.nn as nn
import mindspore.ops as ops
import numpy as np
from mindspore.common.initializer import initializer

from mindlift.training.optimizers.groups import NOT_DECAYED, Group, decay_groups, fits

# How the state that an optimiser gathers starts, by the names that it is given there.
STARTS = {"moments.": "zeros", "mean_square.": "ones", "moment1.": "zeros", "moment2.": "zeros"}
UPDATES = "updates"


@dataclass(frozen=True)
class Plan:
    """What every optimiser is given.

    `rates` (steps,) float32 is the learning rate of every step, read at the optimiser's own step count; a weight's is
    that times its value in `scales`, where it has one (see groups.layer_scales). Weights whose names one of the patterns
    `excluded` fits have no weight decay.
    """

    parameters: Sequence[ms.Parameter]
    rates: np.ndarray
    weight_decay: float = 0.0
    excluded: Sequence[str] = NOT_DECAYED
    scales: Mapping[str, float] = field(default_factory=dict)

    @property
    def groups(self) -> list[Group]:
        return decay_groups(self.parameters, self.weight_decay, self.excluded)

    @property
    def table(self) -> ms.Tensor:
        return ms.Tensor(self.rates, ms.float32)

    @property
    def is_layerwise(self) -> bool:
        return any(scale != 1.0 for scale in self.scales.values())


class Formula(nn.Optimizer):
    """An optimiser whose `construct` begins with `rate`.

    Of each of `parameters`: `scales`, `decays`, and `decayed`, which says whether it is no exception from weight decay.
    """

    def __init__(self, plan: Plan):
        super().__init__(plan.table, plan.groups)
        self.scales = tuple(plan.scales.get(each.name, 1.0) for each in self.parameters)
        self.decayed = tuple(not fits(each.name, plan.excluded) for each in self.parameters)
        self.decays = tuple(plan.weight_decay if decayed else 0.0 for decayed in self.decayed)
        self.map = ops.HyperMap()

    def gathered(self, prefix: str) -> ms.ParameterTuple:
        """A state of the shape of each weight; the prefix is one of STARTS."""
        return self.parameters.clone(prefix=prefix, init=STARTS[f"{prefix}."])

    def with_decay(self, gradients):
        """Weight decay as an L2 term of the loss; the other way is `decays`, apart from the gradients."""
        return self.scale_grad(self.decay_weight(gradients))

    def rate(self):
        """The learning rate of this step, which is counted.

        Not by get_lr(): MindSpore 2.0's counts global_step too, later ones leave that to the optimiser.
        """
        lr = self.learning_rate(self.global_step).reshape(())
        self.assignadd(self.global_step, self.global_step_increase_tensor)
        return lr


class Moments(Formula):
    """A Formula with two moments of the gradients and a count of its updates, for their bias correction."""

    def __init__(self, plan: Plan, betas: tuple[float, float], epsilon: float):
        super().__init__(plan)
        self.moment1, self.moment2 = self.gathered("moment1"), self.gathered("moment2")
        self.updates = ms.Parameter(ms.Tensor(np.zeros(1), ms.int32), name=UPDATES, requires_grad=False)
        self.one = ms.Tensor(np.ones(1), ms.int32)
        self.betas, self.epsilon = betas, epsilon
        self.logs = tuple(math.log(max(beta, 1e-40)) for beta in betas)

    def numbers(self, lr):
        """What each weight's step needs, behind betas and epsilon 1 - beta ** t of both, with t counted up.

        By expm1: 1 - 0.999 would have but four digits in float32.
        """
        self.assignadd(self.updates, self.one)
        count = self.updates.astype(ms.float32).reshape(())
        corrections = -ops.expm1(count * self.logs[0]), -ops.expm1(count * self.logs[1])
        beta1, beta2 = self.betas
        return (beta1, 1 - beta1, beta2, 1 - beta2, self.epsilon, *corrections, lr)


def scaled(lr, scale):
    """`scale` is known when the graph is compiled, and mostly 1."""
    return lr if scale == 1.0 else lr * scale


def norm(x):
    """Euclidean, scalar float32."""
    return ops.sqrt(ops.square(x).sum())


def ratio_or_1(numerator, denominator):
    """Of two norms; 1 where one of them is 0, as for weights that start there."""
    is_one = ops.logical_or(numerator <= 0.0, denominator <= 0.0)
    safe = ops.select(is_one, ops.ones_like(denominator), denominator)
    return ops.select(is_one, ops.ones_like(numerator), numerator / safe)


def reset_state(optimizer: nn.Optimizer) -> None:
    """Set what the optimiser has gathered back to how it started. Its count of steps, which finds the rate, stays."""
    for name, parameter in optimizer.parameters_dict().items():
        start = next((value for prefix, value in STARTS.items() if name.startswith(prefix)), None)
        if name == UPDATES:
            start = "zeros"
        if start is not None:
            ops.assign(parameter, initializer(start, parameter.shape, parameter.dtype).init_data())
