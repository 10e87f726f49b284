"""Optimisers and their parameter groups."""

from __future__ import annotations

from collections.abc import Iterable

import mindspore as ms
import mindspore.nn as nn
import numpy as np
from mindspore.common.initializer import initializer

STARTS = {
    "moments.": "zeros",
    "mean_square.": "ones",
}  # of the optimisers below, by the names MindSpore gives
NOT_DECAYED = (".gamma", ".beta", ".bias")


def decay_groups(parameters: Iterable[ms.Parameter], weight_decay: float) -> list[dict]:
    """Two groups: weights with `weight_decay`; biases and norms' gamma and beta with none.

    The second group states its 0 because a group without a value inherits the optimiser's.
    """
    decayed, plain = [], []
    for parameter in parameters:
        (plain if parameter.name.endswith(NOT_DECAYED) else decayed).append(parameter)
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def rmsprop(
    parameters: Iterable[ms.Parameter],
    lr: np.ndarray,
    decay: float,
    epsilon: float,
    momentum: float,
    weight_decay: float,
) -> nn.Optimizer:
    """s = decay * s + (1 - decay) * g**2, m = momentum * m + lr * g / sqrt(s + epsilon), w -= m; s starts at 1.

    Tieleman and Hinton, Lecture 6.5 (2012), as TensorFlow has it: epsilon inside the root.
    """
    groups = decay_groups(parameters, weight_decay)
    rates = ms.Tensor(lr, ms.float32)
    return nn.RMSProp(groups, learning_rate=rates, decay=decay, momentum=momentum, epsilon=epsilon)


def forget(optimizer: nn.Optimizer) -> None:
    """Set what the optimiser has gathered back to how it started. Its count of steps, which finds the rate, stays."""
    for name, parameter in optimizer.parameters_dict().items():
        start = next((value for prefix, value in STARTS.items() if name.startswith(prefix)), None)
        if start is not None:
            parameter.set_data(initializer(start, parameter.shape, parameter.dtype))


def sgd_momentum(
    parameters: Iterable[ms.Parameter], lr: np.ndarray, momentum: float, weight_decay: float
) -> nn.Optimizer:
    """v = momentum * v + g + wd * w; w -= lr * v, with `lr` (steps,) read at the optimiser's own step count."""
    groups = decay_groups(parameters, weight_decay)
    return nn.Momentum(groups, learning_rate=ms.Tensor(lr, ms.float32), momentum=momentum)
