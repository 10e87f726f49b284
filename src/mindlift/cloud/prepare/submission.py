"""From a job to its handle: checks, the cost, a place in the queue, the code, and one creation."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from mindlift.cloud import show
from mindlift.cloud.errors import Refused
from mindlift.cloud.handle import Handle
from mindlift.cloud.job import Job
from mindlift.cloud.prepare import bucket, cost, inputs, preflight
from mindlift.cloud.prepare import package as packages
from mindlift.cloud.prepare.creation import create_once
from mindlift.cloud.prepare.package import Package
from mindlift.cloud.providers.base import Check, Provider
from mindlift.cloud.retry import RetryPolicy

QUOTA = "quota"  # the check that fails while too many jobs run
POLL_S = 60.0


@dataclass
class Submission:
    """`queues`: wait while the service runs as many of my jobs as it may; `is_agreed`: above max_cost, too."""

    provider: Provider
    retry: RetryPolicy
    say: Callable[[str], None]
    queues: bool = False
    is_agreed: bool = False
    timeout_s: float = float("inf")
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def run(self, job: Job, package: Package) -> Handle:
        """JobError for a job that can't be as it is; nothing was created then."""
        started, said = self.clock(), ""
        while True:
            why = self.check(job, package)
            if not why:
                try:
                    return self.create(job, package)
                except Refused as err:
                    if not self.queues or err.code not in self.provider.full_codes:
                        raise
                    why = str(err)
            if self.clock() + POLL_S - started > self.timeout_s:
                raise preflight.refusal(
                    [Check(QUOTA, False, f"no place after {show.duration(self.clock() - started)}: {why}")]
                )
            if why != said:
                self.say(f"waiting for a place: {why}; Ctrl-C leaves the queue, and nothing was created")
                said = why
            self.sleep(POLL_S)

    def check(self, job: Job, package: Package) -> str:
        """'' for a job that can be created now, else why it has to wait."""
        failed = preflight.failed(preflight.all_checks(job, package, self.provider, True))
        if [check for check in failed if check.name != QUOTA or not self.queues]:
            raise preflight.refusal(failed)
        if failed:
            return failed[0].says
        estimate = cost.estimate(job, self.retry.call(lambda: self.provider.price(job)))
        self.say(f"cost: {estimate.says}")
        cost.demand_limit(job, estimate, self.is_agreed)
        return ""

    def create(self, job: Job, package: Package) -> Handle:
        with self.provider.reach_store():
            if job.code_url:
                done = packages.sync(package, job.code_url)
                sent = f"{done.sent} files sent ({show.size(done.sent_bytes)}), {done.kept} there already"
                self.say(f"code: {sent} -> {job.code_url}")
                inputs.upload(job, self.say)
            if self.provider.bucket_needs(job):
                bucket.make_folders(job)
            return create_once(self.provider, job, package, self.retry)
