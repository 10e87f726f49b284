"""What the image of a job holds, by its name: its MindSpore and Python, and what the job will add to it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from mindlift import yaml_text
from mindlift.checkout import PACKAGE
from mindlift.cloud.arguments import own_options
from mindlift.cloud.errors import JobError
from mindlift.cloud.job import Job
from mindlift.cloud.providers.base import Check
from mindlift.files import expanded
from mindlift.model_utils import mindspore_build, packages
from mindlift.model_utils.config import config

TABLE = PACKAGE / "cloud" / "images.yaml"
OWN_TABLE = "MINDLIFT_IMAGES"
OF_MINDSPORE = (
    "numpy",
    "pillow",
    "scipy",
)  # MindSpore's own requirements since 1.0: no image with it lacks them
NOT_KNOWN = "its name does not say what is inside"
LEAST_PYTHON = (3, 7)


@dataclass(frozen=True)
class Image:
    """`installed` holds versions by the names of packages, where a page lists them."""

    name: str
    mindspore: str = ""
    python: str = ""
    cann: str = ""
    arch: str = ""
    source: str = ""
    installed: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        known = [f"MindSpore {self.mindspore}", f"Python {self.python}"]
        known += [f"CANN {self.cann}"] if self.cann else []
        return ", ".join([*known, self.arch] if self.arch else known)


def find(name: str, env: Mapping[str, str] = os.environ) -> Image | None:
    """The image of this name; None if neither table knows it. JobError if a table can't be read."""
    tables = [read(path) for path in tables_of(env)]
    for table in tables:
        for entry in table.get("naming", []):
            match = re.search(str(entry["pattern"]), name)
            if match:
                known = {key: value or "" for key, value in match.groupdict().items()}
                return Image(
                    name, **known, source=str(entry.get("source", "")), installed=installed(tables, name)
                )
    return None


def installed(tables: Sequence[Mapping[str, list]], name: str) -> dict[str, str]:
    entries = [
        entry for table in tables for entry in table.get("packages", []) if str(entry["image"]) in name
    ]
    return {key.lower(): str(value) for key, value in entries[0]["installed"].items()} if entries else {}


def tables_of(env: Mapping[str, str]) -> Iterator[Path]:
    """The user's table, if there is one, and the one that comes with the package."""
    home = env.get("XDG_CONFIG_HOME") or "~/.config"
    own = Path(expanded(env.get(OWN_TABLE) or Path(home) / "mindlift" / "images.yaml"))
    if env.get(OWN_TABLE) or own.is_file():
        yield own
    yield TABLE


def read(path: Path) -> dict[str, list]:
    try:
        table = yaml_text.read(path)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as err:
        raise JobError(f"can't read the table of images {path}: {str(err).splitlines()[0]}") from err
    lists = table if isinstance(table, dict) else {}
    for part, keys in (("naming", ("pattern",)), ("packages", ("image", "installed"))):
        for entry in lists.get(part, []):
            if not isinstance(entry, dict) or any(key not in entry for key in keys):
                raise JobError(
                    f"{path}: an entry of {part} needs {' and '.join(keys)}, got {str(entry)[:60]}"
                )
    return lists


def added(image: Image, wanted: Sequence[str]) -> list[str]:
    """What the job will install of `wanted`; what an image without a published list may have too is among it."""
    there = {*image.installed, *OF_MINDSPORE}
    return [name for name in wanted if packages.name_of(name) not in there]


def wanted(job: Job) -> list[str]:
    """The packages that the job needs beside MindSpore; ConfigError for options that its program would refuse."""
    needed, _ = packages.read()
    cfg = config.load([f"--{name}={value}" for name, value in own_options(job)], prog=job.boot_file)
    return [*needed, *packages.for_options(*cfg.package_needs())]


def check(job: Job) -> Check | None:
    """Whether the job can run in its image, and what it will add; None where no image is named."""
    name = job.image or job.engine
    if not name:
        return None
    image = find(name)
    if image is None:
        return Check(
            "packages", None, f"{name}: {NOT_KNOWN}; the job installs what is missing and moves nothing"
        )
    problem = mindspore_build.problem(
        image.mindspore, image.installed.get("numpy", ""), image.installed.get("pillow", "")
    )
    if problem:
        return Check("packages", False, f"{name}: {problem}", "name another image, or see docs/versions.md")
    if mindspore_build.numbers(image.python) < LEAST_PYTHON:
        return Check(
            "packages",
            False,
            f"{name} has Python {image.python}, and jobs need 3.7 or later",
            "name another image",
        )
    names = added(image, wanted(job))
    if not names:
        return Check("packages", True, f"{image}; it has all that the job needs")
    lacks = ", ".join(names)
    says = f"it lacks {lacks}" if image.installed else f"it may lack {lacks}"
    return Check("packages", True, f"{image}; {says}: what is missing is installed, nothing else moves")
