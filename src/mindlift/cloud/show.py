"""Statuses, checks and numbers as people read them."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Sequence

from mindlift.cloud.providers.base import Check, Status
from mindlift.columns import columns, cut
from mindlift.language import N_, gettext, localized
from mindlift.sanitize import single_line

LEAST_LAST = 12  # columns of a last column that is cut
MARKS = {True: N_("ok"), False: N_("FAILED"), None: N_("note")}
HEADS = (
    N_("JOB"),
    N_("PHASE"),
    N_("STARTED"),
    N_("DURATION"),
    N_("NODES x CARDS"),
    N_("RESTARTS"),
    N_("WHY"),
)
BEST = N_("BEST CHECKPOINT")
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
    """`word` in the language, with its colour on a terminal, plain elsewhere."""
    told = gettext(word)
    return f"\033[{COLOURS[word]}m{told}\033[0m" if word in COLOURS and sys.stdout.isatty() else told


def screen_columns() -> int:
    """Of the terminal that is written to, 0 elsewhere."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 0


def table(rows: Sequence[Sequence[str]], screen: int = 0) -> str:
    """Columns as wide as they need to be, the first row being their names; the last one ends with the screen, if it has so
    many columns and leaves room for LEAST_LAST.
    """
    shown = [list(map(single_line, row)) for row in rows]
    widths = [max(map(width_of, column)) for column in zip(*shown)]
    room = screen - sum(width + 2 for width in widths[:-1])
    for row in shown if room >= LEAST_LAST else ():
        row[-1] = row[-1] if width_of(row[-1]) <= room else f"{cut(row[-1], room - 1)}…"
    lines = []
    for row in shown:
        cells = [coloured(cell) + " " * (width - width_of(cell)) for cell, width in zip(row, widths)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def width_of(cell: str) -> int:
    """Of what a table shows for it."""
    return columns(gettext(cell))


def statuses(found: Sequence[Status], best: Sequence[str] | None = None, screen: int = 0) -> str:
    """A line for each, of so many columns of a `screen`; with `best`, the best checkpoint of each."""
    rows = [(*HEADS[:-1], *([] if best is None else [BEST]), HEADS[-1])]
    for at, status in enumerate(found):
        phase = status.phase.value if status.phase.value != "unknown" else f"unknown ({status.raw})"
        rows.append(
            (
                str(status.handle),
                phase,
                moment(status.started_at),
                localized(duration(status.duration_s)) if status.duration_s else "-",
                f"{status.nodes} x {status.cards}" if status.nodes and status.cards else "-",
                str(status.restarts),
                *([] if best is None else [best[at]]),
                cut(localized(", ".join(part for part in (status.detail, status.reason) if part)), 100),
            )
        )
    return fitted(rows, screen) if len(rows) > 1 else gettext("no jobs")


def fitted(rows: Sequence[Sequence[str]], screen: int) -> str:
    """A table; on a screen that is too narrow for it the first column, of long handles, has lines of its own.

    Why a lone job is where it is is told whole.
    """
    widths = [max(map(width_of, column)) + 2 for column in zip(*rows)]
    if not screen or sum(widths[:-1]) + LEAST_LAST <= screen:
        return table(rows, screen)
    head, *rest = table([row[1:] for row in rows], screen - 2 if len(rows) > 2 else 0).splitlines()
    lines = [f"  {head}", *(f"{row[0]}\n  {line}" for row, line in zip(rows[1:], rest))]
    return "\n".join(lines)


def check_line(check: Check) -> str:
    mark = MARKS[check.ok]
    says = f"{check.name}: {localized(check.says)}"
    if check.advice and check.ok is not True:
        says = gettext("{0}; {1}", says, localized(check.advice))
    return f"{coloured(mark)}{' ' * (8 - columns(gettext(mark)))}{single_line(says)}"
