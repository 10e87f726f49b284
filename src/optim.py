"""Optimisers and their parameter groups."""

from __future__ import annotations

from collections.abc import Iterable

import mindspore as ms
import mindspore.nn as nn
import numpy as np

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


def sgd_momentum(
    parameters: Iterable[ms.Parameter], lr: np.ndarray, momentum: float, weight_decay: float
) -> nn.Optimizer:
    """v = momentum * v + g + wd * w; w -= lr * v, with `lr` (steps,) read at the optimiser's own step count."""
    groups = decay_groups(parameters, weight_decay)
    return nn.Momentum(groups, learning_rate=ms.Tensor(lr, ms.float32), momentum=momentum)
