"""The body of `POST /{owner}/{repo}/ai_task/create`, and what is chosen for it by name. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mindlift.cloud.arguments import WORDS, WRITTEN_SO, start, starts_by_boot_file
from mindlift.cloud.errors import JobError
from mindlift.cloud.job import Job
from mindlift.cloud.json_types import Json
from mindlift.cloud.prepare.effects import NO_EFFECT, REFUSED, SENT
from mindlift.cloud.providers.base import Check
from mindlift.cloud.providers.openi.answers import Image, Spec

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{1,34}[a-z0-9-]")
SPEC = re.compile(r"\s*(\d+)\s*[x*×]\s*(.*\S)\s*", re.IGNORECASE)
REPO = re.compile(r"[^/\s]+/[^/\s]+")
QIZHI = "OpenICloudbrainTwo"
DESCRIPTION_BYTES = 1000
NO_VARIABLES = REFUSED + "OpenI gives jobs no variables of the user's"
MODELARTS_ONLY = NO_EFFECT + "ModelArts reads it, OpenI has no place for it"
KEYS_SENT = (
    "provider name description boot_file net dataset recipe cards nodes endpoint image repo branch cluster spec "
    "datasets models max_cost code args"
).split()
# What becomes of each key of a job. A refused one is an error where it is given, with what to do after the `;`.
EFFECTS = {
    "retries": REFUSED + "OpenI does not start a failed job again; leave it out, and submit again",
    "environment": NO_VARIABLES + "; use recipe",
    "secrets": NO_VARIABLES + "; leave it out",
    "data_url": REFUSED + "OpenI brings data by name; set datasets: [owner/name]",
    "train_url": REFUSED + "OpenI keeps results itself; leave it out; fetch brings them",
    "pretrained": REFUSED + "OpenI brings models by name; set models: [owner/name]",
    "code_url": REFUSED + "OpenI trains the code of its repository; leave it out, and git push",
    "log_url": REFUSED + "OpenI keeps logs itself; leave it out; logs brings them",
    "max_hours": REFUSED + "OpenI ends no training job by time, so that it would run on and take points; "
    "leave it out, limit epochs in recipe, or watch it and cancel",
    "launcher": REFUSED + "OpenI starts the ranks itself, by a rank table; leave it out",
    "command": REFUSED + "OpenI starts a Python file; set boot_file",
    "requirements": REFUSED
    + "OpenI installs nothing; install it in the program, or choose an image that has it",
    "exclude": NO_EFFECT + "OpenI trains what was pushed",
    "inputs": REFUSED + "OpenI brings data by name; set datasets: [owner/name]",
    "outputs": REFUSED + "OpenI keeps what is in /cache/output (启智: train_url) itself; leave it out",
    "resume": REFUSED + "OpenI gives no job the output of another; leave it out",
    "keep": REFUSED + "OpenI gives jobs no store of the user's; leave it out",
    "paths": REFUSED + "it is of keep, which OpenI does not have; leave it out",
    "rehearsal_args": NO_EFFECT + "only a rehearsal reads it",
    "access": NO_EFFECT + "OpenI says where data and results are in its own way",
    "annotations": MODELARTS_ONLY,
    "region": MODELARTS_ONLY,
    "project_id": MODELARTS_ONLY,
    "workspace_id": MODELARTS_ONLY,
    "flavor": NO_EFFECT + "ModelArts' name of a machine; OpenI's is chosen by spec and cards",
    "pool_id": NO_EFFECT + "ModelArts' dedicated pool; OpenI chooses a queue by the machine",
    "engine": NO_EFFECT + "ModelArts' engine; OpenI's image is set by image",
    "platform": NO_EFFECT + "only a rehearsal reads it",
    "python": NO_EFFECT + "only a rehearsal reads it",
    "isolation": NO_EFFECT + "only a rehearsal reads it",
    "restart": NO_EFFECT + "only a rehearsal reads it",
    "allow_dirty": NO_EFFECT + "OpenI trains what was pushed, without changes that are not committed",
    "wheels": NO_EFFECT
    + "OpenI trains what was pushed: push a folder wheels/ with what `pip download` brings",
    **{name: SENT for name in KEYS_SENT},
}


@dataclass(frozen=True)
class Chosen:
    """What the service calls the things that a job names."""

    spec: Spec
    image: Image
    datasets: tuple[str, ...] = ()
    models: tuple[str, ...] = ()


def body(job: Job, chosen: Chosen) -> dict[str, Json]:
    """The fields that the server reads, and no others: it would ignore them without a word."""
    pairs = [word[2:].partition("=") for word in start(job).words]
    labels = [{"label": name, "value": value.strip()} for name, _, value in pairs]
    return {
        "job_type": "TRAIN",
        "display_job_name": job.name,
        "spec_id": chosen.spec["id"],
        "compute_source": "NPU",
        "cluster": job.cluster,
        "work_server_number": job.nodes,
        "branch_name": job.branch,
        "boot_file": start(job).boot_file,
        "image_id": str(chosen.image.get("image_id", "")),
        "image_url": chosen.image.get("image_url", ""),
        "image_name": chosen.image.get("image_name", ""),
        "dataset_uuid_str": ";".join(chosen.datasets),
        "pretrain_model_id_str": ";".join(chosen.models),
        "params": json.dumps({"parameter": labels}, ensure_ascii=False),
        "description": job.description,
        "has_internet": 0,
    }


def repo_of(job: Job) -> tuple[str, str]:
    if not REPO.fullmatch(job.repo):
        raise JobError(f"repo is {job.repo!r}; OpenI trains the code of a repository: set repo: owner/name")
    owner, _, name = job.repo.partition("/")
    return owner, name


def choose_spec(specs: Sequence[Spec], job: Job) -> Spec:
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


def spec_type(spec: Spec) -> str:
    """`Ascend 910` and `ASCEND910` are one."""
    return squeezed(str(spec.get("acc_card_type", "")))


def squeezed(text: str) -> str:
    return re.sub(r"[\s_-]+", "", text).lower()


def describe_spec(spec: Spec) -> str:
    return f"{spec.get('acc_cards_num')} x {spec.get('acc_card_type')}"


def choose_image(images: Sequence[Image], wanted: str) -> Image:
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


def names_of(images: Sequence[Image]) -> str:
    names = [str(image.get("image_name")) for image in images]
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "") or "none"


def checks(job: Job) -> Iterator[Check]:
    """What OpenI has no place for, or would refuse by the form of the request."""
    if not NAME.fullmatch(job.name):
        yield Check(
            "name",
            False,
            f"{job.name!r} is not one of OpenI's names",
            "3 to 36 lower-case letters, digits, - and _, beginning with a letter or digit",
        )
    length = len(job.description.encode())
    if length > DESCRIPTION_BYTES:
        says = f"{length} bytes, but OpenI takes {DESCRIPTION_BYTES}"
        yield Check("description", False, says, "a shorter one; a Chinese character takes 3")
    if starts_by_boot_file(job):
        yield Check("args", False, WORDS, WRITTEN_SO)
    for label in job.recipe:
        if " " in label:
            yield Check("recipe", False, f"{label!r} has a space, which OpenI drops", "rename it")


def forms(job: Job) -> Iterator[Check]:
    """Whether repository, machine and image are named in a way that can be looked up."""
    for name, look in (("repo", repo_of), ("spec", wanted_spec)):
        try:
            look(job)
        except JobError as err:
            yield Check(name, False, str(err))
    if not job.image:
        yield Check("image", False, "image is not set", "name one of OpenI's images, such as mindspore")
