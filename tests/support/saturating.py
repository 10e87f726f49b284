"""A training step on a device that saturates, with a stand-in for its float status; see test_overflow.py."""

from __future__ import annotations

import mindspore as ms
import mindspore.nn as nn
import mindspore.ops as ops
import numpy as np

from mindlift.tasks.objective import Objective
from mindlift.training.optimizers.formula import Plan
from mindlift.training.optimizers.momentum import sgd_momentum
from mindlift.training.overflow import LARGEST_FLOAT16, FloatStatus
from mindlift.training.step import StepOptions, TrainStep

RATES = np.full(8, 0.1, np.float32)


class Register:
    """The float status of a stand-in chip."""

    def __init__(self):
        self.words = ms.Parameter(ms.Tensor(np.zeros(8), ms.int32), name="register", requires_grad=False)


class Clear(nn.Cell):
    def __init__(self, register: Register):
        super().__init__(auto_prefix=False)
        self.words = register.words

    def construct(self, status):
        return ops.assign(self.words, status)


class Get(nn.Cell):
    def __init__(self, register: Register):
        super().__init__(auto_prefix=False)
        self.words = register.words

    def construct(self, status):
        return ops.depend(self.words, status) + 0


class Saturating(nn.Cell):
    """x (N, 1) -> w * x, at most the largest number; then the status is set."""

    def __init__(self, register: Register):
        super().__init__()
        self.words = register.words
        self.weight = ms.Parameter(ms.Tensor([1.0], ms.float32), name="x.weight")

    def construct(self, x):
        overflows = (ops.abs(x) > LARGEST_FLOAT16).astype(ms.int32)
        ops.assign_add(self.words, overflows.reshape(-1)[:1].broadcast_to((8,)))
        return self.weight * ops.clip_by_value(x, -LARGEST_FLOAT16, LARGEST_FLOAT16) / LARGEST_FLOAT16


class Mean(nn.Cell):
    def construct(self, outputs):
        return outputs.mean()


def trainer(**options) -> tuple[TrainStep, ms.Parameter]:
    register = Register()
    network = Saturating(register)
    optimizer = sgd_momentum(Plan(network.trainable_params(), RATES), 0.0)
    status = FloatStatus(Clear(register), Get(register))
    step = TrainStep(Objective(network, Mean()), optimizer, StepOptions(saturates=True, **options), status)
    return step, network.weight


def batch(value: float) -> tuple:
    return (ms.Tensor([[value]], ms.float32),)
