"""The words that a job's program gets, before the platform adds its own."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mindlift.cloud.job import Job
from mindlift.cloud.json_types import Json
from mindlift.cloud.platforms.container import KEEP, as_arguments
from mindlift.storage.url import is_remote

WORDS = "OpenI passes on only arguments of the form --name=value, each name once"
WRITTEN_SO = "write them so, or set them in the program"
BOOT = "mindlift_boot.py"  # cloud/prepare/boot_file.py, beside the program
PARAMETER = re.compile(r"--([A-Za-z0-9_-]{1,64})=(.+)", re.DOTALL)  # what services take as a name and a value


def as_text(value: Json) -> str:
    """A value as train.py reads it on a command line."""
    if isinstance(value, (list, tuple)):
        return ",".join(as_text(item) for item in value)
    return str(value)


def own_options(job: Job) -> list[tuple[str, str]]:
    """The options of train.py that the job is about, in their order; where data is comes from the platform."""
    found = [("net", job.net), ("dataset", job.dataset), ("enable_modelarts", "True")]
    if job.pretrained:
        found.append(("pretrained", job.pretrained))
    return found + [(name, as_text(value)) for name, value in job.recipe.items()]


class Start(NamedTuple):
    """How a platform starts a job: its boot file with words behind it, or a line for a shell; who copies the data."""

    boot_file: str
    command: str
    words: tuple[str, ...]
    access: str


def start(job: Job) -> Start:
    """Of a program that a file of ours starts, that file, which knows the rest."""
    if not job.is_program:
        return Start(job.boot_file, "", as_arguments(*own_options(job)), job.access)
    access = KEEP if job.keep else job.access
    if starts_by_boot_file(job):
        return Start(BOOT, "", (), access)
    return Start(job.boot_file, job.command, job.args, access)


def starts_by_boot_file(job: Job) -> bool:
    """For words or a command that the platform does not pass on as they are, and to keep outputs."""
    has_own_image = bool(job.image) and not job.engine and not job.is_openi
    return job.is_program and (
        job.keep or (not has_own_image and (bool(job.command) or not is_passed_on(job.args)))
    )


def is_passed_on(words: Sequence[str]) -> bool:
    """Whether services, which take names and values, hand over these very words."""
    found = [PARAMETER.fullmatch(word) for word in words]
    names = [match[1] for match in found if match]
    return len(names) == len(words) and len(set(names)) == len(names)


def places(job: Job) -> tuple[tuple[str, str], ...]:
    """ModelArts: what is sent as arguments beside them. A job that copies by itself is told URLs; of MindLift's own,
    one whose folders the platform fills is told where its earlier results are, which the platform does not bring."""
    if start(job).access == "direct":
        return (*input_urls(job).items(), *job.results.items())
    return () if job.is_program or not job.train_url else (("resume_url", job.train_url),)


def input_urls(job: Job) -> dict[str, str]:
    """Where each input of `job` is in the store, by its name."""
    return {name: place_in_store(job, place) for name, place in job.sources.items()}


def place_in_store(job: Job, place: str) -> str:
    """A folder of this computer goes beside the results, under its name and with a mark of whose it is."""
    if not place or is_remote(place):
        return place
    path = Path(place).resolve()
    mark = hashlib.sha256(str(path.parent).encode()).hexdigest()[:8]
    return job.in_bucket(f"data-{mark}") + path.name + ("/" if path.is_dir() else "")
