"""How far a training is, from the lines of its metrics.jsonl. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypedDict, cast

from mindlift import json_text

BEGINNINGS = ("start", "continued")
FIGURES = ("top1", "map", "miou")


class Record(TypedDict, total=False):
    """A line of metrics.jsonl, as far as it is read here."""

    event: str
    time: float
    step: int
    total: int
    steps_per_epoch: int
    loss: float | None
    images_per_second: float
    step_seconds: float | list[float]  # of each rank
    top1: float
    map: float
    miou: float


@dataclass(frozen=True)
class Progress:
    """Where a run stands: steps are the optimiser's, times are seconds, None is what no line has said yet."""

    step: int = 0
    total: int = 0  # steps of the whole training, 0 if unknown
    steps_per_epoch: int = 0
    loss: float | None = None
    images_per_second: float | None = None
    figure: tuple[str, float] | None = (
        None  # as the newest evaluation says it: top1 in per cent, map and miou of 1
    )
    step_seconds: float | None = None
    at: float = 0.0  # of the newest line, since the epoch, by the job's clock

    def eta_s(self, now: float) -> float | None:
        """Until the last step; None while the pace is unknown."""
        if self.step_seconds is None or not self.total:
            return None
        return max(0.0, (self.total - self.step) * self.step_seconds - max(0.0, now - self.at))


def records(text: bytes, is_cut: bool = False) -> list[Record]:
    """The lines that can be read: the last one may still be being written, and the first one is `is_cut` off."""
    return [
        cast("Record", record)
        for record in json_text.parse_lines(text.partition(b"\n")[2] if is_cut else text)
    ]


def progress_of(lines: Sequence[Record]) -> Progress:
    """What the lines of a run say, oldest first; the first one and any part up to the newest are enough."""
    beginnings = [line for line in lines if line.get("event") in BEGINNINGS]
    steps = [line for line in lines if "event" not in line and "step" in line]
    begun = beginnings[-1] if beginnings else Record()
    newest = next((line for line in reversed(lines) if "step" in line), Record())
    last = steps[-1] if steps else Record()
    return Progress(
        step=int(newest.get("step", 0)),
        total=int(begun.get("total") or 0),
        steps_per_epoch=int(begun.get("steps_per_epoch") or 0),
        loss=loss_in(last),
        images_per_second=number(last.get("images_per_second")),
        figure=figure_in(lines),
        step_seconds=pace([line for line in steps if line.get("time", 0) >= begun.get("time", 0)]),
        at=max((number(line.get("time")) or 0.0 for line in lines), default=0.0),
    )


def loss_in(line: Record) -> float | None:
    """A loss that is not finite is null in JSON, and not a number here."""
    is_null = "loss" in line and line["loss"] is None
    return math.nan if is_null else number(line.get("loss"))


def figure_in(lines: Sequence[Record]) -> tuple[str, float] | None:
    for line in reversed(lines):
        for name in FIGURES:
            if (value := number(line.get(name))) is not None:
                return name, value
    return None


def pace(steps: Sequence[Record]) -> float | None:
    """Seconds of a step by the clock, so that evaluations and checkpoints count, or else as the job timed it."""
    if len(steps) > 1 and steps[-1]["step"] > steps[0]["step"]:
        return (steps[-1]["time"] - steps[0]["time"]) / (steps[-1]["step"] - steps[0]["step"])
    timed = steps[-1].get("step_seconds") if steps else None
    return max(numbers(timed), default=0.0) or None


def numbers(value: object) -> Iterable[float]:
    """One number, or one of each rank."""
    items = value if isinstance(value, list) else [value]
    return [found for found in map(number, items) if found is not None and math.isfinite(found)]


def number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
