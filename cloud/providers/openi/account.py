"""What an account may create at OpenI, and the service's numbers for what a job names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cloud.errors import JobError
from cloud.job import Job
from cloud.package import Package
from cloud.providers.base import Check
from cloud.providers.openi import request
from cloud.providers.openi.rest import Rest


def required(rest: Rest, job: Job) -> dict[str, Any]:
    """What can be created now."""
    return rest.get("what can be created", "/ai_task/creation/required", **query_of(job))


def query_of(job: Job) -> dict[str, Any]:
    return {"job_type": "TRAIN", "compute_source": "NPU", "cluster_type": job.cluster}


def account_checks(needs: dict[str, Any], job: Job, package: Package | None) -> Iterator[Check]:
    running, limit = needs.get("not_stop_task_count"), needs.get("limit_count")
    may = needs.get("can_create_more", True) and not (limit and running is not None and running >= limit)
    yield Check("quota", bool(may), f"{running} of {limit} jobs in use", "wait for one to end, or cancel it")
    points = (needs.get("point_account") or {}).get("balance")
    if needs.get("pay_switch") and points is not None:
        yield Check("points", points > 0, f"{points} points", "the account needs points")
    allowed = needs.get("allowed_worker_num") or [1]
    if job.nodes not in allowed:
        yield Check(
            "nodes",
            False,
            f"{job.nodes} nodes, but this account may use {', '.join(map(str, allowed))}",
            "ask for the right, or use fewer",
        )
    size = needs.get("code_size_limit")
    if package and size:
        yield Check(
            "code size",
            package.size_bytes <= size,
            f"{package.size_bytes} of {size} bytes",
            "keep data out of the repository",
        )
    if needs.get("wait_count"):
        yield Check("queue", True, f"{needs['wait_count']} jobs are waiting")


def chosen_for(rest: Rest, job: Job) -> request.Chosen:
    """The spec, image, data sets and models that a job names; JobError for what is not there."""
    spec = request.choose_spec((required(rest, job).get("specs") or {}).get("all") or [], job)
    answer = rest.get(
        "list images",
        "/ai_task/creation/image_by_spec",
        **query_of(job),
        spec_id=spec["id"],
        has_internet=0,
    )
    image = request.choose_image(answer.get("images") or [], job.image)
    datasets = tuple(id_of(rest, "dataset", name) for name in job.datasets)
    return request.Chosen(spec, image, datasets, tuple(id_of(rest, "aimodel", name) for name in job.models))


def id_of(rest: Rest, kind: str, name: str) -> str:
    found = rest.get(f"look up {kind} {name}", f"/{kind}", **{f"{kind}_name": name})
    if not found.get("id"):
        raise JobError(f"OpenI has no {kind} {name!r} that this account may read; write owner/name")
    return str(found["id"])
