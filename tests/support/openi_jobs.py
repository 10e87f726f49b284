"""Jobs of OpenI's double and its client, as its tests ask for them."""

from __future__ import annotations

from pathlib import Path

from mindlift.cloud import providers
from mindlift.cloud.handle import Handle
from mindlift.cloud.job import Job
from mindlift.cloud.prepare.package import Package
from mindlift.cloud.providers.openi.client import OpenI
from tests.doubles.openi import OpenIDouble

TOKEN = "0123456789abcdef-secret"
# With a service.


PACKAGE = Package("0" * 40, False, {"train.py": b"x"})


def job_at(double: OpenIDouble, **changes: object) -> Job:
    job = Job(
        provider="openi",
        endpoint=double.endpoint,
        name="job-one",
        repo="me/code",
        branch="main",
        image="mindspore",
    )
    return job.replace(**changes)


def client_of(job: Job) -> OpenI:
    found = providers.load(job)
    assert isinstance(found, OpenI)
    return found


def created(double: OpenIDouble, **changes: object) -> tuple[OpenI, Handle]:
    job = job_at(double, **changes)
    return client_of(job), client_of(job).create(job, PACKAGE)


def result(tmp_path: Path, handle: Handle, name: str) -> None:
    path = tmp_path / "results" / handle.id / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}")


def sent_creations(double: OpenIDouble) -> list[dict]:
    return [call.json() for call in double.requests if call.path.endswith("/create")]


def checks_of(double: OpenIDouble, package: Package = PACKAGE, **changes: object) -> dict[str, tuple]:
    job = job_at(double, **changes)
    return {check.name: (check.ok, check.says) for check in client_of(job).check(job, package)}
