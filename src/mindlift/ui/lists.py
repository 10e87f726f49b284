"""The first page: runs below the folder, and jobs of each provider. Pure."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from mindlift.cloud import show
from mindlift.cloud.providers.base import Status
from mindlift.cloud.states import Phase
from mindlift.language import N_, gettext, localized
from mindlift.report import figures, overview
from mindlift.report.figures import NAMES, SCORES, span
from mindlift.report.markup import Html, filled, joined, section, table, tag
from mindlift.runs.folder import RunData
from mindlift.ui.address import RUN, show_url
from mindlift.ui.runs import Entry

WORDS = {
    Phase.SUCCEEDED: "ended",
    Phase.FAILED: "failed",
    Phase.STOPPED: "stopped",
    Phase.RUNNING: "running",
    Phase.UNKNOWN: "cut",
}
RUN_HEADS = (
    "",
    N_("run"),
    N_("state"),
    N_("steps"),
    N_("left"),
    N_("best"),
    N_("loss"),
    "",
    N_("last line"),
)
JOB_HEADS = ("", N_("job"), N_("state"), N_("nodes x cards"), N_("time"), N_("newest line"))
PICTURE = 100, 24  # units of the small curve


@dataclass(frozen=True)
class Known:
    """What is known of the jobs of a provider. `is_unused`: this machine has no keys for it."""

    name: str
    jobs: Sequence[Status]
    lines: dict[str, str]
    problem: str
    is_unused: bool
    is_asked: bool  # it has answered


def runs(entries: Sequence[Entry], is_cut: bool, now: float) -> Html:
    """The table of runs, newest first."""
    if not entries:
        return tag("p", gettext("No runs yet: a training makes one, and it appears here."), cls="note")
    heads = [gettext(each) if each else "" for each in RUN_HEADS]
    more = tag("p", gettext("Only the newest runs are listed."), cls="note") if is_cut else ""
    return joined([table(heads, [run_row(entry, now) for entry in entries], "list"), more])


def run_row(entry: Entry, now: float) -> list[object]:
    run, name = entry.run, entry.root.name
    if run is None:
        state = tag(
            "span", localized(entry.problem) or gettext("being read"), cls="why" if entry.problem else "note"
        )
        return [tick(f"{RUN}{entry.id}", name), named(f"{RUN}{entry.id}", name, entry.id), state]
    word = figures.state(run, now)[0]
    left = figures.left(run) if word == "running" else None
    return [
        tick(f"{RUN}{entry.id}", run.title),
        named(f"{RUN}{entry.id}", run.title, entry.id),
        overview.stands(run, now),
        progress(run),
        span(left) if left is not None else "",
        best(run),
        loss(run),
        picture(run),
        ago(run.metrics.last or entry.changed, now),
    ]


def tick(name: str, title: str) -> Html:
    box = tag(
        "input",
        type="checkbox",
        name="of",
        value=name,
        form="compare",
        aria_label=gettext("compare {0}", title),
    )
    return tag("label", box, cls="tick")


def named(name: str, title: str, place: str) -> Html:
    link = tag("a", title, href=show_url([name]))
    return joined([link, tag("span", place, cls="folder") if place != title else ""])


def progress(run: RunData) -> Html | str:
    total = run.metrics.facts.get("total")
    told = overview.progress(run)
    if not told or not isinstance(total, int) or total < 1:
        return told
    return joined([told, tag("span", filled(run.metrics.step / total), cls="bar")])


def best(run: RunData) -> str:
    found = ((name, overview.best_score(run, name)) for name in SCORES)
    return next((f"{gettext(NAMES[name])} {value}" for name, value in found if value), "")


def loss(run: RunData) -> str:
    curve = run.metrics.curves.get("loss")
    return f"{curve.values[-1]:.4g}" if curve is not None and len(curve) else ""


def picture(run: RunData) -> Html:
    """The loss over the steps, small."""
    curve = run.metrics.curves.get("loss")
    if curve is None or len(curve) < 3:
        return Html("")
    width, height = PICTURE
    low, high = float(curve.values.min()), float(curve.values.max())
    first, last = int(curve.steps[0]), int(curve.steps[-1])
    if high <= low or last <= first:
        return Html("")
    points = " ".join(
        f"{(step - first) / (last - first) * width:.1f},{height - (value - low) / (high - low) * height:.1f}"
        for step, value in zip(curve.steps.tolist(), curve.values.tolist())
    )
    line = tag("polyline", points=points)
    return tag(
        "svg",
        line,
        viewBox=f"-1 -1 {width + 2} {height + 2}",
        cls="spark",
        role="img",
        aria_label=gettext("loss"),
    )


def ago(moment: float, now: float) -> Html:
    told = gettext("{0} ago", span(max(0.0, now - moment))) if now - moment >= 2 else gettext("now")
    return tag("span", told, title=overview.moment(moment))


def jobs(known: Sequence[Known], now: float) -> Html:
    """A section for each provider that has jobs or says why not; one line on those without keys here."""
    parts = [of_provider(each, now) for each in known if not each.is_unused]
    unused = [
        tag("p", tag("b", each.name), f": {localized(each.problem)}", cls="note")
        for each in known
        if each.is_unused
    ]
    notes = (
        tag("details", tag("summary", gettext("Providers without keys on this machine")), *unused)
        if unused
        else ""
    )
    return joined([*parts, notes])


def of_provider(known: Known, now: float) -> Html:
    problem = (
        tag("p", gettext("can't be asked now: {0}", localized(known.problem)), cls="problem")
        if known.problem
        else ""
    )
    nothing = gettext("no jobs") if known.is_asked else gettext("being asked")
    heads = [gettext(each) if each else "" for each in JOB_HEADS]
    rows = [job_row(job, known.lines.get(str(job.handle), ""), now) for job in known.jobs]
    found = table(heads, rows, "list") if rows else "" if problem else tag("p", nothing, cls="note")
    return section(known.name, problem, found)


def job_row(job: Status, line: str, now: float) -> list[object]:
    name = str(job.handle)
    return [
        tick(name, job.name),
        named(name, job.name or name, name),
        stands(job),
        f"{job.nodes} x {job.cards}",
        job_time(job, now),
        tag("span", line, cls="line") if line else "",
    ]


def stands(job: Status) -> Html:
    phase = gettext(job.phase.value) + (f" ({job.raw})" if job.phase is Phase.UNKNOWN else "")
    why = (
        localized(" ".join(part for part in (job.detail, job.reason) if part))
        if job.phase is not Phase.SUCCEEDED
        else ""
    )
    word = tag("span", phase, cls=f"word {WORDS.get(job.phase, 'waiting')}")
    return joined([word, tag("span", why, cls="why") if why else ""])


def job_time(job: Status, now: float) -> str:
    if job.duration_s:
        return localized(show.duration(job.duration_s))
    return (
        gettext("waits since {0}", localized(show.duration(max(0.0, now - job.created_at))))
        if job.created_at
        else ""
    )


def clock(now: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(now))
