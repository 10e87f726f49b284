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
NAMED_FLAVOR = re.compile(r"(modelarts\.(?:kat1|pool\.visual)\.)(\w*xlarge)")
WORD = re.compile(r"[\w@%+=:,./-]+", re.ASCII)
PARAMETER = re.compile(r"[A-Za-z0-9_-]{1,64}")
MOST_FILES, MOST_BYTES = 4096, 128 << 20  # of the code; pages disagree, these are the FAQ's
MANY_FILES, MANY_BYTES = 1000, 50 << 20
MOST_DESCRIPTION, MOST_VARIABLES, MOST_NAME, MOST_VALUE = 256, 100, 8192, 4096
SWITCH = "MA_RUN_METHOD"  # the one variable of this prefix that users set


def body(job: Job, secrets: Mapping[str, str]) -> dict[str, Any]:
    """The request for `job`, its code at `job.code_url`; `secrets` are variables beside the job's own."""
    copies, access = job.access != "direct", access_of(job)
    algorithm = {
        **program(job), "engine": engine(job), "parameters": [] if has_own_start(job) else arguments(job, copies),
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
    if has_own_start(job):
        return {"code_dir": job_path(job.code_url), "command": command(job)}
    return {"code_dir": job_path(job.code_url), "boot_file": job_path(job.code_url) + job.boot_file}


def has_own_start(job: Job) -> bool:
    return bool(job.image) and not job.engine


def command(job: Job) -> str:
    """Without a preset engine nobody starts a process per card: msrun does, or there is one process.

    ModelArts runs it in a shell, so its variables may stand in it; the arguments are quoted.
    """
    start = "python"
    if job.ranks > 1:
        start = f"msrun --worker_num={job.ranks} --local_worker_num={job.cards} --join=True"
    if job.nodes > 1:
        start += " --master_addr=${VC_WORKER_HOSTS%%,*} --node_rank=${VC_TASK_INDEX}"
    folder = "${MA_JOB_DIR}/" + last_folder(job)
    words = [quoted(f"--{item['name']}={item['value']}") for item in arguments(job, job.access != "direct")]
    return " ".join([f"cd {folder} && {start}", job.boot_file, *words])


def last_folder(job: Job) -> str:
    return job.code_url.rstrip("/").rpartition("/")[2]


def quoted(word: str) -> str:
    """`word` as one word of a shell."""
    return word if WORD.fullmatch(word) else "'" + word.replace("'", "'\\''") + "'"


def access_of(job: Job) -> str:
    """By variable for an own image: whether the service appends arguments to a command is not documented."""
    return "env" if has_own_start(job) and job.access == "parameter" else job.access


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
    method = {SWITCH: "msrun"} if job.run_method == "msrun" and not has_own_start(job) else {}
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
    return CARDS.get(match.group(2)) if match else None


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
        match = NAMED_FLAVOR.match(job.flavor)
        kind = match.group(1) if match else ""
        fitting = [f"{kind}{size}" for size, count in CARDS.items() if count == job.cards]
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
    """A failed check for each text that the service would refuse, and one note."""
    for problem in [*text_problems(job), *variable_problems(job)]:
        yield Check("request", False, problem, "shorten or rename it")
    if job.max_hours != int(job.max_hours):
        yield Check("max_hours", None, "sent in minutes, but the SDK's documents know only hours",
                    "give whole hours if the service refuses it")  # fmt: skip


def text_problems(job: Job) -> Iterator[str]:
    if len(job.description) > MOST_DESCRIPTION:
        yield f"description has {len(job.description)} letters of {MOST_DESCRIPTION}"
    for item in arguments(job, job.access != "direct"):
        if not PARAMETER.fullmatch(item["name"]):
            yield f"parameter {item['name']!r}: expected 1 to 64 letters, digits, - and _"


def variable_problems(job: Job) -> Iterator[str]:
    found = variables(job, dict.fromkeys(job.secrets, ""))
    if len(found) > MOST_VARIABLES:
        yield f"{len(found)} variables of {MOST_VARIABLES}"
    for name, value in found.items():
        if name.startswith("MA_") and name != SWITCH:
            yield f"variable {name}: names that begin with MA_ are the platform's"
        if len(name) > MOST_NAME:
            yield f"variable {name[:32]}... has a name of {len(name)} letters of {MOST_NAME}"
        if len(value) > MOST_VALUE:
            yield f"variable {name} is longer than {MOST_VALUE} letters"
