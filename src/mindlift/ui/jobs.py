"""The jobs of all providers that this machine has keys for, asked while somebody looks at the page."""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mindlift.cloud import handle as handles
from mindlift.cloud import job_file, providers
from mindlift.cloud.errors import JobError, LogNotThere
from mindlift.cloud.follow.log_text import Place
from mindlift.cloud.follow.newest_lines import LogTail
from mindlift.cloud.handle import Handle
from mindlift.cloud.providers.base import Provider, Status
from mindlift.cloud.retry import RetryPolicy
from mindlift.errors import MindLiftError
from mindlift.language import gettext, localized
from mindlift.report import sources
from mindlift.ui.logs import Lines, shown

LIMIT = 50  # jobs of a provider
EVERY_S = {"local": 2.0}
SELDOM_S = 15.0  # between two looks at a service
LOOKED_S = 40.0  # so long a page counts as being looked at
LOG_S = 1.0  # between two looks at a log
MOST_LINES, MOST_PAGES = 5000, 20
FETCH_S = 20.0  # between two times that a running job's run is brought here
DEADLINE_S = 30.0


@dataclass
class JobLog:
    """The lines of a node's log that are kept, and how many came before them."""

    lines: deque[str] = field(default_factory=lambda: deque(maxlen=MOST_LINES))
    place: Place = field(default_factory=lambda: Place())
    count: int = 0
    read_at: float = float("-inf")
    note: str = ""


@dataclass
class Brought:
    """The run of a job on this disk, as far as it was brought; `problem` says why it was not."""

    root: Path | None = None
    problem: str = ""
    at: float = float("-inf")
    is_under_way: bool = False
    was_final: bool = False


class Desk:
    """One provider. Its client answers one question at a time."""

    def __init__(self, name: str):
        self.name = name
        self.lock = threading.Lock()
        self.client: Provider | None = None
        self.jobs: list[Status] = []
        self.lines: dict[str, str] = {}  # the newest of each job that runs
        self.tails: dict[str, LogTail] = {}
        self.logs: dict[tuple[str, int], JobLog] = {}
        self.problem = ""
        self.is_unknown = False  # this machine has no keys for it
        self.has_answered = False
        self.looked = float("-inf")
        self.thread: threading.Thread | None = None

    def see(self) -> None:
        """Somebody looks: the provider is asked again and again, until nobody has looked for a while."""
        self.looked = time.monotonic()
        if self.thread is None or not self.thread.is_alive():
            self.thread = threading.Thread(target=self.follow, name=f"jobs of {self.name}", daemon=True)
            self.thread.start()

    def follow(self) -> None:
        while time.monotonic() - self.looked < LOOKED_S:
            self.look()
            time.sleep(EVERY_S.get(self.name, SELDOM_S))

    def look(self) -> None:
        try:
            with self.lock:
                self.jobs = list(itertools.islice(self.provider().list(()), LIMIT))
                running = [job for job in self.jobs if job.started_at and not job.phase.is_final]
                self.lines = {str(job.handle): self.newest_line(job.handle) for job in running}
            self.problem, self.is_unknown, self.has_answered = "", False, True
        except JobError as err:
            self.problem, self.is_unknown = str(err), True
        except MindLiftError as err:
            self.problem, self.is_unknown = str(err), False
        except ModuleNotFoundError as err:
            self.problem = f"the package {err.name} is not installed: pip install {err.name}"
            self.is_unknown = True

    def provider(self) -> Provider:
        if self.client is None:
            self.client = providers.load(job_file.read("", {"provider": self.name}, "ui"))
        return self.client

    def newest_line(self, handle: Handle) -> str:
        tail = self.tails.setdefault(str(handle), LogTail(self.provider(), handle))
        return " ".join(map(shown, tail.read(has_ended=False)))

    def job(self, handle: str) -> Status | None:
        return next((job for job in self.jobs if str(job.handle) == handle), None)

    def log(self, job: Status, node: int, after: int) -> Lines:
        """Lines from number `after` on; below 0: all that are kept."""
        parts = list(range(max(1, job.nodes)))
        if node not in parts:
            return Lines(parts=parts, note=gettext("the job has {0} nodes", len(parts)))
        with self.lock:
            log = self.logs.setdefault((str(job.handle), node), JobLog())
            if time.monotonic() - log.read_at > LOG_S:
                self.read_log(job, node, log)
            first = log.count - len(log.lines)
            lines = list(itertools.islice(log.lines, max(0, after - first), None))
            return Lines(lines, log.count, parts, log.note)

    def read_log(self, job: Status, node: int, log: JobLog) -> None:
        log.note = ""
        try:
            for _ in range(MOST_PAGES):
                page = self.provider().logs(job.handle, node, log.place, job.phase.is_final)
                log.place = page.place
                log.lines.extend(map(shown, page.lines))
                log.count += len(page.lines)
                if not page.has_more:
                    break
        except LogNotThere as err:
            log.note = localized(str(err))
        except MindLiftError as err:
            log.note = gettext("the log can't be read now: {0}", localized(str(err)))
        log.read_at = time.monotonic()


class Jobs:
    """The desks, and the runs of jobs that were opened, brought to folders below `scratch`."""

    def __init__(self, names: Sequence[str], scratch: Path):
        self.desks = {name: Desk(name) for name in names}
        self.scratch = scratch
        self.brought: dict[str, Brought] = {}
        self.lock = threading.Lock()

    def see(self) -> list[Desk]:
        for desk in self.desks.values():
            desk.see()
        return list(self.desks.values())

    def find(self, handle: str) -> tuple[Desk, Status] | None:
        """The job that a handle names, from the last list or asked for now; None if there is none."""
        try:
            parsed = handles.parse(handle)
        except JobError:
            return None
        desk = self.desks.get(parsed.provider)
        if desk is None or {".", ".."} & set(parsed.parts):
            return None
        desk.see()
        status = desk.job(str(parsed))
        if status is None:
            with desk.lock:
                status = RetryPolicy(DEADLINE_S).call(lambda: desk.provider().show(parsed))
        return desk, status

    def bring(self, job: Status) -> Brought:
        """The run of a job as it is here; it is brought in the background, again and again while the job runs."""
        name = str(job.handle)
        with self.lock:
            found = self.brought.setdefault(name, Brought())
            is_due = time.monotonic() - found.at > FETCH_S and not (found.was_final and found.root)
            if is_due and not found.is_under_way:
                found.is_under_way = True
                threading.Thread(
                    target=self.fetch, args=(name, found, job.phase.is_final), daemon=True
                ).start()
            return found

    def fetch(self, name: str, found: Brought, is_final: bool) -> None:
        try:
            found.root, found.problem = sources.of_job(name, self.scratch), ""
        except MindLiftError as err:
            found.problem = str(err)
        finally:
            found.at, found.was_final, found.is_under_way = time.monotonic(), is_final, False
