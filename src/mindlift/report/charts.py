"""The curves of the page as JSON that page.js draws. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Callable, Dict, Iterator, Tuple

import numpy as np

from mindlift.json_text import Record
from mindlift.language import N_, gettext
from mindlift.report import figures, planned
from mindlift.runs.folder import RunData
from mindlift.runs.series import Curve, number, rounded

WEIGHTS = {"average": "EMA", "weights": N_("raw")}
POINTS = 30_000  # of all curves of a page
LEAST_BUCKETS, MOST_BUCKETS = 20, 1000
MOST_TRANSFERS = 1200  # of a page
FAST_RANKS, SLOW_RANKS = 4, 12  # that are drawn where there are more
Series = Dict[str, object]
Draft = Tuple[int, str, Curve, str]  # run, label, points, style
Drafts = Iterator[Draft]
Drawn = Callable[[int, RunData, bool], Drafts]


def build(runs: Sequence[RunData]) -> list[dict[str, object]]:
    """Charts that have something to show."""
    drawn = [(chart, drafts) for chart, drafts in drafted(runs) if any(has_course(draft) for draft in drafts)]
    count = sum(len(drafts) for _, drafts in drawn) or 1
    buckets = min(MOST_BUCKETS, max(LEAST_BUCKETS, POINTS // count // 2))
    found = [
        {**chart, "series": [series(runs, draft, buckets) for draft in drafts]} for chart, drafts in drawn
    ]
    times = timeline(runs)
    return [*found, times] if times else found


def drafted(runs: Sequence[RunData]) -> list[tuple[dict[str, object], list[Draft]]]:
    """Every chart with all of its curves."""
    several = len(runs) > 1
    return [
        (chart, [draft for at, run in enumerate(runs) for draft in drafts(at, run, several)])
        for chart, drafts in wanted()
    ]


def has_course(draft: Draft) -> bool:
    """Whether a curve shows more than one value would."""
    values = draft[2].values
    return len(values) > 1 and bool(np.any(values != values[0]))


def level(runs: Sequence[RunData]) -> list[tuple[str, str, int, str, float]]:
    """(chart, unit, run, label, value) of what is no chart, because it has one value or never changes."""
    return [
        (
            str(chart["title"]),
            str(chart["unit"]),
            run,
            "" if style == "used" else label,
            float(curve.values[-1]),
        )
        for chart, drafts in drafted(runs)
        if not any(has_course(draft) for draft in drafts)
        for run, label, curve, style in drafts
        if style != "planned" and len(curve)
    ]


def series(runs: Sequence[RunData], draft: Draft, buckets: int) -> Series:
    at, label, curve, style = draft
    curve = curve if style == "planned" else curve.thinned(buckets)
    return {
        "run": at,
        "label": label,
        "style": style,
        "steps": curve.steps.tolist(),
        "seconds": since_start(runs[at], curve.times),
        "values": rounded(curve.values),
    }


def since_start(run: RunData, times: np.ndarray) -> list[float | None]:
    first = run.metrics.first or 0.0
    return [round(time - first, 1) if time == time else None for time in times.tolist()]


def plain(name: str, factor: float = 1.0, quiet: float | None = None) -> Drawn:
    """The curve `name`; nothing if it never is anything but `quiet`."""

    def drafts(at: int, run: RunData, _several: bool) -> Drafts:
        curve = run.metrics.curves.get(name)
        if curve is not None and not bool(np.all(curve.values == quiet)):
            yield at, "", Curve(curve.steps, curve.times, curve.values * factor), "line"

    return drafts


def per_rank(name: str, factor: float = 1.0) -> Drawn:
    """One curve for each rank; of several runs only that of each run's first rank, for want of room."""

    def drafts(at: int, run: RunData, several: bool) -> Drafts:
        ranks = run.metrics.per_rank.get(name, [])
        for rank in [0] if several and ranks else telling_ranks(ranks):
            curve = ranks[rank]
            if len(curve):
                label = gettext("rank {0}", rank) if len(ranks) > 1 else ""
                yield at, label, Curve(curve.steps, curve.times, curve.values * factor), "line"

    return drafts


def telling_ranks(ranks: Sequence[Curve]) -> list[int]:
    """All ranks, or those with the least and the greatest values."""
    if len(ranks) <= FAST_RANKS + SLOW_RANKS:
        return list(range(len(ranks)))
    ordered = sorted(range(len(ranks)), key=lambda rank: ranks[rank].median() if len(ranks[rank]) else 0.0)
    return sorted(ordered[:FAST_RANKS] + ordered[-SLOW_RANKS:])


def learning_rate(at: int, run: RunData, several: bool) -> Drafts:
    steps, rates = planned.learning_rate(run)
    used = run.metrics.curves.get("lr")
    if steps:
        times = np.full(len(steps), np.nan)
        yield at, gettext("planned"), Curve(np.array(steps, np.int64), times, np.array(rates)), "planned"
    if used is not None:
        yield at, gettext("used") if steps else "", used, "used" if steps else "line"


def score(*names: str) -> Drawn:
    """Figures of the evaluations, those of averaged weights beside the raw ones."""

    def drafts(at: int, run: RunData, several: bool) -> Drafts:
        records = figures.scores(run)
        kinds = list(dict.fromkeys(str(each.get("which") or "weights") for each in records))
        for name in names[:1] if several else names:
            for which in kinds:
                curve = of_records(
                    [each for each in records if str(each.get("which") or "weights") == which], name
                )
                if len(curve):
                    words = [gettext(figures.NAMES.get(name, "")) if len(names) > 1 and not several else ""]
                    words.append(gettext(WEIGHTS.get(which, which)) if len(kinds) > 1 else "")
                    yield (
                        at,
                        " ".join(filter(None, words)),
                        curve,
                        "raw" if len(kinds) > 1 and which == "weights" else "dots",
                    )

    return drafts


def of_records(records: Sequence[Record], name: str) -> Curve:
    known = [each for each in records if number(each.get(name)) == number(each.get(name))]
    return Curve(
        np.array([each.get("step") or 0 for each in known], np.int64),
        np.array([number(each.get("time")) for each in known], np.float64),
        np.array([number(each[name]) for each in known], np.float64),
    )


def timeline(runs: Sequence[RunData]) -> dict[str, object] | None:
    """What was staged and published, as boxes in time that are as high as MB/s; the longest if there are many."""
    found = [
        {"run": at, "label": gettext(kind), "boxes": boxes(run, kind, MOST_TRANSFERS // (2 * len(runs)))}
        for at, run in enumerate(runs)
        for kind in dict.fromkeys(str(each.get("event")) for each in run.transfers)
    ]
    if sum(len(run.transfers) for run in runs) < 2:
        return None
    return {"id": "transfers", "title": gettext("Staging and publishing"), "unit": "MB/s", "series": found}


def boxes(run: RunData, kind: str, most: int) -> list[list[float]]:
    """[start, end, MB/s] in seconds since the run's first line; what was staged before that has times below 0."""
    first = run.metrics.first or min(each["time"] - each["seconds"] for each in run.transfers)
    mine = [each for each in run.transfers if str(each.get("event")) == kind]
    longest = sorted(mine, key=lambda each: each["seconds"])[-most:]
    found = [
        [
            each["time"] - each["seconds"] - first,
            each["time"] - first,
            each["bytes"] / 1e6 / max(each["seconds"], 1e-3),
        ]
        for each in sorted(longest, key=lambda each: each["time"])
    ]
    return [[round(start, 2), round(end, 2), float(f"{rate:.4g}")] for start, end, rate in found]


def marks(runs: Sequence[RunData]) -> list[dict[str, object]]:
    """Where runs were started, stopped and continued."""
    return [
        {
            "run": at,
            "kind": mark.kind,
            "step": mark.step,
            "seconds": since_start(run, np.array([mark.time]))[0],
        }
        for at, run in enumerate(runs)
        for mark in run.metrics.marks
        if mark.kind != "start" or mark.step
    ]


def wanted() -> list[tuple[dict[str, object], Drawn]]:
    """Every chart: what page.js has to know of it, and its curves."""
    return [
        (about("loss", N_("Loss"), log=True, smooth=True), plain("loss")),
        (about("score", N_("Accuracy"), "%"), score("top1", "top5")),
        (about("map", "mAP"), score("map", "f1")),
        (about("miou", "mIoU"), score("miou", "pixel_accuracy")),
        (about("evaluation_loss", N_("Loss of evaluation"), log=True), score("loss")),
        (about("lr", N_("Learning rate"), log=True), learning_rate),
        (about("speed", N_("Speed"), N_("images/s"), smooth=True), plain("images_per_second")),
        (
            about("data_wait", N_("Waiting for data"), N_("% of the time"), smooth=True),
            plain("data_wait", 100.0),
        ),
        (about("files_here", N_("Files that have arrived"), N_("% of all")), plain("files_here", 100.0)),
        (about("fetch", N_("Fetched while training"), "MB/s", smooth=True), plain("fetch_mb_per_second")),
        (
            about("step_time", N_("Time of a step"), "ms", log=True, smooth=True),
            per_rank("step_seconds", 1000.0),
        ),
        (about("memory", N_("Memory"), "MB"), per_rank("memory_mb")),
        (about("loss_scale", N_("Loss scale"), log=True), plain("loss_scale", quiet=1.0)),
        (about("skipped", N_("Skipped steps")), plain("skipped", quiet=0.0)),
    ]


def about(
    name: str, title: str, unit: str = "", log: bool = False, smooth: bool = False
) -> dict[str, object]:
    return {"id": name, "title": gettext(title), "unit": gettext(unit), "log": log, "smooth": smooth}
