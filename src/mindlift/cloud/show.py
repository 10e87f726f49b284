"""Statuses, checks and numbers as people read them."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from mindlift.cloud.providers.base import Check, Status
from mindlift.sanitize import single_line

MARKS = {True: "ok", False: "FAILED", None: "note"}
COLOURS = {
    "ok": "32",
    "FAILED": "31",
    "note": "33",
    "succeeded": "32",
    "failed": "31",
    "running": "36",
    "stopped": "33",
}


def duration(seconds: float) -> str:
    seconds = int(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"


def moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds)) if seconds else "-"


def size(count: int) -> str:
    value = float(count)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def coloured(word: str) -> str:
    """`word` with its colour on a terminal, plain elsewhere."""
    if not sys.stdout.isatty() or word not in COLOURS:
        return word
    return f"\033[{COLOURS[word]}m{word}\033[0m"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as they need to be, the first row being their names."""
    rows = [list(map(single_line, row)) for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [coloured(cell) + " " * (width - len(cell)) for cell, width in zip(row, widths)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def statuses(found: Sequence[Status], best: Sequence[str] | None = None) -> str:
    """A line for each; with `best`, the best checkpoint of each."""
    head = ("JOB", "PHASE", "STARTED", "DURATION", "NODES x CARDS", "RESTARTS")
    rows = [(*head, *([] if best is None else ["BEST CHECKPOINT"]), "WHY")]
    for at, status in enumerate(found):
        phase = status.phase.value if status.phase.value != "unknown" else f"unknown ({status.raw})"
        rows.append(
            (
                str(status.handle),
                phase,
                moment(status.started_at),
                duration(status.duration_s) if status.duration_s else "-",
                f"{status.nodes} x {status.cards}" if status.nodes and status.cards else "-",
                str(status.restarts),
                *([] if best is None else [best[at]]),
                " ".join(part for part in (status.detail, status.reason) if part)[:100],
            )
        )
    return table(rows) if len(rows) > 1 else "no jobs"


def check_line(check: Check) -> str:
    mark = MARKS[check.ok]
    advice = f"; {check.advice}" if check.advice and check.ok is not True else ""
    return f"{coloured(mark)}{' ' * (8 - len(mark))}{single_line(f'{check.name}: {check.says}{advice}')}"
