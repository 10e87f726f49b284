"""How a program ends: where its result is, on stdout, and what one may type next, on stderr, where no reader of results looks."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from mindlift.json_text import Record
from mindlift.runs.manifest import best_first, listed

PERCENT = ("top1", "top5")  # figures that are stored as such; others are shares


def following(*commands: Sequence[str]) -> None:
    """Commands as lists of words, the likeliest first."""
    lines = [" ".join(map(shlex.quote, words)) for words in commands]
    sys.stdout.flush()
    print("next: " + "\n      ".join(lines), file=sys.stderr, flush=True)


def of_training(result: Record) -> list[str]:
    """Where a training has left what, and how good it is; `result` is what result.json has."""
    run = str(result["run"]).rstrip("/")
    reached = figure_of(result)
    lines = [f"run {run}: {result['epochs']} epochs in {result['seconds']:.0f} s{reached and f', {reached}'}"]
    folder = Path(run) / "checkpoints"
    best = best_first(listed(folder))[:1]
    lines += [f"  best checkpoint: {each.path(folder)} ({shown(each.metric, each.score)})" for each in best]
    if result.get("checkpoint"):
        lines.append(f"  newest checkpoint: {result['checkpoint']}")
    return [*lines, f"  page: {run}/report.html, figures: {run}/result.json"]


def figure_of(result: Mapping[str, object]) -> str:
    """Of the weights at the end; '' if they were not evaluated."""
    name = next((name for name in ("top1", "miou") if result.get(name) is not None), "")
    return f"{shown(name, result[name])} of {result['total']} images at its end" if name else ""


def shown(name: str, value: object) -> str:
    names = {"top1": "top-1", "top5": "top-5", "miou": "mIoU"}
    number = f"{value:.2f} %" if name in PERCENT else f"{value:.4f}"
    return f"{names.get(name, name)} {number}"
