"""cloud/submit.py top: the progress of my jobs, refreshed."""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections import Counter
from collections.abc import Sequence

from mindlift import files, sanitize
from mindlift.cloud import show
from mindlift.cloud.errors import NoAnswer, Overloaded
from mindlift.cloud.follow.metrics import Metrics
from mindlift.cloud.follow.newest_lines import LogTail
from mindlift.cloud.follow.progress import Progress
from mindlift.cloud.follow.screen import Screen, is_screen
from mindlift.cloud.follow.top_table import Row, fitted
from mindlift.cloud.providers.base import Provider, Status
from mindlift.cloud.retry import RetryPolicy
from mindlift.cloud.states import Phase
from mindlift.columns import cut
from mindlift.errors import MindLiftError
from mindlift.language import gettext, localized
from mindlift.runs.remote import SKEW_S
from mindlift.storage.url import is_remote

SHORTEST_S = 0.5  # between two looks
UNLIMITED = 10**6  # letters of a line, and lines, where nothing limits them


class Jobs:
    """The newest `limit` jobs of a provider in some phases, and what their runs have published."""

    def __init__(self, provider: Provider, phases: Sequence[Phase], limit: int):
        self.provider, self.phases, self.limit = provider, phases, limit
        self.metrics = Metrics()
        self.known: dict[str, Progress | None] = {}
        self.tails: dict[str, LogTail] = {}
        self.read_to_the_end: set[str] = set()
        self.settled: set[str] = set()  # jobs that had ended when they were read
        self.store = contextlib.ExitStack()
        self.is_reached = False
        self.problem = ""  # why figures are missing or old

    def look(self) -> list[Row]:
        """Asks the service once; its errors are the caller's. A store that fails leaves the figures as they were."""
        self.problem = ""
        found = list(self.provider.list(self.phases, self.limit))
        for status in found:
            is_known = str(status.handle) in self.settled
            if is_remote(status.train_url) and not is_known and not self.problem:
                self.renew(status)
        return [Row(status, self.known.get(str(status.handle)), self.newest_line(status)) for status in found]

    def newest_line(self, status: Status) -> str:
        """What a job without figures says last: a program of the user's has a log, and no metrics that we know."""
        name = str(status.handle)
        if self.known.get(name) or not status.started_at:
            return ""
        tail = self.tails.setdefault(name, LogTail(self.provider, status.handle))
        if name not in self.read_to_the_end:
            tail.read(status.phase.is_final)
        if status.phase.is_final:
            self.read_to_the_end.add(name)
        return sanitize.single_line(" ".join("".join(tail.lines).split()))

    def renew(self, status: Status) -> None:
        try:
            if not self.is_reached:  # held to the end: a rehearsal's own store stops when nobody uses it
                self.store.enter_context(self.provider.reach_store())
                self.is_reached = True
            progress = self.metrics.read(status.train_url, status.lifetime)
        except (MindLiftError, OSError) as err:
            self.problem = f"no figures: {' '.join(str(err).split())}"
            return
        self.known[str(status.handle)] = None if is_of_another(status, progress) else progress
        if status.phase.is_final:
            self.settled.add(str(status.handle))


def is_of_another(status: Status, progress: Progress | None) -> bool:
    """Whether a run has gone on since this job ended: another one with the same train_url continues it."""
    ended = status.lifetime.ended_at if status.started_at else math.inf
    return progress is not None and progress.at > ended + SKEW_S


def watch(jobs: Jobs, interval_s: float, once: bool, as_json: bool) -> int:
    """Print or draw the table until Ctrl-C, which is exit code 130; `once` is 0 at once."""
    interval_s = max(SHORTEST_S, interval_s)
    try:
        with jobs.store:
            if once:
                rows = RetryPolicy(say=note).call(jobs.look)
                tell(jobs)
                print(as_text(rows, as_json, indent=2))
            elif as_json or not is_screen():
                print_loop(jobs, interval_s, as_json)
            else:
                draw_loop(jobs, interval_s)
    except KeyboardInterrupt:
        return 130
    return 0


def note(line: str) -> None:
    print(localized(sanitize.lines(line)), file=sys.stderr, flush=True)


def tell(jobs: Jobs) -> None:
    if jobs.problem:
        note(jobs.problem)


def as_text(rows: Sequence[Row], as_json: bool, indent: int | None = None) -> str:
    now = time.time()
    if as_json:
        return files.as_json([row.as_dict(now) for row in rows], indent=indent)
    return (
        show.table(fitted(rows, now, show.screen_columns() or UNLIMITED, UNLIMITED))
        if rows
        else gettext("no jobs")
    )


def print_loop(jobs: Jobs, interval_s: float, as_json: bool) -> None:
    """Whole tables one below the other, or a line of JSON for each."""
    while True:
        rows = RetryPolicy(say=note).call(jobs.look)
        tell(jobs)
        print(as_text(rows, as_json) + ("" if as_json else "\n"), flush=True)
        time.sleep(interval_s)


def draw_loop(jobs: Jobs, interval_s: float) -> None:
    """A service that does not answer leaves the table as it was, and is asked again."""
    board = Board(interval_s)
    screen = Screen(board.lines)
    with screen.opened():
        while True:
            screen.draw()
            pause = interval_s
            try:
                board.rows, board.at = jobs.look(), time.time()
                board.problem = jobs.problem
            except (Overloaded, NoAnswer) as err:
                board.problem = " ".join(str(err).split())
                pause = max(pause, getattr(err, "retry_after_s", 0.0))
            screen.draw()
            time.sleep(pause)


class Board:
    """What is on the screen."""

    def __init__(self, interval_s: float):
        self.interval_s = interval_s
        self.rows: list[Row] | None = None
        self.at = 0.0
        self.problem = ""

    def lines(self, width: int, height: int) -> list[str]:
        """A line on the whole, a line for each job as far as there is room, and a line on what went wrong."""
        if self.rows is None:
            return [cut(localized(self.problem or "looking for jobs ..."), width)]
        foot = [cut(localized(self.problem), width)] if self.problem else []
        clock = time.strftime("%H:%M:%S", time.localtime(self.at))
        head = gettext(
            "{0}  {1}  every {2} s, Ctrl-C ends", clock, summary(self.rows), f"{self.interval_s:g}"
        )
        room = height - 2 - len(foot)
        if len(self.rows) > room - 1:
            foot.insert(0, cut(gettext("{0} more", len(self.rows) - max(1, room - 2)), width))
            room -= 1
        table = show.table(fitted(self.rows, time.time(), width, room)).splitlines()
        return [cut(head, width), "", *(table if self.rows else [gettext("no jobs")]), *foot]


def summary(rows: Sequence[Row]) -> str:
    counts = Counter(row.status.phase.value for row in rows)
    found = gettext("{0} job", 1) if len(rows) == 1 else gettext("{0} jobs", len(rows))
    return found + "".join(f", {count} {gettext(phase)}" for phase, count in counts.items())
