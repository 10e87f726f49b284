"""Learning rates, step by step. Pure functions; tested by tables.

Both schedules are staircases over epochs as in the published recipes (facts of each network's
recipe file); warm-up is a linear ramp laid over them, so a milestone inside the warm-up counts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ScheduleOptions:
    """`period` (T_max), `milestones`, `warmup_epochs` and `max_epoch` are in epochs."""

    kind: str
    lr: float
    max_epoch: int
    warmup_epochs: float = 0.0
    eta_min: float = 0.0
    period: int | None = None
    milestones: tuple[int, ...] = ()
    gamma: float = 0.1


def cosine_annealing(epoch: int, options: ScheduleOptions) -> float:
    """Loshchilov and Hutter, SGDR, eq. 5, once per epoch; stays at eta_min after the period."""
    period = options.period or options.max_epoch
    share = min(epoch, period) / period
    return options.eta_min + (options.lr - options.eta_min) * (1 + math.cos(math.pi * share)) / 2


def exponential(epoch: int, options: ScheduleOptions) -> float:
    """lr * gamma ** (milestones reached): what the original calls exponential is multi-step."""
    return options.lr * options.gamma ** sum(epoch >= milestone for milestone in options.milestones)


KINDS = {"cosine_annealing": cosine_annealing, "exponential": exponential}


def lr_at(step: int, steps_per_epoch: int, options: ScheduleOptions) -> float:
    """Learning rate of the 0-based optimiser step `step`."""
    warmup_steps = round(options.warmup_epochs * steps_per_epoch)
    ramp = min(1.0, (step + 1) / warmup_steps) if warmup_steps else 1.0
    return ramp * KINDS[options.kind](step // steps_per_epoch, options)


def lr_table(steps_per_epoch: int, options: ScheduleOptions) -> np.ndarray:
    """Learning rate of every step of the training, shape (max_epoch * steps_per_epoch,), float32."""
    steps = range(options.max_epoch * steps_per_epoch)
    return np.array([lr_at(step, steps_per_epoch, options) for step in steps], np.float32)
