"""How a training stands by its evaluations: its best one, and how many came since."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import mindspore as ms
import numpy as np

from mindlift.runs.checkpoint import MONITOR


@dataclass(frozen=True)
class Standing:
    """After the evaluation at `step`, 0 before any.

    `best` (float32, as it is kept) was reached at `best_step`, `waited` evaluations before. `factor` is what a plateau
    has made of the learning rate, and `level` how many evaluations it has seen no better one since it last lowered it.
    """

    step: int = 0
    best: float = 0.0
    best_step: int = 0
    waited: int = 0
    factor: float = 1.0
    level: int = 0


@dataclass(frozen=True)
class Plateau:
    """More than `patience` evaluations in a row without a better one: the learning rate times `gamma`."""

    patience: int
    gamma: float


@dataclass(frozen=True)
class Rules:
    """`sign` is 1 where more is better, -1 where less is. Better is what differs from the best by more than `delta`."""

    sign: int = 1
    delta: float = 0.0
    plateau: Plateau | None = None


def after(standing: Standing, step: int, value: float, rules: Rules) -> Standing:
    """The standing after an evaluation at `step` that gave `value`.

    The plateau is that of PyTorch's ReduceLROnPlateau (threshold_mode "abs", cooldown 0), the best that of Keras's
    EarlyStopping. A value that is no number is never better.
    """
    value = float(np.float32(value))
    is_first = standing.best_step == 0 and math.isfinite(value)
    if is_first or rules.sign * (value - standing.best) > rules.delta:
        return replace(standing, step=step, best=value, best_step=step, waited=0, level=0)
    found = replace(standing, step=step, waited=standing.waited + 1, level=standing.level + 1)
    if rules.plateau is None or found.level <= rules.plateau.patience:
        return found
    return replace(found, level=0, factor=float(np.float32(standing.factor * rules.plateau.gamma)))


def lowered(planned: np.ndarray, factor: float, floor: float) -> np.ndarray:
    """The learning rates (steps,) float32 that a plateau's `factor` makes of the planned ones; none falls below `floor`
    that was not there before."""
    return np.maximum(planned * np.float32(factor), np.minimum(planned, np.float32(floor)))


class KeptStanding:
    """A Standing as parameters: for checkpoints, and for the copy from rank 0."""

    def __init__(self) -> None:
        self.by_name = {
            name: ms.Parameter(
                ms.Tensor(value, ms.float32 if isinstance(value, float) else ms.int32),
                name=f"{MONITOR}{name}",
                requires_grad=False,
            )
            for name, value in vars(Standing()).items()
        }

    @property
    def parameters(self) -> list[ms.Parameter]:
        return list(self.by_name.values())

    def read(self) -> Standing:
        return Standing(**{name: each.asnumpy().item() for name, each in self.by_name.items()})

    def write(self, standing: Standing) -> None:
        for name, each in self.by_name.items():
            each.set_data(ms.Tensor(getattr(standing, name), each.dtype))
