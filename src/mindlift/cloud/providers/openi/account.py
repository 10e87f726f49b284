"""What an account may create at OpenI, and the service's numbers for what a job names."""

from __future__ import annotations

from collections.abc import Iterator

from mindlift.cloud.errors import JobError
from mindlift.cloud.job import Job
from mindlift.cloud.prepare.package import Package
from mindlift.cloud.providers.base import Check, Price
from mindlift.cloud.providers.openi import request
from mindlift.cloud.providers.openi.answers import (
    DATASET,
    IMAGES,
    MODEL,
    REQUIRED,
    Image,
    Named,
    Required,
    Spec,
)
from mindlift.cloud.providers.openi.rest import Rest
from mindlift.cloud.show import size

GB = 1 << 30


def required(rest: Rest, job: Job) -> Required:
    """What can be created now."""
    return rest.get("what can be created", REQUIRED, **query_of(job))


def query_of(job: Job) -> dict[str, str]:
    return {"job_type": "TRAIN", "compute_source": "NPU", "cluster_type": job.cluster}


def specs_of(needs: Required) -> list[Spec]:
    return (needs.get("specs") or {}).get("all") or []


def price_of(needs: Required, job: Job) -> Price | None:
    """What an hour of the job costs; None where no machine fits, or the service names no price of it."""
    if needs.get("pay_switch") is False:
        return Price(0.0, "points", "hour")
    try:
        unit_price = request.choose_spec(specs_of(needs), job).get("unit_price")
    except JobError:
        return None
    return None if unit_price is None else Price(float(unit_price) * job.nodes, "points", "hour")


def account_checks(needs: Required, job: Job, package: Package | None) -> Iterator[Check]:
    yield quota(needs)
    if points := points_check(needs, price_of(needs, job)):
        yield points
    allowed = needs.get("allowed_worker_num") or [1]
    if job.nodes not in allowed:
        yield Check(
            "nodes",
            False,
            f"{job.nodes} nodes, but this account may use {', '.join(map(str, allowed))}",
            "ask for the right, or use fewer",
        )
    limit_gb = needs.get("code_size_limit")
    if package and limit_gb:
        yield Check(
            "code size",
            package.size_bytes <= limit_gb * GB,
            f"{size(package.size_bytes)} of {limit_gb} GB",
            "keep data out of the repository",
        )
    if needs.get("wait_count"):
        yield Check("queue", True, f"{needs['wait_count']} jobs are waiting")


def quota(needs: Required) -> Check:
    running, limit = needs.get("not_stop_task_count"), needs.get("limit_count")
    is_full = limit is not None and running is not None and running >= limit
    may = needs.get("can_create_more", True) and not is_full
    return Check("quota", bool(may), f"{running} of {limit} jobs in use", "wait for one to end, or cancel it")


def points_check(needs: Required, price: Price | None) -> Check | None:
    """The balance has to cover an hour of the job; None where nothing is paid."""
    balance = (needs.get("point_account") or {}).get("balance")
    if not needs.get("pay_switch") or balance is None:
        return None
    if price is None:
        return Check("points", None, f"{balance:g} points; the price of this job is not known")
    return Check(
        "points",
        balance >= price.amount,
        f"{balance:g} points, the job takes {price.amount:g} an hour",
        "OpenI asks for the points of an hour: earn or buy some, or choose a smaller machine",
    )


def machines(needs: Required, job: Job) -> Check:
    """Those of the cluster, each once with its lowest price."""
    prices: dict[str, float | None] = {}
    for spec in specs_of(needs):
        name, price = request.describe_spec(spec), spec.get("unit_price")
        known = prices.get(name)
        prices[name] = price if known is None else min(known, price if price is not None else known)
    shown = [
        name if price is None else f"{name} ({price:g} points per hour)"
        for name, price in sorted(prices.items())
    ]
    return Check("machines", bool(shown), ", ".join(shown) or f"none on {job.cluster}")


def chosen_for(rest: Rest, job: Job, needs: Required) -> request.Chosen:
    """The spec, image, data sets and models that a job names; JobError for what is not there."""
    spec = request.choose_spec(specs_of(needs), job)
    image = request.choose_image(images_for(rest, job, needs, spec), job.image)
    datasets = tuple(dataset_id(rest, name) for name in job.datasets)
    return request.Chosen(spec, image, datasets, tuple(model_id(rest, name) for name in job.models))


def images_for(rest: Rest, job: Job, needs: Required, spec: Spec) -> list[Image]:
    """启智 has the same images for every machine, and its server looks a spec up under another cluster's name."""
    if job.cluster == request.QIZHI:
        return needs.get("images") or []
    answer = rest.get(
        "list images",
        IMAGES,
        **query_of(job),
        spec_id=spec["id"],
        has_internet=0,
    )
    return answer.get("images") or []


def dataset_id(rest: Rest, name: str) -> str:
    return id_of(rest.get(f"look up dataset {name}", DATASET, dataset_name=name), "dataset", name)


def model_id(rest: Rest, name: str) -> str:
    return id_of(rest.get(f"look up aimodel {name}", MODEL, aimodel_name=name), "aimodel", name)


def id_of(found: Named, kind: str, name: str) -> str:
    if not found.get("id"):
        raise JobError(f"OpenI has no {kind} {name!r} that this account may read; write owner/name")
    return str(found["id"])
