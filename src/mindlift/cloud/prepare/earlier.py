"""An earlier job of the same command: what it has left is continued, or a line says why not.

A place that a job does not name is named after the job, and each job has another name. So what a command was submitted as
is noted on this computer, and the next job of that command gets the places of the one before, if that has not succeeded.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mindlift import json_text
from mindlift.cloud import handle as handles
from mindlift.cloud.errors import NoAnswer, NoSuchJob, ServiceError
from mindlift.cloud.handle import Handle
from mindlift.cloud.job import Job
from mindlift.cloud.providers.base import Provider, Status
from mindlift.cloud.retry import RetryPolicy
from mindlift.cloud.states import Phase
from mindlift.files import expanded, write_atomic
from mindlift.language import N_

# Keys that say nothing of what is computed, or of where its results are.
NOT_ASKED = ("name", "description", "allow_dirty", "max_cost", "max_hours", "retries", "restart", "wheels")
LONGEST_NAME = 64


@dataclass(frozen=True)
class Earlier:
    """The newest job of a command: its handle, its name, and where its results go."""

    handle: Handle
    name: str
    outputs: Mapping[str, str]


def default_folder() -> Path:
    cache = Path(expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache"))
    return cache / "mindlift" / "submitted"


def key(job: Job) -> str:
    """Equal for jobs of one command, whatever they are called."""
    asked = {name: value for name, value in vars(job).items() if name not in NOT_ASKED}
    text = json.dumps(asked, sort_keys=True, default=str).replace(f"/{job.name}/", "//")
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def remember(asked: Job, submitted: Job, handle: Handle, folder: Path) -> None:
    note = {"handle": str(handle), "name": submitted.name, "outputs": submitted.results}
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / f"{key(asked)}.json", json.dumps(note) + "\n")


def recall(asked: Job, folder: Path) -> Earlier | None:
    """None for a command that is new here, or whose note can't be read."""
    try:
        note = json_text.read(folder / f"{key(asked)}.json")
        outputs = {str(name): str(url) for name, url in note["outputs"].items()}
        return Earlier(handles.parse(str(note["handle"])), str(note["name"]), outputs)
    except (OSError, ValueError, AttributeError, KeyError, TypeError):
        return None


def continued(job: Job, provider: Provider, say: Callable[[str], None], folder: Path) -> Job:
    """`job`, or the same in the places of the job before it; `say` is told which, and why."""
    earlier = recall(job, folder)
    if earlier is None:
        return job
    try:
        status = RetryPolicy(say=say).call(lambda: provider.show(earlier.handle))
    except NoSuchJob:
        say(f"starts anew: {earlier.handle}, the same command, is gone")
        return job
    except (ServiceError, NoAnswer) as err:
        say(f"whether this continues {earlier.handle}, the same command, is not known: {err}")
        return job
    found, says = decided(job, earlier, status)
    say(says)
    return found


def decided(job: Job, earlier: Earlier, status: Status) -> tuple[Job, str]:
    """What becomes of a job after `earlier`, and the line about it. Pure."""
    handle, phase = earlier.handle, status.phase
    word = N_("has failed") if phase is Phase.FAILED else N_("was stopped")
    if phase is Phase.SUCCEEDED:
        return job, f"starts anew: {handle}, the same command, has succeeded"
    if not phase.is_final:
        return job, f"starts anew: {handle}, the same command, has not ended: it is {phase.value}"
    if not earlier.outputs:
        why = f"{job.provider} keeps the results of each job apart"
        return job, f"starts anew: {handle}, the same command, {word}, and {why}"
    if job.is_program and not (job.keep or job.resume):
        why = "a program without keep restores nothing"
        return job, f"starts anew: {handle}, the same command, {word}, and {why}"
    places = ", ".join(earlier.outputs.values())
    found = in_places(renamed(job, earlier.name), earlier.outputs)
    return found, f"continues {handle}, the same command, which {word}: {places}"


def in_places(job: Job, outputs: Mapping[str, str]) -> Job:
    if job.is_program:
        return job.replace(outputs=dict(outputs))
    return job.replace(train_url=next(iter(outputs.values())))


def renamed(job: Job, earlier: str) -> Job:
    """With the next name, where the user has given one: services give each only once. Its logs' folder is named so, too."""
    found = re.fullmatch(rf"{re.escape(job.name)}(?:-([0-9]{{1,4}}))?", earlier)
    if not found:
        return job
    ending = f"-{int(found[1] or 1) + 1}"
    name = job.name[: LONGEST_NAME - len(ending)] + ending
    is_derived = job.log_url == job.in_bucket(f"logs/{job.name}")
    return job.replace(name=name, log_url=job.in_bucket(f"logs/{name}") if is_derived else job.log_url)
