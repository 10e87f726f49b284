"""The table of cloud/submit.py top: rows from statuses and figures, fitted to a width. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mindlift.cloud.follow.progress import Progress
from mindlift.cloud.json_types import Json
from mindlift.cloud.providers.base import Status
from mindlift.cloud.show import duration
from mindlift.cloud.show import width_of as width_of_cell
from mindlift.cloud.states import Phase
from mindlift.columns import cut
from mindlift.language import N_, localized

COLUMNS = (
    N_("JOB"),
    N_("PHASE"),
    N_("EPOCH"),
    N_("STEP"),
    N_("LOSS"),
    N_("ACCURACY"),
    N_("IMAGES/S"),
    N_("ETA"),
    N_("SINCE"),
)
DROPPED = ("IMAGES/S", "EPOCH", "SINCE", "ACCURACY", "ETA", "LOSS", "STEP")  # the first ones first
SHORT_JOB = 24  # letters of a handle that are worth a column
LINE = N_("NEWEST LINE")  # the last column, in the room that is left
SHORT_LINE = 16  # letters of a line that are worth a column
GAP = 2
NOTHING = "-"


@dataclass(frozen=True)
class Row:
    """A job, and how far it is as far as it says so."""

    status: Status
    progress: Progress | None = None
    line: str = ""  # of its log, the newest, where there are no figures

    def eta_s(self, now: float) -> float | None:
        running = self.progress if self.status.phase is Phase.RUNNING else None
        return running.eta_s(now) if running else None

    def as_dict(self, now: float) -> dict[str, Json]:
        """What --json prints: without a run's figures the status alone."""
        found = self.status.as_dict()
        if self.progress is None:
            return {**found, "line": self.line} if self.line else found
        figures = {key: value for key, value in vars(self.progress).items() if key != "figure"}
        name, value = self.progress.figure or ("figure", None)
        return {**found, **figures, name: value, "eta_s": self.eta_s(now)}


def cells(row: Row, now: float) -> tuple[str, ...]:
    """One line of the table, in the order of COLUMNS."""
    status, at = row.status, row.progress or Progress()
    eta, per_epoch = row.eta_s(now), at.steps_per_epoch
    return (
        str(status.handle),
        status.phase.value,
        f"{at.step / per_epoch:.1f}/{at.total / per_epoch:.4g}" if per_epoch else NOTHING,
        f"{at.step}/{at.total or '?'}" if row.progress else NOTHING,
        NOTHING if at.loss is None else f"{at.loss:.4g}",
        figure(at.figure),
        NOTHING if at.images_per_second is None else f"{at.images_per_second:.1f}",
        NOTHING if eta is None else localized(duration(eta)),
        localized(duration(since(status, now))),
    )


def figure(found: tuple[str, float] | None) -> str:
    if found is None:
        return NOTHING
    name, value = found
    shares = {"map": "mAP", "miou": "mIoU"}
    return f"{100 * value:.2f} % {shares[name]}" if name in shares else f"{value:.2f} %"


def since(status: Status, now: float) -> float:
    """How long a job has run, or how long one waits that has not begun."""
    if status.started_at or not status.created_at:
        return status.duration_s
    return max(0.0, now - status.created_at)


def fitted(rows: Sequence[Row], now: float, width: int, height: int) -> list[tuple[str, ...]]:
    """COLUMNS and a line for each of the first rows, in `height` lines of `width` letters.

    Long handles lose their beginning first, then columns go; the job and its phase stay. Jobs without figures show
    the newest line of their log where there is room.
    """
    full = [COLUMNS, *(cells(row, now) for row in rows[: max(1, height - 1)])]
    longest = max(len(line[0]) for line in full)
    for count in range(len(DROPPED) + 1):
        kept = [i for i, name in enumerate(COLUMNS) if i and name not in DROPPED[:count]]
        room = width - width_of([[line[i] for i in kept] for line in full]) - GAP
        if room >= min(SHORT_JOB, longest):
            break
    table = [(shortened(line[0], max(room, 1)), *(line[i] for i in kept)) for line in full]
    room = width - width_of(table) - GAP
    if room < SHORT_LINE or not any(row.line for row in rows):
        return table
    lines = [LINE, *(cut(row.line, room) or NOTHING for row in rows)]
    return [(*cells, line) for cells, line in zip(table, lines)]


def width_of(lines: Sequence[Sequence[str]]) -> int:
    return sum(max(map(width_of_cell, column)) for column in zip(*lines)) + GAP * (len(lines[0]) - 1)


def shortened(text: str, most: int) -> str:
    """The end of a handle tells jobs apart."""
    return text if len(text) <= most else ".." + text[len(text) - max(0, most - 2) :]
