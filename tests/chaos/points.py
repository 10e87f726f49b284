"""The points: how many each scenario has, and what each is drawn from."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.jobs import BucketJob, Job
from tests.chaos.trainings import ONE, Kind, Shared
from tests.support.fault_proxy import FaultProxy
from tests.support.servers import Store

SEED = int(os.environ.get("MINDLIFT_CHAOS_SEED", "24"))


@dataclass
class Point:
    """One accident: where it happens, and the numbers from which it is drawn."""

    scenario: str
    index: int
    shared: Shared
    folder: Path
    store: Store
    bucket: str
    proxy: FaultProxy
    jobs: list[Job] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = random.Random(f"{SEED} {self.scenario} {self.index}")

    def say(self, *words: object) -> None:
        """What was drawn, for the one that reads a failure."""
        print(f"{self.scenario} {self.index}:", *words)

    def job(self, kind: Kind = ONE) -> Job:
        return self.kept(Job(kind, self.shared, self.folder / f"job-{len(self.jobs)}"))

    def bucket_job(self, kind: Kind = ONE, endpoint: str = "") -> BucketJob:
        folder = self.folder / f"job-{len(self.jobs)}"
        job = BucketJob(kind, self.shared, folder, self.store, self.bucket, endpoint)
        self.kept(job)
        return job

    def kept(self, job: Job) -> Job:
        self.jobs.append(job)
        return job
