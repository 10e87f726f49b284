"""Jobs of ModelArts' double and its client, as its tests ask for them."""

from __future__ import annotations

import re
from typing import Any

from mindlift.cloud.handle import Handle
from mindlift.cloud.job import Job
from mindlift.cloud.job_rules import finished
from mindlift.cloud.prepare.package import Package
from mindlift.cloud.providers.modelarts.client import ModelArts
from mindlift.cloud.providers.modelarts.session import Session
from tests.doubles.modelarts import ENGINE, ModelArtsDouble

PACKAGE = Package("r" * 40, False, {"train.py": b"print()\n"})
HANDLE = Handle("modelarts", ("cn-north-4", "p", "id"))
MINE = re.compile(r"HUAWEI|OBS_|AWS_|S3_|OS_REGION|ACCESS_KEY|SECRET_ACCESS|SECURITY_TOKEN|CREDENTIAL")


def job_of(double: ModelArtsDouble, **changes: object) -> Job:
    values: dict[str, Any] = {
        "provider": "modelarts",
        "name": "first",
        "endpoint": double.endpoint,
        "project_id": double.project_id,
        "flavor": "modelarts.kat1.8xlarge",
        "engine": ENGINE,
        "cards": 8,
        "train_url": "obs://bucket/run/",
        "data_url": "obs://bucket/data/",
        **changes,
    }
    return finished(Job(**values))


def provider(job: Job, timeout_s: float = 10) -> ModelArts:
    return ModelArts(Session(job, timeout_s=(timeout_s, timeout_s)))


def created(double: ModelArtsDouble, **changes: object) -> tuple[ModelArts, Handle]:
    job = job_of(double, **changes)
    service = provider(job)
    return service, service.create(job, PACKAGE)


def found_id(service: ModelArts, job: Job) -> str:
    found = service.find(job)
    return found.id if found else ""


def failed(double: ModelArtsDouble, **changes: object) -> dict[str, str]:
    """The checks that fail, as name -> text."""
    job = job_of(double, **changes)
    found = [check for check in provider(job).check(job, PACKAGE) if check.ok is False]
    return {check.name: f"{check.says}; {check.advice}" for check in found}
