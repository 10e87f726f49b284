"""The figures of several checkpoints as a table, and which of them is best. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import Dict

Figures = Dict[str, object]


def lines(found: Sequence[Figures], names: Sequence[str]) -> list[str]:
    """A line for each of `found`, and one that names the best by the first of the figures `names`, of which more is better.

    Figures that nothing has are left out. Of equal ones the first counts, which is the newest.
    """
    shown = [name for name in names if any(figures[name] is not None for figures in found)]
    rows = [["checkpoint", *shown]]
    rows += [[short(figures), *(as_text(figures[name]) for name in shown)] for figures in found]
    widths = [max(map(len, column)) for column in zip(*rows)]
    table = [
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))])
        for row in rows
    ]
    best = max(found, key=lambda figures: number(figures[names[0]]))
    return [*table, f"best by {names[0]}: {best['checkpoint']} ({as_text(best[names[0]])})"]


def short(figures: Figures) -> str:
    return PurePath(str(figures["checkpoint"])).name


def as_text(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else "-" if value is None else str(value)


def number(value: object) -> float:
    """For comparing: what is no number is worst."""
    is_number = isinstance(value, (int, float)) and value == value  # not nan
    return float(value) if is_number else float("-inf")  # type: ignore[arg-type]
