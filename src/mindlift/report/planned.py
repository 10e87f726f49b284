"""The learning rate that a run's options plan, at as many steps as a chart shows."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import numpy as np

from mindlift.errors import ConfigError
from mindlift.model_utils.config.config import own_schema
from mindlift.runs.folder import RunData
from mindlift.training.schedules import from_config, lr_of, planned_steps

if TYPE_CHECKING:
    from mindlift.model_utils.config.options_types import Options

POINTS = 1200


def learning_rate(run: RunData) -> tuple[list[int], list[float]]:
    """Steps, from 1, and rates; empty where options or the length of an epoch are not known."""
    per_epoch = run.steps_per_epoch
    if not per_epoch or per_epoch < 1:
        return [], []
    try:
        values = {option.name: option.default for option in own_schema().options.values()}  # of newer options
        for name, value in run.options.items():
            values[name] = tuple(value) if isinstance(value, list) else value
        options = cast(
            "Options", SimpleNamespace(**values)
        )  # if they are not, it raises what is caught below
        images = run.metrics.facts.get("images") or per_epoch * options.per_batch_size * run.ranks
        schedule = from_config(options, run.ranks, images)
        total = planned_steps(per_epoch, schedule)
        total = min(total, run.options.get("max_steps") or total)
        steps = np.unique(np.linspace(0, total - 1, min(total, POINTS)).astype(np.int64))
        return thinned((steps + 1).tolist(), lr_of(steps, per_epoch, schedule).tolist())
    except (ConfigError, AttributeError, TypeError, ValueError, KeyError, ArithmeticError):
        return [], []  # options of a version that this one doesn't know


def thinned(steps: list[int], rates: list[float]) -> tuple[list[int], list[float]]:
    """Without the points inside level stretches."""
    last = len(steps) - 1
    kept = [
        at for at in range(len(steps)) if at in (0, last) or not rates[at - 1] == rates[at] == rates[at + 1]
    ]
    return [steps[at] for at in kept], [rates[at] for at in kept]
