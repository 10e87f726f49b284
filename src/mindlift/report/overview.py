"""The tables of the page: how runs stand, what was changed, what happened, what was moved. Pure."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from mindlift.language import N_, gettext, localized
from mindlift.report import changes, charts, figures
from mindlift.report.changes import Change, Known
from mindlift.report.figures import NAMES, SCORES, size, span
from mindlift.report.markup import Html, filled, joined, plain, section, table, tag
from mindlift.runs.folder import RunData

VERSIONS = {
    "mindspore": "MindSpore",
    "numpy": "NumPy",
    "python": "Python",
    "cpus": "CPUs",
    "git": N_("revision"),
    "machine": N_("machine"),
    "ranks": N_("ranks"),
    "device": N_("device"),
    "augmentation": N_("augmentation"),
}
KINDS = {
    "start": N_("started"),
    "continued": N_("continued"),
    "stopped": N_("stopped, to be continued"),
    "failed": N_("failed"),
    "ended": N_("ended"),
}

CHANGED = (N_("option"), N_("this run"), N_("recipe"), N_("default"), N_("said by"))
MOVES = (N_("staged"), N_("published"))  # events of transfers
ORIGINS = (N_("the images"), N_("command line"))  # beside files
HAPPENED = (N_("after step"), N_("time"), N_("steps done again"), N_("pause before"))
RANKS = (N_("median ms per step"), N_("slowest line's"), N_("over the fastest rank"))
TRANSFERS = (N_("transfers"), N_("bytes"), N_("time"))
LONGEST = (N_("what"), N_("size"), N_("seconds"), N_("ended"))
MOST_ERRORS = 6  # of ranks that are shown
WIDE = 14  # letters of a figure that are more than a tile holds in large type


def moment(seconds: float | None) -> str:
    if seconds is None or not math.isfinite(seconds):
        return ""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))


def share(name: str, value: float) -> str:
    return f"{value:.2f} %" if name in figures.PERCENT else f"{value:.4f}"


def headline(run: RunData, now: float) -> Html:
    """State, task and folder of a run."""
    word, told = figures.state(run, now)
    what = " on ".join(str(run.options[name]) for name in ("net", "dataset") if run.options.get(name))
    words = [what if what and not run.title.startswith(what) else "", run.folder]
    rest = ", ".join(each for each in words if each and each != run.title)
    return tag("p", tag("span", told, cls=f"state {word}"), f" {rest}", cls="headline")


def errors(run: RunData, now: float) -> Html:
    """What a run failed with."""
    found = figures.errors(run, now)
    more = [gettext("and {0} other ranks", len(found) - MOST_ERRORS)] if len(found) > MOST_ERRORS else []
    return (
        tag("div", *(tag("p", localized(each)) for each in [*found[:MOST_ERRORS], *more]), cls="errors")
        if found
        else Html("")
    )


def facts(run: RunData) -> list[tuple[str, str]]:
    """What one wants to know first of a run, as (name, value)."""
    found = [(gettext("best {0}", gettext(NAMES[name])), best_score(run, name)) for name in SCORES]
    found.append((gettext("best checkpoint"), best_checkpoint(run)))
    curves, lasted = run.metrics.curves, figures.seconds(run)
    loss, speed = curves.get("loss"), curves.get("images_per_second")
    found.append((gettext("last loss"), f"{loss.values[-1]:.4g}" if loss is not None else ""))
    found.append((gettext("least loss"), f"{loss.values.min():.4g}" if loss is not None else ""))
    found.append((gettext("images/s"), f"{speed.median():.4g}" if speed is not None else ""))
    wait = curves.get("data_wait")
    found.append((gettext("waiting for data"), f"{100 * wait.median():.1f} %" if wait is not None else ""))
    fetched = curves.get("fetch_mb_per_second")
    rate = f"{fetched.median():.3g} MB/s" if fetched is not None else ""
    found.append((gettext("fetched while training"), rate))
    found.append((gettext("steps"), progress(run)))
    found.append((gettext("duration"), span(lasted) if lasted else ""))
    lost = figures.lost_steps(run)
    found.append((gettext("steps done again"), f"{lost:,}" if lost else ""))
    bad = run.metrics.not_finite
    found.append((gettext("lines without a finite loss"), f"{bad:,}" if bad else ""))
    return [(name, value) for name, value in found if value]


def best_score(run: RunData, name: str) -> str:
    best = figures.best(run, name)
    return share(name, best.value) if best else ""


def best_checkpoint(run: RunData) -> str:
    """Of those that were kept for their scores; else the one of the step with the best evaluation, if there is one."""
    if not run.best:
        for name in SCORES:
            found = figures.best(run, name)
            same = [each for each in run.kept if found and each.step == found.step]
            if found:
                return f"{same[-1].file} ({NAMES[name]} {share(name, found.value)})" if same else ""
        return ""
    best = run.best[0]
    assert best.score is not None
    value = share(best.metric, best.score) if best.metric in NAMES else f"{best.score:.4g}"
    return f"{best.file} ({gettext(NAMES.get(best.metric, best.metric))} {value})"


def progress(run: RunData) -> str:
    total = run.metrics.facts.get("total")
    done = f"{run.metrics.step:,}" if run.metrics.step else ""
    return (
        gettext("{0} of {1}", done, f"{total:,}")
        if done and isinstance(total, int) and total != run.metrics.step
        else done
    )


def tiles(run: RunData) -> Html:
    boxes = [
        tag("div", tag("b", value), tag("span", name), cls="tile" if len(value) <= WIDE else "tile wide")
        for name, value in facts(run)
    ]
    return tag("div", *boxes, cls="tiles") if boxes else Html("")


def best_figures(runs: Sequence[RunData], now: float) -> Html:
    """One row a run; the best value of each score is set off."""
    known = [dict(facts(run)) for run in runs]
    names = list(dict.fromkeys(name for each in known for name in each))
    tops = {
        name: max((best.value for best in (figures.best(run, name) for run in runs) if best), default=None)
        for name in SCORES
    }
    rows = [
        [
            joined([swatch(at, run.title), tag("span", run.folder, cls="folder")]),
            stands(run, now),
            *(top_marked(run, name, each.get(name, ""), tops) for name in names),
        ]
        for at, (run, each) in enumerate(zip(runs, known))
    ]
    return section(gettext("Best figures"), table([gettext("run"), gettext("state"), *names], rows))


def stands(run: RunData, now: float) -> Html:
    """A word for the state, and what a run failed with."""
    word = figures.state(run, now)[0]
    error = next(iter(figures.errors(run, now)), "")
    return joined(
        [
            tag("span", gettext(figures.STATES[word]), cls=f"word {word}"),
            tag("span", localized(error), cls="why") if error else "",
        ]
    )


def level(runs: Sequence[RunData]) -> Html:
    """What has no chart, because it would be a dot or a level line."""
    known: dict[str, dict[int, str]] = {}
    for title, unit, run, label, value in charts.level(runs):
        told = " ".join(filter(None, [label, f"{value:.5g}", unit]))
        of_runs = known.setdefault(title, {})
        of_runs[run] = f"{of_runs[run]}, {told}" if run in of_runs else told
    rows = [[title, *(each.get(at, "") for at in range(len(runs)))] for title, each in known.items()]
    heads = ["", *(swatch(at, run.title) for at, run in enumerate(runs))] if len(runs) > 1 else []
    return section(gettext("One value, or always the same"), table(heads, rows, "facts") if rows else "")


def top_marked(run: RunData, name: str, value: str, tops: dict[str, float | None]) -> object:
    for key, top in tops.items():
        best = figures.best(run, key) if name == gettext("best {0}", gettext(NAMES[key])) else None
        if best and best.value == top:
            return tag("b", value, cls="top")
    return value


def swatch(at: int, title: str) -> Html:
    """A run's name with its colour."""
    return joined([tag("i", cls=f"swatch c{at % 8}"), title])


def options_that_differ(runs: Sequence[RunData]) -> Html:
    rows = [[name, *map(plain, values)] for name, values in changes.differing(runs)]
    heads = [gettext("option"), *(swatch(at, run.title) for at, run in enumerate(runs))]
    nothing = tag("p", gettext("The runs have the same options."), cls="note")
    return section(gettext("Options that differ"), table(heads, rows) if rows else nothing)


def changed_options(run: RunData, about: Known) -> Html:
    """What this run has of its own; below it, what its recipe has against the defaults."""
    found = changes.changes(run, about)
    own, recipe = (
        [each for each in found if changes.is_own(each)],
        [each for each in found if not changes.is_own(each)],
    )
    parts = []
    if own:
        heads = [gettext(each) for each in CHANGED]
        parts.append(table(heads, [own_row(each, about) for each in own]))
    if recipe:
        rows = [[each.name, plain(each.value), plain(each.default)] for each in recipe]
        name = recipe[0].by
        content = table([gettext("option"), name, gettext("default")], rows)
        parts.append(
            tag("details", tag("summary", gettext("{0} options of {1}", len(recipe), name)), content)
        )
    return section(gettext("What this run changed"), *parts)


def own_row(change: Change, about: Known) -> list[object]:
    recipe = plain(change.recipe) if change.name in about.recipe else gettext("as default")
    default = plain(change.default) if change.name in about.defaults else gettext("unknown")
    return [tag("b", change.name), plain(change.value), recipe, default, gettext(change.by)]


def command(run: RunData) -> Html:
    text = changes.command(run)
    copy = tag("button", gettext("copy"), type="button", cls="copy")
    return (
        section(gettext("To repeat it"), tag("div", tag("pre", text), copy, cls="command"))
        if text
        else Html("")
    )


def versions(runs: Sequence[RunData]) -> Html:
    names = list(dict.fromkeys(name for run in runs for name in run.versions))
    rows = [
        [gettext(VERSIONS.get(name, name)), *(plain(run.versions.get(name)) for run in runs)]
        for name in names
    ]
    heads = ["", *(swatch(at, run.title) for at, run in enumerate(runs))] if len(runs) > 1 else []
    return section(gettext("Versions and machine"), table(heads, rows, "facts") if rows else "")


def events(run: RunData) -> Html:
    rows = [
        [
            gettext(KINDS.get(mark.kind, mark.kind)),
            mark.step,
            moment(mark.time),
            f"{mark.lost:,}" if mark.lost else "",
            span(mark.pause) if mark.pause is not None else "",
        ]
        for mark in run.metrics.marks
    ]
    heads = ["", *map(gettext, HAPPENED)]
    return section(gettext("What happened"), table(heads, rows) if rows else "")


def ranks(run: RunData) -> Html:
    """Who holds the others up; nothing for a run of one rank."""
    rows = [
        [
            gettext("rank {0}", rank),
            f"{1000 * median:.1f}",
            f"{1000 * worst:.1f}",
            f"{times:.2f}",
            bar(times - 1, 1),
        ]
        for rank, median, worst, times in figures.stragglers(run)
    ]
    heads = ["", *map(gettext, RANKS), ""]
    return section(gettext("Ranks"), table(heads, rows)) if len(rows) > 1 else Html("")


def bar(part: float, whole: float) -> Html:
    return tag("span", filled(part / whole if part == part else 0.0), cls="bar")


def traffic(run: RunData) -> Html:
    rows = [
        [
            gettext(kind),
            count,
            size(total),
            span(seconds),
            f"{total / 1e6 / seconds:.1f}" if seconds > 0 else "",
        ]
        for kind, count, total, seconds in figures.traffic(run.transfers)
    ]
    slowest = sorted(run.transfers, key=lambda each: each["seconds"])[-10:]
    details = [
        [
            gettext(str(each.get("event"))),
            str(each.get("what")),
            size(each["bytes"]),
            f"{each['seconds']:.1f}",
            moment(each["time"]),
        ]
        for each in reversed(slowest)
    ]
    return section(
        gettext("Moved"),
        table(["", *map(gettext, TRANSFERS), "MB/s"], rows) if rows else "",
        tag("details", tag("summary", gettext("The longest")), table(["", *map(gettext, LONGEST)], details))
        if rows
        else "",
    )
