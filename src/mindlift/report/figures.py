"""Single figures of a run: how it stands, its best results, its speed. Pure; `now` is unix seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mindlift.json_text import Record
from mindlift.language import N_, duration, gettext
from mindlift.runs.folder import RunData
from mindlift.runs.metrics import PER_RANK
from mindlift.runs.series import number

QUIET_S = 900.0  # without a line a run that has not ended is taken for dead
SCORES = ("top1", "top5", "map", "f1", "miou", "pixel_accuracy")
STATES = {
    "ended": N_("ended"),
    "stopped": N_("stopped"),
    "failed": N_("failed"),
    "empty": N_("no step yet"),
    "running": N_("running"),
    "cut": N_("cut short"),
}
NAMES = {
    "top1": "top-1",
    "top5": "top-5",
    "map": "mAP",
    "f1": "F1",
    "miou": "mIoU",
    "pixel_accuracy": N_("pixel accuracy"),
}
PERCENT = ("top1", "top5")  # the others are shares


@dataclass(frozen=True)
class Best:
    value: float
    step: int
    which: str


def state(run: RunData, now: float) -> tuple[str, str]:
    """(which of STATES, what to tell)."""
    found = run.metrics
    ended = next((mark for mark in reversed(found.marks) if mark.kind != "start"), None)
    if run.result or (ended and ended.kind == "ended"):
        return "ended", gettext("ended after step {0}", f"{found.step:,}") if found.step else gettext("ended")
    if ended and ended.kind == "stopped" and ended.step >= found.step:
        return "stopped", gettext("stopped after step {0}", f"{ended.step:,}")
    if ended and ended.kind == "failed" and ended is found.marks[-1]:
        return "failed", gettext("failed after step {0}", f"{found.step:,}") if found.step else gettext(
            "failed before its first step"
        )
    if found.last is None:
        return "empty", gettext("no step yet")
    quiet = now - found.last
    if quiet < QUIET_S:
        return "running", gettext("running, at step {0}", f"{found.step:,}")
    return "cut", gettext("cut short: nothing since step {0}, {1} ago", f"{found.step:,}", span(quiet))


def errors(run: RunData, now: float) -> list[str]:
    """What a run that failed, or was cut short, has said of it: rank 0's error, then those of other ranks."""
    if state(run, now)[0] not in ("failed", "cut", "empty"):
        return []
    told = next((mark.error for mark in reversed(run.metrics.marks) if mark.kind == "failed"), "")
    own = told or run.failures.get(0, "")
    others = [f"rank {rank}: {error}" for rank, error in run.failures.items() if rank and error != own]
    return [error for error in (own, *others) if error]


def scores(run: RunData) -> list[Record]:
    """All evaluations, with the figure that result.json alone has in older runs."""
    if run.metrics.evaluations:
        return run.metrics.evaluations
    found = {name: run.result[name] for name in SCORES if isinstance(run.result.get(name), (int, float))}
    return (
        [{"step": run.metrics.step, "time": run.metrics.last, "which": "weights", **found}] if found else []
    )


def best(run: RunData, name: str) -> Best | None:
    """The greatest value of a score, at the first step that has it."""
    found = [
        (number(each.get(name)), each["step"], str(each.get("which") or "weights")) for each in scores(run)
    ]
    known = [each for each in found if each[0] == each[0]]
    return Best(*max(known, key=lambda each: each[0])) if known else None


def seconds(run: RunData) -> float | None:
    """From the first line to the last, pauses between attempts included."""
    found = run.metrics
    return found.last - found.first if found.first is not None and found.last is not None else None


def left(run: RunData) -> float | None:
    """Seconds that a run still takes at the pace of the last quarter of its steps; None where that is not known."""
    total, curve = run.metrics.facts.get("total"), run.metrics.curves.get("loss")
    if not isinstance(total, int) or curve is None or len(curve) < 2:
        return None
    at = min(len(curve) - 2, len(curve) * 3 // 4)
    steps, took = curve.steps[-1] - curve.steps[at], float(curve.times[-1] - curve.times[at])
    return max(0.0, (total - run.metrics.step) * took / float(steps)) if steps > 0 and took > 0 else None


def lost_steps(run: RunData) -> int:
    return sum(mark.lost for mark in run.metrics.marks)


def stragglers(run: RunData) -> list[tuple[int, float, float, float]]:
    """(rank, median seconds per step, the slowest line's, times the median of the fastest rank) of each rank."""
    ranks = run.metrics.per_rank.get(PER_RANK[0], [])
    medians = [curve.median() if len(curve) else float("nan") for curve in ranks]
    fastest = min((value for value in medians if value > 0), default=float("nan"))
    return [
        (rank, median, float(curve.values.max()), median / fastest)
        for rank, (median, curve) in enumerate(zip(medians, ranks))
        if len(curve)
    ]


def traffic(transfers: Sequence[Record]) -> list[tuple[str, int, float, float]]:
    """(event, how many, bytes, seconds) of each kind of transfer."""
    kinds: dict[str, tuple[int, float, float]] = {}
    for each in transfers:
        kind = str(each.get("event"))
        count, moved, seconds = kinds.get(kind, (0, 0.0, 0.0))
        kinds[kind] = count + 1, moved + number(each["bytes"]), seconds + number(each["seconds"])
    return [(kind, *sums) for kind, sums in kinds.items()]


def span(seconds: float) -> str:
    """A duration in two units, in the language."""
    whole = round(seconds)
    units = ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s"))
    for unit, name, below, smaller in units:
        if whole >= unit:
            rest = whole % unit // below
            return duration(f"{whole // unit} {name}" + (f" {rest} {smaller}" if rest else ""))
    return duration(f"{seconds:.0f} s")


def size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
