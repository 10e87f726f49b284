"""The body of `POST /v2/{project_id}/training-jobs`, and what the service would refuse in it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from cloud.job import Job, parameters
from cloud.package import Package
from cloud.providers.base import Check
from src.model_utils.moxing_shim.url import is_remote, parse

CARDS = {"xlarge": 1, "2xlarge": 2, "4xlarge": 4, "8xlarge": 8}
NAMED_FLAVOR = re.compile(r"modelarts\.(?:kat1|pool\.visual)\.(\w*xlarge)")
PARAMETER = re.compile(r"[A-Za-z0-9_-]{1,64}")
MOST_FILES, MOST_BYTES = 4096, 128 << 20  # of the code; pages disagree, these are the FAQ's
MANY_FILES, MANY_BYTES = 1000, 50 << 20
SWITCH = "MA_RUN_METHOD"  # the one variable of this prefix that users set


def body(job: Job, secrets: Mapping[str, str]) -> dict[str, Any]:
    """The request for `job`, its code at `job.code_url`; `secrets` are variables beside the job's own."""
    copies, access = job.access != "direct", access_of(job)
    algorithm = {
        **program(job), "engine": engine(job), "parameters": arguments(job, copies),
        "inputs": channels("data_url", job.data_url, access) if copies else [],
        "outputs": channels("train_url", job.train_url, access) if copies else [],
        "environments": variables(job, secrets),
    }  # fmt: skip
    metadata = {
        "name": job.name,
        "workspace_id": job.workspace_id,
        "description": job.description,
        "annotations": retry_notes(job),
    }
    return {"kind": "job", "metadata": filled(metadata), "algorithm": filled(algorithm), "spec": spec(job)}


def program(job: Job) -> dict[str, str]:
    """Preset engines start the boot file; an own image alone gets a command."""
    if job.image and not job.engine:
        folder = code_path(job)
        return {
            "code_dir": job_path(job.code_url), "local_code_dir": folder,
            "command": f"cd {folder} && python {job.boot_file} {' '.join(shell_arguments(job))}".strip(),
        }  # fmt: skip
    return {"code_dir": job_path(job.code_url), "boot_file": job_path(job.code_url) + job.boot_file}


def access_of(job: Job) -> str:
    """By variable for an own image: whether the service appends arguments to a command is not documented."""
    return "env" if job.image and not job.engine and job.access == "parameter" else job.access


def code_path(job: Job) -> str:
    """Where an own image finds the code: below /home, and none of the platform's own folders."""
    return "/home/mindlift/" + job.code_url.rstrip("/").rpartition("/")[2]


def shell_arguments(job: Job) -> list[str]:
    """The parameters as words of a shell: the service appends none to a command of one's own."""
    found = arguments(job, False) if job.access == "direct" else arguments(job, True)
    return ["'--" + f"{item['name']}={item['value']}".replace("'", "'\\''") + "'" for item in found]


def engine(job: Job) -> dict[str, str]:
    name, _, version = job.engine.partition("/")
    return filled({"engine_name": name, "engine_version": version, "image_url": job.image})


def arguments(job: Job, copies: bool) -> list[dict[str, str]]:
    found = parameters(job)
    if copies and job.train_url:
        found.append(("resume_url", job.train_url))
    elif not copies:
        found += [
            (name, url) for name, url in (("data_url", job.data_url), ("train_url", job.train_url)) if url
        ]
    return [{"name": name, "value": value} for name, value in found]


def channels(name: str, url: str, access: str) -> list[dict[str, Any]]:
    if not url:
        return []
    return [{"name": name, "access_method": access, "remote": {"obs": {"obs_url": job_path(url)}}}]


def variables(job: Job, secrets: Mapping[str, str]) -> dict[str, str]:
    method = {SWITCH: "msrun"} if job.run_method == "msrun" else {}
    return {**method, **{name: str(value) for name, value in job.environment.items()}, **secrets}


def retry_notes(job: Job) -> dict[str, str]:
    """Retries after any failure: the training goes on from its last checkpoint."""
    found = {}
    if job.retries:
        found = {
            "fault-tolerance/job-retry-num": str(job.retries), "fault-tolerance/job-unconditional-retry": "true",
        }  # fmt: skip
    return {**found, **{name: str(value) for name, value in job.annotations.items()}}


def spec(job: Job) -> dict[str, Any]:
    resource = filled({"flavor_id": job.flavor, "pool_id": job.pool_id, "node_count": job.nodes})
    found: dict[str, Any] = {"resource": resource}
    if job.log_url:
        found["log_export_path"] = {"obs_url": job_path(job.log_url)}
    if job.max_hours:
        whole = job.max_hours == int(job.max_hours)
        unit, duration = (
            ("HOURS", int(job.max_hours)) if whole else ("MINUTES", max(1, round(job.max_hours * 60)))
        )
        found["auto_stop"] = {"time_unit": unit, "duration": duration}
    return found


def job_path(url: str) -> str:
    """`obs://bucket/key/` as the API writes it: `/bucket/key/`; what ends in no '/' is a folder all the same."""
    place = parse(url) if is_remote(url) else None
    return f"/{place.bucket}/{place.folder().key}" if place else url


def url_of(path: str) -> str:
    """The URL of an API path."""
    return path if "://" in path or not path else f"obs://{path.lstrip('/')}"


def filled(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value not in ("", {}, [])}


def cards_of(flavor: str) -> int | None:
    """The cards of a flavor by its name, None for other names."""
    match = NAMED_FLAVOR.match(flavor)
    return CARDS.get(match.group(1)) if match else None


def checks(job: Job, package: Package) -> Iterator[Check]:
    """What the service would refuse, as far as the request alone shows it."""
    yield from places(job)
    yield machine(job)
    yield code(package)
    yield from texts(job)


def places(job: Job) -> Iterator[Check]:
    for name in ("train_url", "code_url", *(["data_url"] if job.data_url else [])):
        url = getattr(job, name)
        yield Check(name, is_remote(url), f"{url or 'not set'}", "ModelArts needs obs://bucket/folder/")
    engine_ok = bool(job.image) or ("/" in job.engine and all(job.engine.split("/", 1)))
    yield Check("engine", engine_ok, job.engine or job.image or "not set",
                "set engine: NAME/VERSION (selfcheck lists them), or image: organisation/image:tag")  # fmt: skip


def machine(job: Job) -> Check:
    if not job.flavor and not job.pool_id:
        return Check("flavor", False, "neither flavor nor pool_id is set", "selfcheck lists the flavors")
    has = cards_of(job.flavor)
    if has is not None and has != job.cards:
        fitting = [
            f"{job.flavor[: job.flavor.rindex('.') + 1]}{size}"
            for size, count in CARDS.items()
            if count == job.cards
        ]
        return Check("flavor", False, f"{job.cards} cards asked of {job.flavor}, which has {has}",
                     f"use {fitting[0]}" if fitting else "flavors have 1, 2, 4 or 8 cards; use more nodes")  # fmt: skip
    return Check("flavor", True, f"{job.flavor or job.pool_id}: {job.nodes} x {job.cards} cards")


def code(package: Package) -> Check:
    count, size = len(package.files), package.size_bytes
    says = f"{count} files, {size / 1e6:.1f} MB"
    if count > MOST_FILES or size > MOST_BYTES:
        return Check("code size", False, f"{says}, but ModelArts takes {MOST_FILES} files and {MOST_BYTES >> 20} MB",
                     "keep data and weights out of the repository")  # fmt: skip
    big = (
        f"; ModelArts advises below {MANY_FILES} files and {MANY_BYTES >> 20} MB"
        if count > MANY_FILES or size > MANY_BYTES
        else ""
    )
    return Check("code size", bool(count), says + big, "there is no file to send")


def texts(job: Job) -> Iterator[Check]:
    problems = []
    if len(job.description) > 256:
        problems.append(f"description has {len(job.description)} letters of 256")
    names = [*job.environment, *job.secrets]
    if len(names) > 100:
        problems.append(f"{len(names)} variables of 100")
    problems += [
        f"variable {name}: names that begin with MA_ are the platform's"
        for name in names
        if name.startswith("MA_") and name != SWITCH
    ]
    problems += [
        f"variable {name} is longer than 4096 letters"
        for name, value in job.environment.items()
        if len(str(value)) > 4096
    ]
    problems += [
        f"parameter {name!r}: expected letters, digits, - and _"
        for name, _ in parameters(job)
        if not PARAMETER.fullmatch(name)
    ]
    for problem in problems:
        yield Check("request", False, problem, "shorten or rename it")
