"""The body of `POST /v2/{project_id}/training-jobs`, and what the service would refuse in it. Pure."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import TypeVar

from mindlift.cloud.arguments import input_urls, start
from mindlift.cloud.arguments import places as places_told
from mindlift.cloud.job import Job
from mindlift.cloud.json_types import Json, JsonObject
from mindlift.cloud.platforms.container import KEEP, as_arguments
from mindlift.cloud.prepare import code_size
from mindlift.cloud.prepare.package import Package
from mindlift.cloud.providers.base import Check
from mindlift.storage.url import is_remote, parse

CARDS = {"xlarge": 1, "2xlarge": 2, "4xlarge": 4, "8xlarge": 8, "16xlarge": 16}  # 16: super nodes of a pool
OF_POOL = "modelarts.pool.visual."
NAMED_FLAVOR = re.compile(r"(modelarts\.(?:kat1|pool\.visual)\.)(\w*xlarge)")
WORD = re.compile(r"[\w@%+=:,./-]+", re.ASCII)
PARAMETER = re.compile(r"[A-Za-z0-9_-]{1,64}")
MOST_DESCRIPTION, MOST_VARIABLES, MOST_NAME, MOST_VALUE = 256, 100, 8192, 4096  # letters
IMAGE = re.compile(r"[a-z0-9][a-z0-9_-]*/[\w./-]*\w:[\w.-]+", re.ASCII)  # organisation/name:tag
MOST_CONSOLE_HOURS = 72
STORE_KEYS = (
    {"ACCESS_KEY_ID", "SECRET_ACCESS_KEY"},
    {"OBS_ACCESS_KEY_ID", "OBS_SECRET_ACCESS_KEY"},
    {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"},
)
Value = TypeVar("Value")
SWITCHES = ("true", "false")
COUNTS = ("1", "2", "3")
ANNOTATIONS: dict[str, tuple[str, ...]] = {  # of the SDK's JobMetadata; (): any text
    "job_template": (),
    "fault-tolerance/job-retry-num": COUNTS,
    "fault-tolerance/job-unconditional-retry": SWITCHES,
    "fault-tolerance/hang-retry": SWITCHES,
    "fault-tolerance/hccl_op_retry": SWITCHES,
    "fault-tolerance/pod-retry-num": COUNTS,
    "jupyter-lab/enable": SWITCHES,
    "tensorboard/enable": SWITCHES,
    "mindstudio-insight/enable": SWITCHES,
    "performance_diagnosis_enabled": SWITCHES,
    "record/code-dir": (),
}
OUTPUTS = "MINDLIFT_OUTPUTS"  # where a job without output channels puts its results, for those who fetch them
SWITCH = "MA_RUN_METHOD"  # the one variable of this prefix that users set


def body(job: Job, secrets: Mapping[str, str]) -> dict[str, Json]:
    """The request for `job`, its code at `job.code_url`; `secrets` are variables beside the job's own."""
    algorithm: dict[str, Json] = {
        **program(job),
        "engine": engine(job),
        "parameters": [] if has_own_start(job) else parameters(job),
        "inputs": channels(input_urls(job), access_of(job)),
        "outputs": channels(job.results, access_of(job)),
        "environments": variables(job, secrets),
    }
    metadata: dict[str, Json] = {
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
    return {"code_dir": job_path(job.code_url), "boot_file": job_path(job.code_url) + start(job).boot_file}


def has_own_start(job: Job) -> bool:
    return bool(job.image) and not job.engine


def command(job: Job) -> str:
    """Without a preset engine nobody starts a process per card: a launcher does, or there is one process.

    ModelArts runs it in a shell, so its variables may stand in it; the arguments are quoted.
    """
    folder = "cd ${MA_JOB_DIR}/" + last_folder(job)
    if job.requirements:
        folder += " && pip install -r pip-requirements.txt"
    if start(job).command:
        return f"{folder} && {job.command}"
    return " ".join([folder, "&&", launched(job), start(job).boot_file, *map(quoted, arguments(job))])


def launched(job: Job) -> str:
    """What stands before the boot file."""
    if job.launcher == "none" or (job.ranks == 1 and job.launcher != "torchrun"):
        return "python"
    if job.launcher == "torchrun":  # PyTorch documentation, torchrun: single-node and multi-node
        if job.nodes == 1:
            return f"torchrun --standalone --nproc_per_node={job.cards}"
        start = f"torchrun --nnodes={job.nodes} --nproc_per_node={job.cards}"
        return (
            start + " --node_rank=${VC_TASK_INDEX} --master_addr=${VC_WORKER_HOSTS%%,*} --master_port=29500"
        )
    start = f"msrun --worker_num={job.ranks} --local_worker_num={job.cards} --join=True"
    if job.nodes > 1:
        start += " --master_addr=${VC_WORKER_HOSTS%%,*} --node_rank=${VC_TASK_INDEX}"
    return start


def last_folder(job: Job) -> str:
    return job.code_url.rstrip("/").rpartition("/")[2]


def quoted(word: str) -> str:
    """`word` as one word of a shell."""
    return word if WORD.fullmatch(word) else "'" + word.replace("'", "'\\''") + "'"


def access_of(job: Job) -> str:
    """By variable for an own image: whether the service appends arguments to a command is not documented."""
    if start(job).access == "none":
        return "env"  # the service knows no other way to pass nothing
    access = start(job).access
    return "env" if has_own_start(job) and access == "parameter" else access


def engine(job: Job) -> dict[str, str]:
    name, _, version = job.engine.partition("/")
    return filled({"engine_name": name, "engine_version": version, "image_url": job.image})


def arguments(job: Job) -> list[str]:
    """The words behind the boot file, but for those of the channels."""
    return [*start(job).words, *as_arguments(*places_told(job))]


def parameters(job: Job) -> list[dict[str, str]]:
    """The same as the service takes them: the program gets --name=value of each."""
    pairs = (word[2:].partition("=") for word in arguments(job))
    return [{"name": name, "value": value} for name, _, value in pairs]


def channels(urls: Mapping[str, str], access: str) -> list[JsonObject]:
    """None where the job copies by itself."""
    return [
        {"name": name, "access_method": access, "remote": {"obs": {"obs_url": job_path(url)}}}
        for name, url in urls.items()
        if access not in ("direct", KEEP)
    ]


def variables(job: Job, secrets: Mapping[str, str]) -> dict[str, str]:
    method = {SWITCH: "msrun"} if job.launcher == "msrun" and not has_own_start(job) else {}
    has_channels = not job.is_program or start(job).access not in ("direct", KEEP)
    noted = {} if has_channels or not job.results else {OUTPUTS: json.dumps(job.results)}
    return {**method, **noted, **job.environment, **secrets}


def retry_notes(job: Job) -> dict[str, str]:
    """Retries after any failure: the training continues from its last checkpoint."""
    found = {}
    if job.retries:
        found = {
            "fault-tolerance/job-retry-num": str(job.retries),
            "fault-tolerance/job-unconditional-retry": "true",
        }
    return {**found, **{name: annotation(value) for name, value in job.annotations.items()}}


def annotation(value: Json) -> str:
    """YAML's true as the service writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def whole_hours(job: Job) -> int:
    """The service counts whole hours, one at least: `auto_stop` knows no other unit."""
    return max(1, math.ceil(job.max_hours))


def spec(job: Job) -> dict[str, Json]:
    resource: dict[str, Json] = {
        "flavor_id": job.flavor,
        "pool_id": job.pool_id,
        "node_count": job.nodes,
    }
    found: dict[str, Json] = {"resource": filled(resource)}
    if job.log_url:
        found["log_export_path"] = {"obs_url": job_path(job.log_url)}
    if job.max_hours:
        found["auto_stop"] = {"time_unit": "HOURS", "duration": whole_hours(job)}
    return found


def job_path(url: str) -> str:
    """`obs://bucket/key/` as the API writes it: `/bucket/key/`; what ends in no '/' is a folder all the same."""
    place = parse(url) if is_remote(url) else None
    return f"/{place.bucket}/{place.folder().key}" if place else url


def url_of(path: str) -> str:
    """The URL of an API path."""
    return path if "://" in path or not path else f"obs://{path.lstrip('/')}"


def filled(values: Mapping[str, Value]) -> dict[str, Value]:
    return {name: value for name, value in values.items() if value not in ("", {}, [])}


def cards_of(flavor: str) -> int | None:
    """The cards of a flavor by its name, None for other names."""
    match = NAMED_FLAVOR.match(flavor)
    return CARDS.get(match.group(2)) if match else None


def checks(job: Job, package: Package) -> Iterator[Check]:
    """What the service would refuse, as far as the request alone shows it."""
    yield from places(job)
    yield machine(job)
    yield code_size.check(package)
    yield from launchers(job)
    yield from texts(job)


def places(job: Job) -> Iterator[Check]:
    named = job.results if job.is_program else {"train_url": job.train_url}
    for name, url in {**named, "code_url": job.code_url, **input_urls(job)}.items():
        yield Check(name, is_remote(url), f"{url or 'not set'}", "ModelArts needs obs://bucket/folder/")
    engine_ok = "/" in job.engine and all(job.engine.split("/", 1))
    advice = "set engine: NAME/VERSION (selfcheck lists them), or image: organisation/name:tag"
    yield Check(
        "engine", engine_ok if job.engine else bool(job.image), job.engine or job.image or "not set", advice
    )
    if job.image:
        is_form = bool(IMAGE.fullmatch(job.image))
        says = f"{job.image!r} is {'' if is_form else 'not '}organisation/name:tag"
        yield Check("image", is_form, says, "name it as SWR does, without its host, with a tag")


def machine(job: Job) -> Check:
    if not job.flavor and not job.pool_id:
        return Check("flavor", False, "neither flavor nor pool_id is set", "selfcheck lists the flavors")
    is_pools = job.flavor.startswith(OF_POOL)
    if job.flavor and bool(job.pool_id) != is_pools:
        says = f"{job.flavor} is a flavor of {'a dedicated pool' if is_pools else 'the public pool'}"
        advice = "set pool_id" if is_pools else f"leave pool_id out, or use {OF_POOL}{size_for(job.cards)}"
        return Check("flavor", False, says, advice)
    has, named = cards_of(job.flavor), NAMED_FLAVOR.match(job.flavor)
    if has is not None and has != job.cards:
        kind, size = named.group(1) if named else "", size_for(job.cards)
        says = f"{job.cards} cards asked of {job.flavor}, which has {has}"
        fits = size and (is_pools or job.cards <= 8)
        advice = f"use {kind}{size}" if fits else "flavors have 1, 2, 4 or 8 cards; use more nodes"
        return Check("flavor", False, says, advice)
    return Check("flavor", True, f"{job.flavor or job.pool_id}: {job.nodes} x {job.cards} cards")


def size_for(cards: int) -> str:
    return next((size for size, count in CARDS.items() if count == cards), "")


def launchers(job: Job) -> Iterator[Check]:
    """Preset engines start a process per card, and can be switched to msrun; other launchers need a command."""
    if job.launcher in ("torchrun", "none") and not has_own_start(job) and job.ranks > 1:
        says = f"a preset engine starts its processes itself, and knows no {job.launcher}"
        yield Check(
            "launcher", False, says, "name an image without an engine, or launcher rank_table or msrun"
        )


def texts(job: Job) -> Iterator[Check]:
    """A failed check for each text that the service would refuse, and notes on what it does differently."""
    for problem in [*text_problems(job), *annotation_problems(job), *variable_problems(job)]:
        yield Check("request", False, problem, "shorten or rename it")
    yield from time_limit(job)
    yield from restarts(job)


def time_limit(job: Job) -> Iterator[Check]:
    """Where the service's limit is another one than the job's."""
    hours = whole_hours(job)
    if job.max_hours and hours != job.max_hours:
        yield Check(
            "max_hours", None, f"{job.max_hours:g} h is sent as {hours} h: ModelArts counts whole hours"
        )
    if hours > MOST_CONSOLE_HOURS:
        yield Check(
            "max_hours", None, f"the console offers {MOST_CONSOLE_HOURS} h at most; the API names no limit"
        )


def restarts(job: Job) -> Iterator[Check]:
    """The container of an own image has no keys of the store, unless the job gives them."""
    retries = retry_notes(job).get("fault-tolerance/job-retry-num")
    keys = {name.upper() for name in [*job.environment, *job.secrets]}
    if has_own_start(job) and retries and not any(found <= keys for found in STORE_KEYS):
        says = "a retry in a new container starts from zero: an own image has no keys to read earlier results with"
        advice = "give keys of the store as secrets: ACCESS_KEY_ID and SECRET_ACCESS_KEY"
        yield Check("retries", None, says, advice)


def text_problems(job: Job) -> Iterator[str]:
    if len(job.description) > MOST_DESCRIPTION:
        yield f"description has {len(job.description)} letters of {MOST_DESCRIPTION}"
    for name in [item["name"] for item in parameters(job)] if not has_own_start(job) else []:
        if not PARAMETER.fullmatch(name):
            yield f"parameter {name!r}: expected 1 to 64 letters, digits, - and _"


def annotation_problems(job: Job) -> Iterator[str]:
    for name, value in retry_notes(job).items():
        choices = ANNOTATIONS.get(name)
        if choices is None:
            yield f"annotation {name!r} is none of ModelArts': {', '.join(ANNOTATIONS)}"
        elif choices and value not in choices:
            yield f"annotation {name} is {value!r}, expected one of {', '.join(choices)}"


def secret_problems(secrets: Mapping[str, str]) -> Iterator[str]:
    """What the service would refuse in the values of secrets, which no line shows."""
    for name, value in secrets.items():
        if "$" in value:
            yield f"the value of secret {name} holds a $, which ModelArts refuses in variables"
        if len(value) > MOST_VALUE:
            yield f"the value of secret {name} has {len(value)} letters of {MOST_VALUE}"


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
