"""What a job will cost, as far as its service tells, and the user's limit."""

from __future__ import annotations

from dataclasses import dataclass

from mindlift.cloud.errors import JobError
from mindlift.cloud.job import Job
from mindlift.cloud.providers.base import Check, Price


@dataclass(frozen=True)
class Cost:
    """`total` is None where the price or the time is not limited or not known."""

    total: float | None
    says: str

    def as_check(self) -> Check:
        return Check("cost", True if self.total is not None else None, self.says)


def estimate(job: Job, price: Price | None) -> Cost:
    """The price for `max_hours`: the most that the job costs if the service ends it in time."""
    if price is None:
        return Cost(None, "the service does not tell the price of this machine")
    rate = f"{price.amount:g} {price.unit} per {price.per}"
    if not job.max_hours:
        return Cost(
            0.0 if not price.amount else None, f"{rate}, for as long as the job runs: max_hours is not set"
        )
    total = price.amount * job.max_hours
    return Cost(total, f"{rate} x {job.max_hours:g} h = {total:g} {price.unit} at most")


def demand_limit(job: Job, cost: Cost, is_agreed: bool) -> None:
    """JobError for a job that costs more than `max_cost`, or nobody knows how much, unless the user has agreed."""
    if not job.max_cost or is_agreed or (cost.total is not None and cost.total <= job.max_cost):
        return
    what = (
        f"more than max_cost {job.max_cost:g}"
        if cost.total is not None
        else "no limit that max_cost could hold"
    )
    raise JobError(
        f"cost: {cost.says}, {what}; raise max_cost, change max_hours, or agree with --yes (nothing was created)"
    )
