"""Creating a job once, whatever the network does to the answers."""

from __future__ import annotations

from collections.abc import Callable

from cloud.errors import NoAnswer, Overloaded, Refused
from cloud.handle import Handle
from cloud.job import Job
from cloud.package import Package
from cloud.patience import Patience
from cloud.providers.base import Provider

SETTLES_S = 2.0  # until a job that was created without an answer can be found


def create_once(provider: Provider, job: Job, package: Package, patience: Patience) -> Handle:
    """The created job. After a lost answer it is looked up by its name before anything is sent again.

    Its name was free before, so a job of that name is this one.
    """
    may_exist = False

    def attempt() -> Handle:
        nonlocal may_exist
        if may_exist and (found := find_twice(provider, job, patience.sleep)):
            return found
        try:
            return provider.create(job, package)
        except (NoAnswer, Overloaded):
            may_exist = True
            raise
        except Refused:
            # the one before may have arrived late, and this one met its name
            if may_exist and (found := find_twice(provider, job, patience.sleep)):
                return found
            raise

    try:
        return patience.call(attempt)
    except (NoAnswer, Overloaded):
        if found := provider.find(job):
            return found
        raise


def find_twice(provider: Provider, job: Job, sleep: Callable[[float], None]) -> Handle | None:
    found = provider.find(job)
    if found is None:
        sleep(SETTLES_S)
        found = provider.find(job)
    return found
