"""The pages as HTML, and what is sent to keep them as the files are."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mindlift.cloud.providers.base import Status
from mindlift.errors import ConfigError, MindLiftError
from mindlift.language import N_, gettext, localized
from mindlift.report import figures, names, overview
from mindlift.report import page as report
from mindlift.report.markup import Html, as_json, joined, section, tag
from mindlift.runs.folder import RunData
from mindlift.ui import lists, logs
from mindlift.ui.address import RUN, query
from mindlift.ui.jobs import Desk, Jobs
from mindlift.ui.runs import Mark, Runs

ASKS = "; connect-src 'self'; form-action 'self'"
HERE = Path(__file__).parent
STYLE, PROGRAM = str(HERE / "ui.css"), str(HERE / "ui.js")
STYLES = ("page.css", STYLE)
MOST_COMPARED = 12
ENDED = ("ended", "failed", "stopped")
EVALUATION = "evaluation.json"
# Of ui.js.
WORDS = (
    N_("as of {0}"),
    N_("mindlift ui has ended, or can't be reached"),
    N_("compare {0}"),
    N_("open"),
    N_("compare"),
)
NO_CHOICE = "tick one or more runs, then compare"


@dataclass
class Shown:
    """What a page of runs is of. `missing`: what of it there is nothing to draw of yet, and why."""

    names: list[str]
    runs: list[RunData] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    jobs: list[Status] = field(default_factory=list)
    missing: list[tuple[str, str]] = field(default_factory=list)

    @property
    def mark(self) -> str:
        """Changes when there is something new to draw: its second part with evaluations, its last with the number of runs."""
        evaluated = [[file for file in mark if file[0] == EVALUATION] for mark in self.marks]
        return f"{shortened(self.marks)}-{shortened(evaluated)}-{len(self.runs)}"

    def has_ended(self, now: float) -> bool:
        done = all(figures.state(run, now)[0] in ENDED for run in self.runs)
        return done and not self.missing and all(job.phase.is_final for job in self.jobs)


class Pages:
    """All pages of what is served."""

    def __init__(self, runs: Runs, jobs: Jobs):
        self.runs, self.jobs = runs, jobs

    def first(self) -> str:
        parts = self.first_parts()
        choose = tag(
            "form",
            tag(
                "input",
                type="search",
                id="filter",
                placeholder=gettext("filter"),
                aria_label=gettext("filter"),
            ),
            tag("button", gettext("compare"), id="go", disabled=""),
            tag("span", "", id="status", cls="note"),
            id="compare",
            action="show",
            method="get",
        )
        body = [
            tag("header", tag("h1", "MindLift"), tag("p", str(self.runs.folder), cls="folder-line")),
            choose,
            live("list.json"),
            section(gettext("Runs"), part("runs", parts)),
            part("jobs", parts),
        ]
        return report.document(gettext("Runs"), body, STYLES, (PROGRAM,), asks=ASKS)

    def first_parts(self) -> dict[str, str]:
        now = time.time()
        entries = self.runs.entries()
        return {
            "runs": lists.runs(entries, self.runs.is_cut, now),
            "jobs": lists.jobs([known(desk) for desk in self.jobs.see()], now),
        }

    def show(self, asked: Sequence[str]) -> str:
        """The report of runs and jobs, one or several compared; ConfigError for what is not there."""
        found, now = self.find(asked), time.time()
        parts = self.parts(found, now)
        title = report.title_of(found.runs) if found.runs else ", ".join(job.name for job in found.jobs)
        back = tag(
            "p",
            tag("a", gettext("all runs"), href="./"),
            " ",
            tag("span", "", id="status", cls="note"),
            cls="back",
        )
        follow = live(f"show.json?{query(found.names)}", found.mark)
        top = tag("header", back, tag("h1", title), part("head", parts))
        log = log_of(found.names[0]) if len(found.names) == 1 else Html("")
        if not found.runs:
            return report.document(title, [top, follow, log], STYLES, (PROGRAM,), asks=ASKS)
        data = report.data_of(found.runs)
        charted, rest = report.charted(found.runs), report.details_of(found.runs, data, now)
        body = [top, follow, *charted, log, *rest]
        styles, programs = (*report.STYLES, STYLE), (*report.PROGRAMS, PROGRAM)
        return report.document(title, body, styles, programs, data, ASKS)

    def show_news(self, asked: Sequence[str], mark: str) -> dict[str, object]:
        """What has changed since the page that had `mark` was made."""
        found, now = self.find(asked), time.time()
        news: dict[str, object] = {
            "parts": self.parts(found, now),
            "mark": found.mark,
            "ended": found.has_ended(now),
        }
        _, evaluated, count = f"--{mark}".rsplit("-", 2)
        if count != str(len(found.runs)):
            return {**news, "reload": True}
        if mark == found.mark or not found.runs:
            return news
        data = report.data_of(found.runs)
        if evaluated != found.mark.split("-")[1]:
            news["parts"] = {**self.parts(found, now), **report.evaluations(found.runs, data)}
        return {**news, "data": data}

    def log(self, asked: Sequence[str], number: int, after: int) -> dict[str, object]:
        if len(asked) != 1:
            raise ConfigError("a log is of one run or job")
        if asked[0].startswith(RUN):
            root = self.root_of(asked[0])
            return vars(logs.of_run(root, self.runs.folder, number, after))
        desk, job = self.job(asked[0])
        return vars(desk.log(job, number, after))

    def find(self, asked: Sequence[str]) -> Shown:
        if not asked:
            raise ConfigError(NO_CHOICE)
        if len(asked) > MOST_COMPARED:
            raise ConfigError(f"{len(asked)} runs are more than a page compares, {MOST_COMPARED}: tick fewer")
        found = Shown(list(dict.fromkeys(asked)))
        for name in found.names:
            root = self.root_of(name) if name.startswith(RUN) else self.root_of_job(name, found)
            if root is not None:
                mark, run = self.runs.read(root)
                found.marks.append(mark)
                found.runs.append(run)
        names.give(found.runs)
        return found

    def root_of(self, name: str) -> Path:
        root = self.runs.root_of(name[len(RUN) :])
        if root is None:
            raise ConfigError(f"there is no run {name[len(RUN) :]} in {self.runs.folder}")
        return root

    def job(self, handle: str) -> tuple[Desk, Status]:
        found = self.jobs.find(handle)
        if found is None:
            raise ConfigError(f"there is no job {handle}")
        return found

    def root_of_job(self, handle: str, found: Shown) -> Path | None:
        _, job = self.job(handle)
        found.jobs.append(job)
        brought = self.jobs.bring(job)
        if brought.root is None:
            found.missing.append(
                (handle, localized(brought.problem) or gettext("its run is being brought here"))
            )
        return brought.root

    def parts(self, found: Shown, now: float) -> dict[str, str]:
        jobs = [tag("p", tag("b", job.name), " ", lists.stands(job), cls="job") for job in found.jobs]
        missing = [tag("p", tag("b", name), f": {why}", cls="note") for name, why in found.missing]
        if not found.runs:
            return {"head": joined([*jobs, *missing])}
        return {
            "head": joined([*jobs, *missing, report.head(found.runs, now)]),
            "level": overview.level(found.runs),
        }


def shortened(marks: Sequence[object]) -> str:
    return f"{hash(repr(marks)) & 0xFFFFFFFFFFFF:x}"


def known(desk: Desk) -> lists.Known:
    is_asked = desk.is_unknown or bool(desk.jobs or desk.problem or desk.has_answered)
    return lists.Known(desk.name, list(desk.jobs), dict(desk.lines), desk.problem, desk.is_unknown, is_asked)


def part(name: str, parts: dict[str, str]) -> Html:
    """An element whose content the server sends again."""
    return tag("div", Html(parts[name]), data_part=name)


def live(url: str, mark: str = "") -> Html:
    """What ui.js asks again and again."""
    words = as_json({word: gettext(word) for word in WORDS})
    return tag("div", id="live", data_url=url, data_mark=mark, data_words=str(words), hidden="")


def log_of(name: str) -> Html:
    """The place where ui.js puts the lines of a log."""
    choose = tag("select", id="log-part", aria_label=gettext("rank or node"), hidden="")
    lines = tag("pre", "", id="log-lines", tabindex=0, hidden="")
    url = f"log.json?{query([name])}"
    note = tag("p", "", id="log-note", cls="note")
    return section(
        gettext("Log"),
        choose,
        note,
        lines,
        id="log",
        data_url=url,
        data_what=gettext("rank") if name.startswith(RUN) else gettext("node"),
    )


def problem(err: MindLiftError | str) -> str:
    """A page with one line on what is wrong."""
    back = tag("p", tag("a", gettext("all runs"), href="./"))
    body = [tag("h1", "MindLift"), tag("p", localized(str(err)), cls="problem"), back]
    return report.document("MindLift", body, STYLES, (), asks=ASKS)
