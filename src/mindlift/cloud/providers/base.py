"""The contract of a provider, without a word of any of them. tests/contract/test_providers.py runs it on all."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Protocol

from mindlift.cloud.follow.log_text import Place
from mindlift.cloud.handle import Handle
from mindlift.cloud.job import Job
from mindlift.cloud.json_types import Json, JsonObject
from mindlift.cloud.prepare.package import Package
from mindlift.cloud.probe import Probe
from mindlift.cloud.states import Phase
from mindlift.runs.remote import Lifetime


@dataclass(frozen=True)
class Check:
    """One line of `plan` and `selfcheck`. `ok` None: could not be found out here."""

    name: str
    ok: bool | None
    says: str
    advice: str = ""


@dataclass(frozen=True)
class Needs:
    """What a service asks of the buckets that its jobs use."""

    region: str = ""  # '': any, or not known
    takes_encrypted: bool = True
    takes_file_systems: bool = True
    wants_empty_logs: bool = False


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
    outputs: Mapping[str, str] = field(default_factory=dict)  # where results go, by the name of the channel

    @property
    def train_url(self) -> str:
        """Where the first output goes; '' where the service keeps results itself."""
        return next(iter(self.outputs.values()), "")

    @property
    def lifetime(self) -> Lifetime:
        """When it ran, which tells its run from others of the same place."""
        ended = self.started_at + self.duration_s if self.phase.is_final else math.inf
        return Lifetime(self.started_at, ended)

    def as_dict(self) -> dict[str, Json]:
        """What `--json` prints."""
        kept = {key: value for key, value in vars(self).items() if key not in ("handle", "phase")}
        return {"handle": str(self.handle), "phase": self.phase.value, **kept, "train_url": self.train_url}


@dataclass(frozen=True)
class LogPage:
    """Whole lines of a node's log, and the place behind them, `{}` for the start.

    `note` says what is odd about these lines, such as that the log started again. `has_more`: ask again at once.
    """

    lines: Sequence[str] = ()
    place: Place = field(default_factory=lambda: Place())
    note: str = ""
    has_more: bool = False


@dataclass(frozen=True)
class Price:
    """What a job costs while it runs, all of its nodes together: `amount` in `unit` for each `per`."""

    amount: float
    unit: str  # such as CNY, or points
    per: str = "hour"


@dataclass(frozen=True)
class Output:
    """Where the files of a job are: URLs of the store by the name of the channel, or folders that were filled."""

    urls: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """What submitting would send. `request` holds no secrets; `platform` is the contract that the job meets, '': none."""

    request: JsonObject
    platform: str = ""


Question = Callable[[], object]


class Provider(Protocol):
    """A place where jobs run. Methods raise Refused, Overloaded or NoAnswer, once; callers retry."""

    @property
    def name(self) -> str: ...

    @property
    def longest_poll_s(self) -> float:
        """Between two looks at a job of which nothing new is heard."""

    @property
    def effects(self) -> Mapping[str, str]:
        """Of each key of a job file: see src/mindlift/cloud/prepare/effects.py."""

    @property
    def full_codes(self) -> frozenset[str]:
        """Of a creation that is refused because too many of my jobs run already."""

    def complete(self, job: Job) -> Job:
        """`job` with the places that this provider chooses where the user has named none."""

    def reach_store(self) -> AbstractContextManager[None]:
        """obs:// URLs mean the job's store for the block: code goes there, results come from there."""

    def plan(self, job: Job, package: Package, asks: bool = True) -> Plan:
        """The exact request and where the code goes. Without `asks` no connection is opened."""

    def offline_checks(self, job: Job, package: Package) -> Iterator[Check]:
        """What the request alone shows to be wrong. Opens no connection."""

    def bucket_needs(self, job: Job) -> Needs | None:
        """What the service asks of the buckets of a job; None where it does not reach them by itself."""

    def check(self, job: Job, package: Package) -> Iterator[Check]:
        """What would make the service refuse the job, or the job fail, found out by asking it."""

    def price(self, job: Job) -> Price | None:
        """What the service says that the job's machines cost; None where it does not tell."""

    def selfcheck(self, job: Job) -> Iterator[Check]:
        """Whether this computer and account can submit at all."""

    def create(self, job: Job, package: Package) -> Handle:
        """Create the job; the code is in place."""

    def find(self, job: Job) -> Handle | None:
        """The job that a `create` without an answer may have made, known by its name."""

    def show(self, handle: Handle) -> Status:
        """The job now; NoSuchJob if there is none."""

    def logs(self, handle: Handle, node: int, place: Place, has_ended: bool) -> LogPage:
        """Lines of node `node` behind `place`, as many as one request brings; none yet: an empty page.

        `has_ended`: nothing more is written to the log, so that a last line without an end is whole. LogNotThere
        where the service has no log (yet).
        """

    def cancel(self, handle: Handle) -> None:
        """Ask the job to end. A job that has ended stays as it is."""

    def list(self, phases: Sequence[Phase], limit: int | None = None) -> Iterator[Status]:
        """My jobs, newest first; those in `phases`, all of them if it is empty. No more than `limit`, and no more are asked for
        than the service has to be asked for.
        """

    def questions(self, job: Job, handle: Handle | None, probe: Probe) -> Iterator[tuple[str, Question]]:
        """Everything that this client asks of the service and that changes nothing; of a job, if `handle` names one.

        `probe` notes each answer, and is told what it has to hide.
        """

    def output(self, handle: Handle, folder: Path) -> Output:
        """Where results are. A service without a store brings them into `folder`."""


def page_size(limit: int | None, most: int) -> int:
    """Of equal pages of at most `most`, such that they have hardly more than `limit` together."""
    return most if limit is None else max(1, -(-limit // max(1, -(-limit // most))))


def seconds_since(start: float) -> float:
    return max(0.0, time.time() - start) if start else 0.0
