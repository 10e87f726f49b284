"""Puts the page together: one file with its style, its program and its data, that asks no network for anything."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from mindlift.errors import DataError, StorageError
from mindlift.files import write_atomic
from mindlift.language import N_, catalogue, gettext
from mindlift.report import changes, charts, names, overview
from mindlift.report import evaluation as evaluated
from mindlift.report.markup import Html, as_json, joined, section, tag
from mindlift.runs import folder as run_folder
from mindlift.runs.folder import RunData

HERE = Path(__file__).parent
POLICY = "default-src 'none'; base-uri 'none'; img-src data:; style-src {}; script-src {}"
NO_FORMS = "; form-action 'none'"
REPORT = "report.html"
STYLES = ("vendor/uplot/uPlot.min.css", "page.css")
# Of page.js, which finds them in its data.
WORDS = (
    N_("steps"),
    N_("step"),
    N_("time"),
    N_("log"),
    N_("copied"),
    N_("failed"),
    N_("stopped"),
    N_("continued"),
    N_("started"),
    N_("ended"),
    N_(", epoch {0}"),
    N_("truth {0}, predicted {1}: {2} of {3}"),
)
PROGRAMS = ("vendor/uplot/uPlot.iife.min.js", "page.js")


def write(runs: Sequence[Path], out: Path) -> Path:
    """Write the page of one run, or of several compared, to the file `out`, whole or not at all.

    `runs` are run folders on this disk. StorageError if `out` can't be written, DataError for a folder that can't
    be read.
    """
    if not runs:
        raise DataError("no run to report on; name at least one run's folder")
    return put(out, read(runs))


def put(out: Path, runs: Sequence[RunData]) -> Path:
    """The same of runs that were read already."""
    names.give(runs)
    text = page(runs, time.time())
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise StorageError(f"can't write report {out}: {err.strerror or err}") from err
    write_atomic(out, text)
    return out


def read(roots: Sequence[Path]) -> list[RunData]:
    """The runs in these folders, with names that tell them apart."""
    found = [run_folder.read(Path(root)) for root in roots]
    names.give(found)
    return found


def page(runs: Sequence[RunData], now: float) -> str:
    """The HTML of the page."""
    data = data_of(runs)
    title = title_of(runs)
    made = tag(
        "footer", gettext("Written by MindLift {0}. Charts: uPlot (MIT licence).", overview.moment(now))
    )
    body = [
        tag("header", tag("h1", title), head(runs, now)),
        *charted(runs),
        *details_of(runs, data, now),
        made,
    ]
    return document(title, body, STYLES, PROGRAMS, data)


def title_of(runs: Sequence[RunData]) -> str:
    return runs[0].title if len(runs) == 1 else gettext("{0} runs compared", len(runs))


def data_of(runs: Sequence[RunData]) -> dict[str, object]:
    """What page.js draws."""
    return {
        "runs": [{"title": run.title, "steps_per_epoch": run.steps_per_epoch} for run in runs],
        "charts": charts.build(runs),
        "marks": charts.marks(runs),
        "confusions": evaluated.confusions(runs),
        "words": {word: gettext(word) for word in WORDS},
    }


def head(runs: Sequence[RunData], now: float) -> Html:
    """How the runs stand, below the title."""
    if len(runs) > 1:
        return overview.best_figures(runs, now)
    return joined([overview.headline(runs[0], now), overview.errors(runs[0], now), overview.tiles(runs[0])])


def charted(runs: Sequence[RunData]) -> list[Html]:
    """Where page.js draws, and what is no chart."""
    return [toolbar(runs), tag("div", id="charts"), tag("div", overview.level(runs), data_part="level")]


def evaluations(runs: Sequence[RunData], data: dict[str, object]) -> dict[str, Html]:
    """What comes of evaluations, by data-part: `mindlift ui` sends it again after the next one."""
    confusions = cast("list[dict[str, object]]", data["confusions"])
    room = evaluated.PICTURES_BYTES // len(runs)
    found = {"bars": pair([evaluated.iou_bars(runs), evaluated.precision_bars(runs)])}
    for at, run in enumerate(runs):
        wrong, used = evaluated.mistakes(run, room)
        drawn = [
            evaluated.confusion(at, confusions),
            evaluated.calibration(run),
            evaluated.overlays(run, room - used),
        ]
        found[f"evaluation-{at}"] = joined([pair(drawn), wrong])
    return found


def details_of(runs: Sequence[RunData], data: dict[str, object], now: float) -> list[Html]:
    """All below the charts."""
    parts = {name: tag("div", html, data_part=name) for name, html in evaluations(runs, data).items()}
    bars = parts.pop("bars")
    if len(runs) == 1:
        return [bars, *details(runs[0], *parts.values()), overview.versions(runs)]
    return [
        bars,
        overview.options_that_differ(runs),
        overview.versions(runs),
        section(gettext("Each run"), *several(runs, list(parts.values()), now)),
    ]


def several(runs: Sequence[RunData], evaluation: Sequence[Html], now: float) -> list[Html]:
    """What folds out for each run; `evaluation` is of each."""
    return [
        tag(
            "details",
            tag("summary", overview.swatch(at, run.title)),
            overview.headline(run, now),
            overview.errors(run, now),
            *details(run, evaluation[at]),
            cls="run",
        )
        for at, run in enumerate(runs)
    ]


def details(run: RunData, evaluation: Html) -> list[Html]:
    """The sections that runs don't share."""
    return [
        evaluation,
        overview.changed_options(run, changes.known(run)),
        overview.command(run),
        pair([overview.events(run), overview.ranks(run)]),
        overview.traffic(run),
    ]


def pair(parts: Sequence[Html]) -> Html:
    """Sections beside each other where there is room."""
    there = [part for part in parts if part]
    return tag("div", *there, cls="pair") if there else Html("")


def toolbar(runs: Sequence[RunData]) -> Html:
    """What all charts share; page.js answers it."""
    axis = tag(
        "fieldset",
        tag("legend", gettext("x axis")),
        *(radio("axis", name, at == 0) for at, name in enumerate((N_("steps"), N_("time")))),
    )
    smooth = tag(
        "label",
        gettext("smoothing") + " ",
        tag("input", type="range", id="smooth", min=0, max=99, value=0),
        tag("output", "0", id="smooth-value"),
    )
    reset = tag("button", gettext("whole range"), type="button", id="reset")
    shown = tag("output", id="range")
    hide = [
        tag(
            "label",
            tag("input", type="checkbox", checked="", data_run=at, cls="hide-run"),
            overview.swatch(at, run.title),
        )
        for at, run in enumerate(runs)
    ]
    chosen = tag("div", *hide, id="runs") if len(runs) > 1 else ""
    return tag("nav", axis, smooth, reset, shown, chosen, id="toolbar")


def radio(group: str, name: str, chosen: bool) -> Html:
    button = tag("input", type="radio", name=group, value=name, checked="" if chosen else None)
    return tag("label", button, gettext(name))


def document(
    title: str,
    body: Sequence[Html],
    styles: Sequence[str],
    programs: Sequence[str],
    data: dict[str, object] | None = None,
    asks: str = NO_FORMS,
) -> str:
    """A page with these styles and programs in it; `asks` are the directives of its policy that a page of a server needs."""
    style = "".join(map(source, styles)) + widths()
    texts = [source(name) for name in programs]
    head = joined(
        [
            Html('<meta charset="utf-8">'),
            Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
            tag("meta", http_equiv="Content-Security-Policy", content=Html(policy([style], texts) + asks)),
            Html('<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">'),
            tag("title", f"{title} – MindLift"),
            tag("style", Html(style)),
        ]
    )
    found = [] if data is None else [tag("script", as_json(data), type="application/json", id="data")]
    scripts = [*found, *(tag("script", Html(each)) for each in texts)]
    reads = "en" if catalogue() is None else "zh-CN"
    return f'<!DOCTYPE html>\n<html lang="{reads}"><head>{head}</head>\n<body>{joined(body)}\n{joined(scripts)}</body></html>\n'


def widths() -> str:
    """The classes of markup.filled."""
    return "".join(f".w{percent}{{width:{percent}%}}" for percent in range(101))


def policy(styles: Sequence[str], programs: Sequence[str]) -> str:
    """Nothing but these very texts is style or program, wherever it stands in the page."""
    return POLICY.format(*(" ".join(map(hashed, texts)) for texts in (styles, programs)))


def hashed(text: str) -> str:
    """As Content Security Policy Level 3, section 2.3.1, names a text that may run."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def source(name: str) -> str:
    """The text of a file beside this one, or of one with its whole path."""
    return (HERE / name).read_text(encoding="utf-8")
