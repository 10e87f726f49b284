"""The contract of a provider, without a word of any of them. tests/contract/test_providers.py runs it on all."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from cloud.handle import Handle
from cloud.job import Job
from cloud.package import Package
from cloud.states import Phase


@dataclass(frozen=True)
class Check:
    """One line of `plan` and `selfcheck`. `ok` None: could not be found out here."""

    name: str
    ok: bool | None
    says: str
    advice: str = ""


@dataclass(frozen=True)
class Status:
    """A job as its service sees it now. Times are seconds since the epoch, 0 for not yet."""

    handle: Handle
    name: str
    phase: Phase
    raw: str  # the service's own word
    detail: str = ""  # secondary phase
    reason: str = ""  # why it waits or failed, in words
    created_at: float = 0.0
    started_at: float = 0.0
    duration_s: float = 0.0
    nodes: int = 1
    cards: int = 1
    restarts: int = 0
    train_url: str = ""

    def as_dict(self) -> dict[str, Any]:
        """What `--json` prints."""
        kept = {key: value for key, value in vars(self).items() if key not in ("handle", "phase")}
        return {"handle": str(self.handle), "phase": self.phase.value, **kept}


@dataclass(frozen=True)
class LogPage:
    """Whole lines of a node's log; `start` is the number of the first one, counted from 0.

    `start` behind what was asked for means that lines are gone; `end` before it that the log began anew.
    """

    start: int
    lines: Sequence[str] = ()

    @property
    def end(self) -> int:
        return self.start + len(self.lines)


@dataclass(frozen=True)
class Output:
    """Where the files of a job are: a URL of the store, or a folder that `download` has filled."""

    url: str = ""


@dataclass(frozen=True)
class Plan:
    """What submitting would send. `request` holds no secrets; `platform` is the contract that the job meets, '': none."""

    request: Mapping[str, Any]
    platform: str = ""


@dataclass(frozen=True)
class Price:
    """What a job costs: `amount` of `unit` `per` hour of the whole job."""

    amount: float
    unit: str
    per: str


class Provider(Protocol):
    """A place where jobs run. Methods raise Refused, Overloaded or NoAnswer, once; callers retry."""

    name: str
    longest_poll_s: float  # between two looks at a job of which nothing new is heard

    def complete(self, job: Job) -> Job:
        """`job` with the places that this provider chooses where the user has named none."""

    def reach_store(self) -> AbstractContextManager[None]:
        """obs:// URLs mean the job's store for the block: code goes there, results come from there."""

    def plan(self, job: Job, package: Package) -> Plan:
        """The exact request and where the code goes. Sends nothing that changes anything."""

    def check(self, job: Job, package: Package) -> Iterator[Check]:
        """What would make the service refuse the job, or the job fail, found out before anything is created."""

    def selfcheck(self, job: Job) -> Iterator[Check]:
        """Whether this computer and account can submit at all."""

    def create(self, job: Job, package: Package) -> Handle:
        """Create the job; the code is in place."""

    def find(self, job: Job) -> Handle | None:
        """The job that a `create` without an answer may have made, known by its name."""

    def show(self, handle: Handle) -> Status:
        """The job now; NoSuchJob if there is none."""

    def logs(self, handle: Handle, node: int, after: int) -> LogPage:
        """Lines of node `node` from number `after` on, as many as one request brings; none yet: an empty page."""

    def cancel(self, handle: Handle) -> None:
        """Ask the job to end. A job that has ended stays as it is."""

    def list(self, phases: Sequence[Phase]) -> Iterator[Status]:
        """My jobs, newest first; those in `phases`, all of them if it is empty."""

    def output(self, handle: Handle, folder: Path) -> Output:
        """Where results are. A service without a store brings them into `folder`."""


def seconds_since(start: float) -> float:
    return max(0.0, time.time() - start) if start else 0.0
