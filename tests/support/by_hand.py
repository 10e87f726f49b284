"""A small network and a step of its training by hand, in NumPy."""

from __future__ import annotations

import mindspore as ms
import mindspore.nn as nn
import numpy as np

RATES = np.array([0.1, 0.05, 0.2, 0.01], np.float32)
MOMENTUM, DECAY = 0.9, 0.01


class Scaled(nn.Cell):
    """x (N, 3) -> gamma * (x W' + b), shape (N, 2): a weight, a bias and a norm's gamma."""

    def __init__(self):
        super().__init__()
        self.dense = nn.Dense(3, 2)
        self.gamma = ms.Parameter(ms.Tensor(np.array([0.7, 1.3]), ms.float32), name="norm.gamma")

    def construct(self, x):
        return self.dense(x) * self.gamma


class HalfSquares(nn.Cell):
    """Mean over the batch of half the squared distance to the target, summed over its columns."""

    def construct(self, outputs, targets):
        return ((outputs - targets) ** 2).sum(1).mean() / 2


class Hand:
    """Scaled, HalfSquares and SGD with momentum in float64."""

    def __init__(self, cell: Scaled):
        parameters = {p.name: p.asnumpy().astype(np.float64) for p in cell.trainable_params()}
        self.values, self.speed = parameters, {name: np.zeros_like(v) for name, v in parameters.items()}

    def gradients(self, x, y):
        w, b, g = (self.values[name] for name in ("dense.weight", "dense.bias", "norm.gamma"))
        linear = x @ w.T + b
        error = (linear * g - y) / len(x)
        loss = ((linear * g - y) ** 2).sum(1).mean() / 2
        found = {
            "dense.weight": (error * g).T @ x,
            "dense.bias": (error * g).sum(0),
            "norm.gamma": (error * linear).sum(0),
        }
        return loss, found

    def update(self, gradients, rate):
        for name, value in self.values.items():
            decay = DECAY if name == "dense.weight" else 0.0
            self.speed[name] = MOMENTUM * self.speed[name] + gradients[name] + decay * value
            self.values[name] = value - rate * self.speed[name]


def batches(count: int, size: int = 4, scale: float = 1.0) -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(0)
    return [(scale * rng.normal(size=(size, 3)), scale * rng.normal(size=(size, 2))) for _ in range(count)]


def tensors(*pairs) -> list[tuple]:
    return [tuple(ms.Tensor(array, ms.float32) for array in pair) for pair in pairs]


def values(cell: nn.Cell) -> dict[str, np.ndarray]:
    return {p.name: p.asnumpy().copy() for p in cell.trainable_params()}


def close(cell: nn.Cell, wanted: dict[str, np.ndarray], tolerance: float = 2e-6) -> None:
    for name, value in values(cell).items():
        np.testing.assert_allclose(value, wanted[name], rtol=tolerance, atol=tolerance, err_msg=name)
