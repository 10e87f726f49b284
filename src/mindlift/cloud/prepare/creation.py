"""Creating a job once, whatever the network does to the answers."""

from __future__ import annotations

from mindlift.cloud.errors import NoAnswer, Overloaded
from mindlift.cloud.handle import Handle
from mindlift.cloud.job import Job
from mindlift.cloud.prepare.package import Package
from mindlift.cloud.providers.base import Provider
from mindlift.cloud.retry import RetryPolicy

LOOKS = (2.0, 4.0, 8.0, 16.0, 30.0)  # seconds before each look for a job that may have been created


def create_once(provider: Provider, job: Job, package: Package, retry: RetryPolicy) -> Handle:
    """The created job. The request is repeated only where the answer proves that nothing was created.

    After any other lost answer the job is looked up by its name, which was free before. NoAnswer if it does
    not appear within a minute: then the user has to look.
    """

    def attempt() -> Handle | None:
        try:
            return provider.create(job, package)
        except (NoAnswer, Overloaded) as err:
            if err.created_nothing:
                raise
            retry.say(f"{err}; looking whether the job was created")
            return None

    return retry.call(attempt) or looked_up(provider, job, retry)


def looked_up(provider: Provider, job: Job, retry: RetryPolicy) -> Handle:
    for pause in LOOKS:
        retry.sleep(pause)
        if found := retry.call(lambda: provider.find(job)):
            return found
    raise NoAnswer(
        f"create job {job.name}: the answer was lost, and no job of that name appeared within a minute; "
        f"`list` shows whether it comes later, and a second submission needs another name until then"
    )
