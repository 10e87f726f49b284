"""What can be found wrong with a job before anything is sent: its options, its places, its secrets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from mindlift.cloud.arguments import own_options
from mindlift.cloud.errors import JobError
from mindlift.cloud.job import Job
from mindlift.cloud.job_rules import repeated, resolve_secrets
from mindlift.cloud.prepare import bucket, effects, images, inputs, program, secret_files
from mindlift.cloud.prepare.package import Package
from mindlift.cloud.providers.base import Check, Provider, Status
from mindlift.cloud.show import size
from mindlift.errors import MindLiftError
from mindlift.model_utils.config import config

NAMED = 3  # files of many


def offline_checks(job: Job, package: Package, provider: Provider) -> Iterator[Check]:
    """What the job alone shows to be wrong. Opens no connection."""
    yield code(package)
    yield from keys_in_code(package)
    taken = list(program.checks(job, package)) if job.is_program else [options(job)]
    yield from taken
    found = None if failed(taken) else images.check(job)
    if found:
        yield found
    yield from inputs.checks(job)
    yield secrets(job)
    yield from key_checks(job, provider.effects, provider.name)
    yield from provider.offline_checks(job, package)


def key_checks(job: Job, table: Mapping[str, str], provider: str) -> Iterator[Check]:
    """Keys that the provider has no place for, and options that the job gives twice."""
    yield from effects.checks(job, table, provider)
    for problem in repeated(job):
        yield Check("recipe", False, problem)


def online_checks(job: Job, package: Package, provider: Provider) -> Iterator[Check]:
    """What the store and the service say."""
    if job.bucket:
        with provider.reach_store():
            yield from bucket.check(job, provider.bucket_needs(job))
    if job.is_program:
        yield from program.requirements_check(job)
    yield from provider.check(job, package)


def all_checks(job: Job, package: Package, provider: Provider, asks: bool) -> Iterator[Check]:
    """Each check as it is made; `asks`: also those that need the service and the store.

    These come last, and not at all for a job that is wrong by itself.
    """
    is_right = True
    for check in offline_checks(job, package, provider):
        is_right = is_right and check.ok is not False
        yield check
    if asks and is_right:
        yield from online_checks(job, package, provider)


def code(package: Package) -> Check:
    dirty = " with uncommitted changes" if package.is_dirty else ""
    says = f"{len(package.files)} files, {size(package.size_bytes)}, revision {package.revision[:12]}{dirty}"
    new = f"; new to git: {listed(package.untracked)}" if package.untracked else ""
    left_out = f"; left out: {'; '.join(package.left_out)}" if package.left_out else ""
    return Check("code", True, says + new + left_out)


def keys_in_code(package: Package) -> Iterator[Check]:
    found = list(secret_files.find(package.files))
    if found:
        yield Check(
            "keys in code",
            False,
            listed(found),
            "hand it over as a variable by secrets; where it is none, end the line with the comment gitleaks:allow",
        )


def listed(things: Sequence[object]) -> str:
    return ", ".join(map(str, things[:NAMED])) + (
        f" and {len(things) - NAMED} more" if len(things) > NAMED else ""
    )


def options(job: Job) -> Check:
    """Whether train.py would take the job's options."""
    arguments = [f"--{name}={value}" for name, value in own_options(job)]
    try:
        cfg = config.load(arguments, prog=job.boot_file)
    except MindLiftError as err:
        return Check(
            "options",
            False,
            str(err),
            f"correct net, dataset or recipe; {job.boot_file} --help lists the options",
        )
    is_embedded = job.dataset in cfg.option("dataset").embedded
    if job.boot_file == "train.py" and not (is_embedded or job.data_url or job.datasets):
        return Check(
            "options",
            False,
            f"dataset {job.dataset} needs data, but the job names none",
            "set data_url (OpenI: datasets)",
        )
    if job.boot_file == "eval.py" and not (job.pretrained or job.models or job.train_url):
        return Check(
            "options",
            False,
            "eval.py needs a checkpoint, but the job names none",
            "set pretrained (OpenI: models)",
        )
    return Check("options", True, f"{job.boot_file} takes them: {cfg.net} on {cfg.dataset}")


def in_use(job: Job, running: Iterable[Status]) -> Iterator[Check]:
    """Whether another job writes where this one would; `running` are those that have not ended."""
    users = {url.rstrip("/"): status.handle for status in running for url in status.outputs.values()}
    for name, url in job.results.items():
        user = users.get(url.rstrip("/"))
        says = f"{url} is in use by {user}" if user else f"no other job writes to {url}"
        yield Check(name, not user, says, f"wait for that job, cancel it, or choose another {name}")


def secrets(job: Job) -> Check:
    try:
        found = resolve_secrets(job)
    except JobError as err:
        return Check("secrets", False, str(err))
    return Check("secrets", True, f"{', '.join(found)} found" if found else "none asked for")


def failed(checks: Iterable[Check]) -> list[Check]:
    return [check for check in checks if check.ok is False]


def refusal(checks: Iterable[Check]) -> JobError:
    """The checks that failed, in one line."""
    lines = [
        f"{check.name}: {check.says}" + (f"; {check.advice}" if check.advice else "") for check in checks
    ]
    return JobError(" | ".join(lines) + " (nothing was created)")
