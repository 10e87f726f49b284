"""The learning rate that a run's options plan, at as many steps as a chart shows."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Callable, List, cast

import numpy as np

from mindlift.errors import ConfigError
from mindlift.model_utils.config.declared import own_schema
from mindlift.runs.folder import RunData
from mindlift.training.schedules import from_config, lr_of, planned_steps

if TYPE_CHECKING:
    from mindlift.model_utils.config.options_types import Options

POINTS = 2000
GRID = 500  # places of a long training that are looked at first
TOLERANCE = 0.001  # of a rate: half of what the drawn line may miss it by
Steps = List[int]
Rates = List[float]


def learning_rate(run: RunData) -> tuple[Steps, Rates]:
    """Steps, from 1, and rates between which a straight line is the plan, so that what was used lies on it.

    Empty where options or the length of an epoch are not known.
    """
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
        steps, rates = vertices(total, lambda step: float(lr_of(np.array([step]), per_epoch, schedule)[0]))
        return [step + 1 for step in steps], rates
    except (ConfigError, AttributeError, TypeError, ValueError, KeyError, ArithmeticError):
        return [], []  # options of a version that this one doesn't know


def vertices(total: int, rate: Callable[[int], float]) -> tuple[Steps, Rates]:
    """The steps, from 0, at which the line through `rate` has to turn, both sides of each jump among them."""
    grid = np.unique(np.linspace(0, total - 1, min(total, GRID)).astype(np.int64)).tolist()
    steps, rates = grid[:1], [rate(step) for step in grid[:1]]
    waiting = grid[:0:-1]  # the nearest last
    while waiting:
        end = waiting[-1]
        middle, at_end = (steps[-1] + end) // 2, rate(end)
        straight = rates[-1] + (at_end - rates[-1]) * (middle - steps[-1]) / (end - steps[-1])
        value = rate(middle)
        has_room = len(steps) + len(waiting) < POINTS
        if has_room and middle > steps[-1] and abs(value - straight) > TOLERANCE * abs(value):
            waiting.append(middle)
        else:
            steps.append(waiting.pop())
            rates.append(at_end)
    return thinned(steps, rates)


def thinned(steps: Steps, rates: Rates) -> tuple[Steps, Rates]:
    """Without the points inside level stretches."""
    last = len(steps) - 1
    kept = [
        at for at in range(len(steps)) if at in (0, last) or not rates[at - 1] == rates[at] == rates[at + 1]
    ]
    return [steps[at] for at in kept], [rates[at] for at in kept]
