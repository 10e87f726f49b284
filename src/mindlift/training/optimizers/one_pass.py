"""SGD with momentum, Adam, AdamW and RMSProp on a CPU: one pass over all weights, by models/cpu/optimizer.cpp.

What they compute, and their state in a checkpoint, are those of momentum.py, adaptive.py and rmsprop.py.
`library` is the path of the kernels. Called with a `factor`, they multiply gradients by it.
"""

from __future__ import annotations

import mindspore as ms
import mindspore.ops as ops
import numpy as np

from mindlift.models.cpu import operators
from mindlift.training.optimizers.formula import Formula, Moments, Plan
from mindlift.training.optimizers.rmsprop import RMSPropOptions


def settings(optimizer: Formula) -> ms.Tensor:
    """Of each weight its decay and its share of the learning rate, (weights, 2)."""
    return ms.Tensor(np.array([optimizer.decays, optimizer.scales]).T, ms.float32)


class OnePassMomentum(Formula):
    """`sgd_momentum` of momentum.py."""

    def __init__(self, plan: Plan, momentum: float, nesterov: bool, library: str):
        super().__init__(plan)
        self.moments, self.library = self.gathered("moments"), library
        if not nesterov and not plan.is_layerwise:  # nn.Momentum keeps its momentum in checkpoints
            self.momentum = ms.Parameter(ms.Tensor(momentum, ms.float32), "momentum", requires_grad=False)
        self.settings = settings(self)
        self.constants, self.unscaled = ms.Tensor([momentum], ms.float32), ms.Tensor([1.0], ms.float32)
        name = "nesterov_step" if nesterov else "momentum_step"
        self.step = operators.update(library, name, len(self.parameters), 1)

    def construct(self, gradients, factor=None):
        factor = self.unscaled if factor is None else factor.reshape(1)
        numbers = ops.concat((self.rate().reshape(1), factor, self.constants))
        return self.step(*gradients, *self.parameters, *self.moments, self.settings, numbers)


class OnePassAdam(Moments):
    """Adam of adaptive.py, or AdamW with the decay `apart`."""

    def __init__(
        self, plan: Plan, betas: tuple[float, float], epsilon: float, library: str, apart: bool = False
    ):
        super().__init__(plan, betas, epsilon)
        self.settings, self.unscaled, self.library = settings(self), ms.Tensor([1.0], ms.float32), library
        beta1, beta2 = betas
        self.constants = ms.Tensor([beta1, 1 - beta1, beta2, 1 - beta2, epsilon], ms.float32)
        name = "adamw_step" if apart else "adam_step"
        self.step = operators.update(library, name, len(self.parameters), 2)

    def construct(self, gradients, factor=None):
        factor = self.unscaled if factor is None else factor.reshape(1)
        numbers = self.numbers(self.rate())
        corrections = (numbers[5].reshape(1), numbers[6].reshape(1))
        numbers = ops.concat((numbers[7].reshape(1), factor, self.constants, *corrections))
        state = (*self.moment1, *self.moment2)
        return self.step(*gradients, *self.parameters, *state, self.settings, numbers)


class OnePassRMSProp(Formula):
    """RMSProp of rmsprop.py."""

    def __init__(self, plan: Plan, options: RMSPropOptions, library: str):
        super().__init__(plan)
        self.square, self.moment = self.gathered("mean_square"), self.gathered("moments")
        self.settings, self.unscaled, self.library = settings(self), ms.Tensor([1.0], ms.float32), library
        decay = options.decay
        self.constants = ms.Tensor([decay, 1 - decay, options.momentum, options.epsilon], ms.float32)
        self.step = operators.update(library, "rmsprop_step", len(self.parameters), 2)

    def construct(self, gradients, factor=None):
        factor = self.unscaled if factor is None else factor.reshape(1)
        numbers = ops.concat((self.rate().reshape(1), factor, self.constants))
        state = (*self.square, *self.moment)
        return self.step(*gradients, *self.parameters, *state, self.settings, numbers)
