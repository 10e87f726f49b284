"""Puts the page together: one file with its style, its program and its data, that asks no network for anything."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Sequence
from pathlib import Path

from mindlift.errors import DataError, StorageError
from mindlift.files import write_atomic
from mindlift.report import changes, charts, overview
from mindlift.report import evaluation as evaluated
from mindlift.report.markup import Html, as_json, joined, section, tag
from mindlift.runs import folder as run_folder
from mindlift.runs.folder import RunData

HERE = Path(__file__).parent
POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; style-src {}; script-src {}"
REPORT = "report.html"


def write(runs: Sequence[Path], out: Path) -> Path:
    """Write the page of one run, or of several compared, to the file `out`, whole or not at all.

    `runs` are run folders on this disk. StorageError if `out` can't be written, DataError for a folder that can't
    be read.
    """
    if not runs:
        raise DataError("no run to report on; name at least one run's folder")
    return put(out, [run_folder.read(Path(root), title) for root, title in zip(runs, titles(runs))])


def put(out: Path, runs: Sequence[RunData]) -> Path:
    """The same of runs that were read already."""
    text = page(runs, time.time())
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise StorageError(f"can't write report {out}: {err.strerror or err}") from err
    write_atomic(out, text)
    return out


def titles(roots: Sequence[Path]) -> list[str]:
    """Folder names, with as much of the path before them as tells the runs apart."""
    parts = [Path(root).absolute().parts for root in roots]
    for depth in range(1, max(map(len, parts)) + 1):
        found = ["/".join(each[-depth:]) for each in parts]
        if len(set(found)) == len(set(parts)):
            break
    return [name if found.count(name) == 1 else f"{name} ({at})" for at, name in enumerate(found, 1)]


def page(runs: Sequence[RunData], now: float) -> str:
    """The HTML of the page."""
    confusions = evaluated.confusions(runs)
    data = {
        "runs": [{"title": run.title, "steps_per_epoch": run.steps_per_epoch} for run in runs],
        "charts": charts.build(runs),
        "marks": charts.marks(runs),
        "confusions": confusions,
    }
    title = runs[0].title if len(runs) == 1 else f"{len(runs)} runs compared"
    content = one(runs[0], confusions, now) if len(runs) == 1 else several(runs, confusions, now)
    made = tag("footer", f"Written by MindLift {overview.moment(now)}. Charts: uPlot (MIT licence).")
    return document(title, [tag("header", tag("h1", title), content[0]), *content[1:], made], data)


def one(run: RunData, confusions: list[dict[str, object]], now: float) -> list[Html]:
    """Header, then the sections of a single run."""
    return [
        joined([overview.headline(run, now), overview.tiles(run)]),
        toolbar([run]),
        tag("div", id="charts"),
        pair([evaluated.iou_bars([run])]),
        *details(0, run, confusions, evaluated.PICTURES_BYTES),
        overview.versions([run]),
    ]


def several(runs: Sequence[RunData], confusions: list[dict[str, object]], now: float) -> list[Html]:
    room = evaluated.PICTURES_BYTES // len(runs)
    parts = [
        tag(
            "details",
            tag("summary", overview.swatch(at, run.title)),
            *details(at, run, confusions, room),
            cls="run",
        )
        for at, run in enumerate(runs)
    ]
    return [
        overview.best_figures(runs, now),
        toolbar(runs),
        tag("div", id="charts"),
        pair([evaluated.iou_bars(runs)]),
        overview.options_that_differ(runs),
        overview.versions(runs),
        section("Each run", *parts),
    ]


def details(at: int, run: RunData, confusions: list[dict[str, object]], room: int) -> list[Html]:
    """The sections that runs don't share."""
    wrong, used = evaluated.mistakes(run, room)
    return [
        pair(
            [
                evaluated.confusion(at, confusions),
                evaluated.calibration(run),
                evaluated.overlays(run, room - used),
            ]
        ),
        wrong,
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
        tag("legend", "x axis"),
        *(radio("axis", name, at == 0) for at, name in enumerate(("steps", "time"))),
    )
    smooth = tag(
        "label",
        "smoothing ",
        tag("input", type="range", id="smooth", min=0, max=99, value=0),
        tag("output", "0", id="smooth-value"),
    )
    reset = tag("button", "whole range", type="button", id="reset")
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
    return tag("label", button, name)


def document(title: str, body: Sequence[Html], data: dict[str, object]) -> str:
    style = source("vendor/uplot/uPlot.min.css") + source("page.css") + widths()
    programs = [source("vendor/uplot/uPlot.iife.min.js"), source("page.js")]
    head = joined(
        [
            Html('<meta charset="utf-8">'),
            Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
            Html(f'<meta http-equiv="Content-Security-Policy" content="{policy([style], programs)}">'),
            Html('<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">'),
            tag("title", f"{title} – MindLift"),
            tag("style", Html(style)),
        ]
    )
    scripts = [
        tag("script", as_json(data), type="application/json", id="data"),
        *(tag("script", Html(each)) for each in programs),
    ]
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body>{joined(body)}\n{joined(scripts)}</body></html>\n'


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
    return (HERE / name).read_text(encoding="utf-8")
