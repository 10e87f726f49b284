"""The code of a user's program: which files of its folder a job gets, and what else it needs beside them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from mindlift.checkout import PACKAGE
from mindlift.cloud.arguments import BOOT, input_urls, starts_by_boot_file
from mindlift.cloud.errors import JobError
from mindlift.cloud.job import Job
from mindlift.cloud.prepare import code_files, inputs
from mindlift.cloud.prepare.package import Package, git
from mindlift.cloud.providers.base import Check
from mindlift.cloud.show import size
from mindlift.model_utils.config.options import nearest

NOTE = "mindlift_boot.json"
WAYS = {"env": "env", "none": "none"}  # access, as `mindlift run` calls it
REQUIREMENTS = "pip-requirements.txt"  # ModelArts installs it before the start
MOST_BYTES = 2 << 30  # code that is read at once
PIP_TIMEOUT_S = 120


def collect(job: Job) -> Package:
    """The files below `code`; JobError where there are none, or more bytes than code can have."""
    root = Path(job.code)
    if not root.is_dir():
        raise JobError(f"code is {job.code}, which is no folder here")
    found = code_files.find(root, [*job.exclude, *inputs_inside(job)])
    if not found.files:
        left_out = f"; left out: {'; '.join(found.left_out)}" if found.left_out else ""
        raise JobError(f"{root} holds no file to send{left_out}")
    total = sum(found.files.values())
    if total > MOST_BYTES:
        largest = sorted(found.files, key=lambda name: -found.files[name])[:3]
        shown = ", ".join(f"{name} ({size(found.files[name])})" for name in largest)
        raise JobError(
            f"{root} holds {size(total)}, and code can have {size(MOST_BYTES)}; the largest are {shown}: "
            "name them in .mindliftignore, or as exclude"
        )
    files = {name: (root / name).read_bytes() for name in sorted(found.files)}
    revision, is_dirty = revision_of(root)
    package = Package(revision, is_dirty, files, root.name, found.left_out)
    package = package if revision else replace(package, revision=package.sha256[:40])
    return completed(job, package)


def inputs_inside(job: Job) -> list[str]:
    """Local inputs below the code, which travel by themselves."""
    root = Path(job.code).resolve()
    places = [path.resolve() for path in inputs.local(job).values()]
    return [f"/{path.relative_to(root).as_posix()}" for path in places if root in path.parents]


def revision_of(root: Path) -> tuple[str, bool]:
    """The commit of a folder in a repository, and whether its files differ from it; '' for other folders."""
    try:
        revision = git(root, "rev-parse", "HEAD").decode().strip()
        return revision, bool(git(root, "status", "--porcelain", "-z", "--", ".").strip(b"\0"))
    except JobError:
        return "", False


def check(job: Job, package: Package) -> Check:
    """Whether what the job starts, and what it installs, is among the files that are sent."""
    name = "program"
    if job.requirements and job.requirements not in package.files:
        says = f"requirements: {missing(job, package, job.requirements)}"
        return Check(name, False, says, "name a file below code")
    if job.command:
        return Check(name, True, f"{job.command} in {package.folder}/")
    if job.boot_file not in package.files:
        return Check(name, False, missing(job, package, job.boot_file), "set boot_file, or command")
    return Check(name, True, " ".join([job.boot_file, *job.args])[:200])


def missing(job: Job, package: Package, file: str) -> str:
    """Why `file` is not among those that are sent."""
    path = Path(job.code, file)
    if Path(job.code).resolve() not in path.resolve().parents:
        return f"{file} is outside of {job.code}"
    if path.is_file():
        return (
            f"{file} is in {job.code}, but not sent: it is left out by .mindliftignore, .gitignore or exclude"
        )
    return f"{job.code} has no {file}{nearest(file, package.files)}"


def requirements_check(job: Job) -> Iterator[Check]:
    """Whether pip finds each requirement, by itself; what fits the job's Python only its image can tell."""
    if not job.requirements:
        return
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--dry-run",
        "--no-deps",
        "--quiet",
        "-r",
        job.requirements,
    ]
    try:
        done = subprocess.run(
            command, cwd=job.code, capture_output=True, text=True, timeout=PIP_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        yield Check("requirements", None, f"pip gave no answer in {PIP_TIMEOUT_S} s")
        return
    errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")]
    if done.returncode:
        says = f"{job.requirements}: {(errors or ['pip failed'])[-1].partition(': ')[2] or 'pip failed'}"
        yield Check("requirements", False, says, "correct the file; pip could not find what it names")
    else:
        yield Check("requirements", True, f"pip finds what {job.requirements} names")


def completed(job: Job, package: Package) -> Package:
    """The code with what starts it: the requirements where ModelArts looks for them, and the boot file."""
    added: dict[str, bytes] = {}
    if job.requirements in package.files:
        added[REQUIREMENTS] = package.files[job.requirements]
    if starts_by_boot_file(job):
        added[BOOT] = (PACKAGE / "cloud" / "prepare" / "boot_file.py").read_bytes()
        added[NOTE] = (json.dumps(note(job), indent=1, ensure_ascii=False) + "\n").encode()
    if job.keep:
        from mindlift.program import bundle

        added.update({f".mindlift/{name}": data for name, data in bundle.files().items()})
    return replace(package, files=dict(sorted({**package.files, **added}.items()))) if added else package


def note(job: Job) -> dict[str, object]:
    """What the boot file has to know."""
    found: dict[str, object] = {"command": job.command} if job.command else {"boot_file": job.boot_file}
    if not job.command:
        found["args"] = list(job.args)
    if job.keep:
        found["keep"] = keep_words(job)
    return found


def keep_words(job: Job) -> list[str]:
    """The options of `mindlift run`."""
    words = [f"--input={name}={url}" for name, url in input_urls(job).items()]
    words += [f"--output={name}={url}" for name, url in job.results.items()]
    return [*words, f"--as={WAYS.get(job.access, 'args')}"]
