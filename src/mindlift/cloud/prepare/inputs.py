"""Inputs of a job that are folders or files of this computer: where they go in the store, and bringing them there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from mindlift.cloud.arguments import place_in_store
from mindlift.cloud.job import Job
from mindlift.cloud.providers.base import Check
from mindlift.cloud.show import size
from mindlift.storage.copying import copy as transfer
from mindlift.storage.url import is_remote


def local(job: Job) -> dict[str, Path]:
    return {name: Path(place) for name, place in job.sources.items() if place and not is_remote(place)}


def checks(job: Job) -> Iterator[Check]:
    """Whether local inputs are there, and how much of them there is to send."""
    for name, path in local(job).items():
        if path.is_dir() and not any(file.is_file() for file in path.rglob("*")):
            yield Check(name, False, f"{path} holds no file", "put the data there, or name another place")
        elif path.exists():
            place = place_in_store(job, str(path))
            says = f"{path}, {size(size_bytes(path))}"
            says = f"{says}, is sent to {place}" if is_remote(place) else says
            yield Check(name, True, says)
        else:
            advice = "name a local folder or archive, or obs://bucket/folder/"
            yield Check(name, False, f"{path} does not exist here", advice)


def size_bytes(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def upload(job: Job, say: Callable[[str], None]) -> None:
    """Make the store hold what the local inputs are; what is there already is not sent again."""
    for name, path in local(job).items():
        url, source = place_in_store(job, str(path)), str(path.resolve())
        if path.is_dir():
            report = transfer.copy_tree(source, url, delete=True)
        else:
            report = transfer.copy_file(source, url)
        say(f"{name}: {report.as_line()}")
