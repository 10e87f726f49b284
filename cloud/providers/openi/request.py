"""The body of `POST /{owner}/{repo}/ai_task/create`, and what is chosen for it by name. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cloud.errors import JobError
from cloud.job import Job, parameters
from cloud.providers.base import Check

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{1,34}[a-z0-9-]")
SPEC = re.compile(r"\s*(\d+)\s*[x*×]\s*(.*\S)\s*", re.IGNORECASE)
QIZHI = "OpenICloudbrainTwo"
OF_THE_PLATFORM = {
    QIZHI: ("data_url", "train_url", "multi_data_url", "pretrain_url", "ckpt_url", "result_url")
}


@dataclass(frozen=True)
class Chosen:
    """What the service calls the things that a job names."""

    spec: dict[str, Any]
    image: dict[str, Any]
    datasets: tuple[str, ...] = ()
    models: tuple[str, ...] = ()


def body(job: Job, chosen: Chosen) -> dict[str, Any]:
    owner, repo = repo_of(job)
    labels = [{"label": name, "value": value.strip()} for name, value in arguments(job)]
    return {
        "job_type": "TRAIN", "display_job_name": job.name, "spec_id": chosen.spec["id"], "compute_source": "NPU",
        "cluster": job.cluster, "work_server_number": job.nodes, "branch_name": job.branch, "boot_file": job.boot_file,
        "image_id": str(chosen.image.get("image_id", "")), "image_url": chosen.image.get("image_url", ""),
        "image_name": chosen.image.get("image_name", ""), "dataset_uuid_str": ";".join(chosen.datasets),
        "pretrain_model_id_str": ";".join(chosen.models), "params": json.dumps({"parameter": labels}, ensure_ascii=False),
        "description": job.description, "has_internet": 0, "repoOwnerName": owner, "repoName": repo,
    }  # fmt: skip


def arguments(job: Job) -> list[tuple[str, str]]:
    """The job's options without those that the cluster appends by itself."""
    own = OF_THE_PLATFORM.get(job.cluster, ())
    return [(name, value) for name, value in parameters(job) if name not in own]


def repo_of(job: Job) -> tuple[str, str]:
    owner, _, name = job.repo.partition("/")
    if not owner or not name or "/" in name:
        raise JobError(f"repo is {job.repo!r}; OpenI trains the code of a repository: set repo: owner/name")
    return owner, name


def choose_spec(specs: Sequence[dict[str, Any]], job: Job) -> dict[str, Any]:
    """The machine that fits `8 x Ascend 910`, the cheapest of several; JobError with what there is."""
    cards, kind = wanted_spec(job)
    fitting = [spec for spec in specs if spec.get("acc_cards_num") == cards and kind in spec_type(spec)]
    if not fitting:
        there = ", ".join(sorted({describe_spec(spec) for spec in specs})) or "none"
        raise JobError(
            f"spec: no machine with {cards} x {kind or 'any card'} on {job.cluster}; there is {there}"
        )
    return min(fitting, key=lambda spec: (spec.get("unit_price") or 0, spec["id"]))


def wanted_spec(job: Job) -> tuple[int, str]:
    if not job.spec:
        return job.cards, "ascend"
    match = SPEC.fullmatch(job.spec)
    if not match:
        raise JobError(f"spec is {job.spec!r}; write it as '8 x Ascend 910': the numbers of machines change")
    if int(match[1]) != job.cards:
        raise JobError(f"{job.cards} cards asked of spec {job.spec!r}; make them equal")
    return int(match[1]), squeezed(match[2])


def spec_type(spec: dict[str, Any]) -> str:
    """`Ascend 910` and `ASCEND910` are one."""
    return squeezed(str(spec.get("acc_card_type", "")))


def squeezed(text: str) -> str:
    return re.sub(r"[\s_-]+", "", text).lower()


def describe_spec(spec: dict[str, Any]) -> str:
    return f"{spec.get('acc_cards_num')} x {spec.get('acc_card_type')}"


def choose_image(images: Sequence[dict[str, Any]], wanted: str) -> dict[str, Any]:
    """The image of that name, or the only one that has it in its name."""
    if not wanted:
        raise JobError(f"image is not set; there is {names_of(images)}")
    exact = [image for image in images if image.get("image_name") == wanted]
    found = exact or [image for image in images if wanted.lower() in str(image.get("image_name", "")).lower()]
    if len(found) != 1:
        raise JobError(
            f"image {wanted!r} fits {'none' if not found else 'several'} of {names_of(found or images)}; name one"
        )
    return found[0]


def names_of(images: Sequence[dict[str, Any]]) -> str:
    names = [str(image.get("image_name")) for image in images]
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "") or "none"


def checks(job: Job) -> Iterator[Check]:
    """What OpenI has no place for, or would refuse by the form of the request."""
    if not NAME.fullmatch(job.name):
        yield Check("name", False, f"{job.name!r} is not one of OpenI's names",
                    "3 to 36 lower-case letters, digits, - and _, beginning with a letter or digit")  # fmt: skip
    refused = {
        "retries": (
            bool(job.retries),
            "OpenI does not start a failed job again",
            "leave it out, and submit again",
        ),
        "environment": (bool(job.environment), "OpenI gives jobs no variables of the user's", "use recipe"),
        "secrets": (bool(job.secrets), "OpenI gives jobs no variables of the user's", "leave it out"),
        "data_url": (bool(job.data_url), "OpenI brings data by name", "set datasets: [owner/name]"),
        "train_url": (bool(job.train_url), "OpenI keeps results itself", "leave it out; fetch brings them"),
        "pretrained": (bool(job.pretrained), "OpenI brings models by name", "set models: [owner/name]"),
    }
    for name, (is_given, says, advice) in refused.items():
        if is_given:
            yield Check(name, False, says, advice)
    for label, _ in parameters(job):
        if " " in label:
            yield Check("recipe", False, f"{label!r} has a space, which OpenI drops", "rename it")
