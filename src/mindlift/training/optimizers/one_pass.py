"""SGD with momentum, Adam and AdamW on a CPU: one pass over all weights, by models/cpu/optimizer.cpp.

What they compute, and their state in a checkpoint, are those of momentum.py and adaptive.py.
"""

from __future__ import annotations

import mindspore as ms
import mindspore.ops as ops
import numpy as np
from mindspore.ops import signature as sig

from mindlift.training.optimizers.formula import Formula, Moments, Plan


def operator(library: str, name: str, weights: int, state: int) -> ops.Custom:
    """Gradients of all weights, the weights, `state` tensors of each; settings (weights, 2); numbers (k,) -> (1,).

    Weights and state are changed in place. Settings are a weight's decay and its share of the learning rate; numbers
    begin with the learning rate and what gradients are multiplied by.
    """
    made = ops.Custom(f"{library}:{name}", lambda *inputs: [1], lambda *inputs: inputs[-1], "aot")
    read = [sig.make_sig(f"gradient{number}") for number in range(weights)]
    changed = [sig.make_sig(f"state{number}", sig.sig_rw.RW_WRITE) for number in range(weights * (1 + state))]
    made.set_signatures([*read, *changed, sig.make_sig("settings"), sig.make_sig("numbers")])
    made.add_prim_attr("side_effect_mem", True)
    return made


def settings(optimizer: Formula) -> ms.Tensor:
    """Of each weight its decay and its share of the learning rate, (weights, 2)."""
    return ms.Tensor(np.array([optimizer.decays, optimizer.scales]).T, ms.float32)


class OnePassMomentum(Formula):
    """`sgd_momentum` of momentum.py; called with a `factor`, gradients are multiplied by it."""

    takes_factor = True

    def __init__(self, plan: Plan, momentum: float, nesterov: bool, library: str):
        super().__init__(plan)
        self.moments = self.gathered("moments")
        if not nesterov and not plan.is_layerwise:  # nn.Momentum keeps its momentum in checkpoints
            self.momentum = ms.Parameter(ms.Tensor(momentum, ms.float32), "momentum", requires_grad=False)
        self.settings = settings(self)
        self.constants, self.unscaled = ms.Tensor([momentum], ms.float32), ms.Tensor([1.0], ms.float32)
        name = "nesterov_step" if nesterov else "momentum_step"
        self.step = operator(library, name, len(self.parameters), 1)

    def construct(self, gradients, factor=None):
        factor = self.unscaled if factor is None else factor.reshape(1)
        numbers = ops.concat((self.rate().reshape(1), factor, self.constants))
        return self.step(*gradients, *self.parameters, *self.moments, self.settings, numbers)


class OnePassAdam(Moments):
    """Adam of adaptive.py, or AdamW with the decay `apart`; called with a `factor`, gradients are multiplied by it."""

    takes_factor = True

    def __init__(
        self, plan: Plan, betas: tuple[float, float], epsilon: float, library: str, apart: bool = False
    ):
        super().__init__(plan, betas, epsilon)
        self.settings, self.unscaled = settings(self), ms.Tensor([1.0], ms.float32)
        beta1, beta2 = betas
        self.constants = ms.Tensor([beta1, 1 - beta1, beta2, 1 - beta2, epsilon], ms.float32)
        self.step = operator(library, "adamw_step" if apart else "adam_step", len(self.parameters), 2)

    def construct(self, gradients, factor=None):
        factor = self.unscaled if factor is None else factor.reshape(1)
        numbers = self.numbers(self.rate())
        corrections = (numbers[5].reshape(1), numbers[6].reshape(1))
        numbers = ops.concat((numbers[7].reshape(1), factor, self.constants, *corrections))
        state = (*self.moment1, *self.moment2)
        return self.step(*gradients, *self.parameters, *state, self.settings, numbers)
