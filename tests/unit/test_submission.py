"""Submitting: what is checked first, what it may cost, and waiting for a place."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from mindlift.cloud.errors import Answer, JobError, Refused
from mindlift.cloud.handle import Handle
from mindlift.cloud.job import FIELDS, Job
from mindlift.cloud.prepare import cost
from mindlift.cloud.prepare.effects import SENT
from mindlift.cloud.prepare.package import Package
from mindlift.cloud.prepare.submission import Submission
from mindlift.cloud.providers.base import Check, Price
from mindlift.cloud.retry import RetryPolicy

HANDLE = Handle("openi", ("me", "code", "7"))
PACKAGE = Package("r" * 40, False, {"train.py": b"print()\n"})
FULL = Check("quota", False, "1 of 1 jobs in use")
LATE = Refused(Answer("OpenI", "create job n", "2004", "you have a running task already"))


@dataclass
class Service:
    """What it says to each look; the last one again and again."""

    looks: list[list[Check]] = field(default_factory=lambda: [[]])
    creations: list[object] = field(default_factory=lambda: [HANDLE])
    offline: list[Check] = field(default_factory=list)
    costs: Price | None = None
    done: list[str] = field(default_factory=list)
    name = "openi"
    effects = dict.fromkeys(FIELDS, SENT)
    full_codes = frozenset({"2004"})

    def offline_checks(self, job, package) -> Iterator[Check]:
        yield from self.offline

    def check(self, job, package) -> Iterator[Check]:
        self.done.append("check")
        yield from self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]

    def bucket_needs(self, job) -> None:
        return None

    def price(self, job) -> Price | None:
        self.done.append("price")
        return self.costs

    def reach_store(self):
        return contextlib.nullcontext()

    def create(self, job, package):
        self.done.append("create")
        found = self.creations.pop(0)
        if isinstance(found, Exception):
            raise found
        return found


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def submit(service: Service, job: Job | None = None, **options: object) -> tuple[Handle, list[str], Clock]:
    said: list[str] = []
    clock = Clock()
    retry = RetryPolicy(clock=clock, sleep=clock.sleep)
    found = Submission(service, retry, said.append, sleep=clock.sleep, clock=clock, **options)
    return found.run(job or Job(name="n"), PACKAGE), said, clock


def test_a_job_that_is_wrong_by_itself_is_not_asked_about():
    service = Service(offline=[Check("name", False, "too long", "shorten it")])
    with pytest.raises(JobError, match="name: too long; shorten it .nothing was created.") as info:
        submit(service)
    assert service.done == []
    assert info.value.exit_code == 2


def test_without_queue_a_full_service_refuses():
    with pytest.raises(JobError, match="quota: 1 of 1 jobs in use"):
        submit(Service([[FULL]]))


def test_the_queue_waits_for_a_place():
    service = Service([[FULL], [FULL], []], [LATE, HANDLE])
    handle, said, clock = submit(service, queues=True)
    assert handle == HANDLE
    assert service.done.count("create") == 2, "somebody else was quicker the first time"
    assert clock.now == 180
    assert [line for line in said if line.startswith("waiting for a place: 1 of 1 jobs")] == [said[0]]


def test_the_queue_waits_for_nothing_else():
    with pytest.raises(JobError, match="points"):
        submit(Service([[FULL, Check("points", False, "0 points")]]), queues=True)
    with pytest.raises(Refused, match="2004"):
        submit(Service(creations=[LATE]))


def test_the_queue_ends_at_the_timeout():
    with pytest.raises(JobError, match="quota: no place after 10 min 00 s"):
        submit(Service([[FULL]]), queues=True, timeout_s=600)


COSTS = {  # price, max_hours, what is said, total
    "known": (Price(4, "points"), 2.5, "4 points per hour x 2.5 h = 10 points at most", 10),
    "no end": (
        Price(4, "points"),
        0,
        "4 points per hour, for as long as the job runs: max_hours is not set",
        None,
    ),
    "unknown": (None, 2, "the service does not tell the price of this machine", None),
    "nothing": (Price(0, "CNY"), 0, "0 CNY per hour, for as long as the job runs: max_hours is not set", 0),
}


@pytest.mark.parametrize("case", COSTS)
def test_estimates(case):
    price, hours, says, total = COSTS[case]
    assert cost.estimate(Job(max_hours=hours), price) == cost.Cost(total, says)


LIMITS = {  # price, max_hours, max_cost, agreed; what is refused
    "below": (Price(4, "points"), 2, 8, False, ""),
    "above": (Price(4, "points"), 3, 8, False, "12 points at most, more than max_cost 8; raise max_cost"),
    "above, agreed": (Price(4, "points"), 3, 8, True, ""),
    "no end": (Price(4, "points"), 0, 8, False, "max_hours is not set, no limit that max_cost could hold"),
    "unknown": (
        None,
        2,
        8,
        False,
        "does not tell the price of this machine, no limit that max_cost could hold",
    ),
    "no limit": (None, 0, 0, False, ""),
}


@pytest.mark.parametrize("case", LIMITS)
def test_a_limit_is_kept_before_anything_is_created(case):
    price, hours, most, is_agreed, says = LIMITS[case]
    service, job = Service(costs=price), Job(name="n", max_hours=hours, max_cost=most)
    if says:
        with pytest.raises(JobError, match=says):
            submit(service, job)
        assert "create" not in service.done
    else:
        assert submit(service, job, is_agreed=is_agreed)[0] == HANDLE
