"""Where a training has left what, and how good it is, in lines for people."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mindlift.json_text import Record
from mindlift.runs.manifest import best_first, listed

PERCENT = ("top1", "top5")  # figures that are stored as such; others are shares


def lines(result: Record) -> list[str]:
    """`result` is what result.json has."""
    run = str(result["run"]).rstrip("/")
    reached = figure_of(result)
    trained = f"{result['steps']} steps in {result['seconds']:.0f} s"
    found = [f"run {run}: {trained}{reached and f', {reached}'}"]
    folder = Path(run) / "checkpoints"
    best = best_first(listed(folder))[:1]
    found += [f"  best checkpoint: {each.path(folder)} ({shown(each.metric, each.score)})" for each in best]
    if result.get("checkpoint"):
        found.append(f"  newest checkpoint: {result['checkpoint']}")
    return [*found, f"  page: {run}/report.html, figures: {run}/result.json"]


def figure_of(result: Mapping[str, object]) -> str:
    """Of the weights at the end; '' if they were not evaluated."""
    name = next((name for name in ("top1", "map", "miou") if result.get(name) is not None), "")
    return f"{shown(name, result[name])} of {result['total']} images at its end" if name else ""


def shown(name: str, value: object) -> str:
    names = {"top1": "top-1", "top5": "top-5", "map": "mAP", "f1": "F1", "miou": "mIoU"}
    number = f"{value:.2f} %" if name in PERCENT else f"{value:.4f}"
    return f"{names.get(name, name)} {number}"
