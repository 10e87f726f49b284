"""The code of a user's program: which files of its folder a job gets, and what else it needs beside them."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from mindlift.checkout import PACKAGE
from mindlift.cloud.arguments import BOOT, input_urls, starts_by_boot_file
from mindlift.cloud.errors import JobError
from mindlift.cloud.job import Job
from mindlift.cloud.prepare import code_files, code_size, inputs
from mindlift.cloud.prepare.package import Package, git
from mindlift.cloud.providers.base import Check
from mindlift.cloud.show import size
from mindlift.files import expanded
from mindlift.model_utils.config.options import nearest

NOTE = "mindlift_boot.json"
WAYS = {"env": "env", "none": "none"}  # access, as `mindlift run` calls it
REQUIREMENTS = "pip-requirements.txt"  # ModelArts installs it before the start
MOST_BYTES = 2 << 30  # code that is read at once
PIP_TIMEOUT_S = 120
UNREACHED = (
    "NewConnectionError",
    "ConnectTimeoutError",
    "Max retries exceeded",
    "ProxyError",
)  # of pip's warnings
TOO_OLD = ("no such option", "No module named pip")  # --dry-run is of pip 22.2
IMAGES = ("3.7", "3.9", "3.10", "3.11")  # the Pythons of preset engines and of OpenI's images
# options that a platform adds beside the channels: facts of platforms/openi_qizhi.py
PLATFORMS_OWN = {
    "openi-qizhi": frozenset(
        ["data_url", "train_url", "multi_data_url", "pretrain_url", "ckpt_url", "result_url"]
    )
}


def collect(job: Job) -> Package:
    """The files below `code`; JobError where there are none, or more bytes than code can have."""
    root = Path(job.code)
    if root.is_file():
        raise JobError(f"code is {job.code}, a file; name its folder, and the file as boot_file: {root.name}")
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


def checks(job: Job, package: Package) -> Iterator[Check]:
    """Whether what the job starts, and what it installs, is among the files that are sent; and their size."""
    yield started(job, package)
    yield from required(job, package)
    taken = sorted(words_of(job.args) & PLATFORMS_OWN.get(platform_of(job), frozenset()))
    if taken:
        says = f"{platform_of(job)} gives {', '.join(f'--{name}' for name in taken)} to every job itself"
        yield Check("args", False, says, "leave it out of args")
    if job.provider == "local" and job.platform.startswith("modelarts"):
        yield code_size.check(package)


def started(job: Job, package: Package) -> Check:
    name = "program"
    if job.command:
        return Check(name, True, f"{job.command} in {package.folder}/")
    if job.boot_file not in package.files:
        return Check(name, False, missing(job, package, job.boot_file), "set boot_file, or command")
    if not job.boot_file.endswith(".py"):
        says = f"{job.boot_file} is no Python file, and platforms start it with Python"
        return Check(name, False, says, f"write what a shell would run: command: sh {job.boot_file}")
    return Check(name, True, " ".join([job.boot_file, *job.args])[:200])


def required(job: Job, package: Package) -> Iterator[Check]:
    if not job.requirements:
        return
    name = "requirements"
    if job.requirements not in package.files:
        yield Check(name, False, missing(job, package, job.requirements), "name a file below code")
    elif job.requirements != REQUIREMENTS and Path(job.code, REQUIREMENTS).is_file():
        says = f"{job.requirements} would stand in for {REQUIREMENTS}, which {job.code} has, too"
        yield Check(name, False, says, f"leave requirements out, or rename {REQUIREMENTS}")


def platform_of(job: Job) -> str:
    if job.provider == "openi":
        return "openi-qizhi" if job.cluster == "OpenICloudbrainTwo" else "openi-c2net"
    return job.platform


def words_of(args: Sequence[str]) -> set[str]:
    return {word[2:].partition("=")[0] for word in args if word.startswith("--")}


def missing(job: Job, package: Package, file: str) -> str:
    """Why `file` is not among those that are sent."""
    path = Path(job.code, file)
    if Path(job.code).resolve() not in path.resolve().parents:
        return f"{file} is outside of {job.code}"
    if path.is_file():
        return (
            f"{file} is in {job.code}, but not sent: it is left out by .mindliftignore, .gitignore or exclude"
        )
    if path.is_dir():
        return f"{file} is a folder; name the file to start, such as {file}/train.py"
    return f"{job.code} has no {file}{nearest(file, package.files)}"


def requirements_check(job: Job) -> Iterator[Check]:
    """Whether pip finds each requirement, by itself: for the Python that plays the container's, else for any that
    images have."""
    if not job.requirements:
        return
    name, file = "requirements", job.requirements
    done = pip(job, [])
    if done is None:
        yield Check(name, None, f"pip gave no answer in {PIP_TIMEOUT_S} s")
    elif not done.returncode or (job.provider != "local" and fits_an_image(job, done.stderr)):
        yield Check(name, True, f"pip finds what {file} names")
    elif any(sign in done.stderr for sign in UNREACHED):
        yield Check(name, None, f"pip reached no index from here, so {file} is not checked")
    elif any(sign in done.stderr for sign in TOO_OLD):
        yield Check(name, None, f"this pip can't try {file} without installing it")
    else:
        says = f"{file}: {reason_of(done.stderr)}"
        yield Check(name, False, says, "correct the file; pip could not find what it names")


def fits_an_image(job: Job, errors: str) -> bool:
    """Packages of other Pythons than this computer's."""
    if "No matching distribution" not in errors:
        return False
    for version in IMAGES:
        done = pip(job, ["--target=unused", "--only-binary=:all:", f"--python-version={version}"])
        if done and not done.returncode:
            return True
    return False


def pip(job: Job, options: Sequence[str]) -> subprocess.CompletedProcess[str] | None:
    """`pip install` that installs nothing; None without an answer."""
    python = expanded(job.python) if job.python and job.provider == "local" else sys.executable
    command = [python, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--no-deps", "--quiet"]
    command += ["--no-input", "--disable-pip-version-check", "--retries=1", "--timeout=15", *options]
    command += ["-r", job.requirements]
    try:
        return subprocess.run(
            command, cwd=job.code, capture_output=True, text=True, timeout=PIP_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return None


def reason_of(text: str) -> str:
    """The line of pip's that says what is wrong: `No matching distribution found for NAME` comes last."""
    errors = [line.partition("ERROR: ")[2] for line in text.splitlines() if line.startswith("ERROR: ")]
    return (errors or text.strip().splitlines()[-1:] or ["pip failed"])[-1][:200]


def completed(job: Job, package: Package) -> Package:
    """The code with what starts it: the requirements where ModelArts looks for them, and the boot file."""
    added: dict[str, bytes] = {}
    if job.requirements in package.files:
        added[REQUIREMENTS] = installed(job.requirements, package)
    if starts_by_boot_file(job):
        added[BOOT] = (PACKAGE / "cloud" / "prepare" / "boot_file.py").read_bytes()
        added[NOTE] = (json.dumps(note(job), indent=1, ensure_ascii=False) + "\n").encode()
    if job.keep:
        from mindlift.program import bundle

        added.update({f".mindlift/{name}": data for name, data in bundle.files().items()})
    return replace(package, files=dict(sorted({**package.files, **added}.items()))) if added else package


def installed(file: str, package: Package) -> bytes:
    """A file in a folder is named, because what it names is relative to it; its digest tells versions apart."""
    data = package.files[file]
    if "/" not in file:
        return data
    return f"# {hashlib.sha256(data).hexdigest()}\n-r {file}\n".encode()


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
    words += [f"--local={name}={path}" for name, path in job.paths.items()]
    return [*words, f"--as={WAYS.get(job.access, 'args')}"]
