"""A Python environment over the user's: `moxing` as every container has it, and the job's pip-requirements.txt.

The user's own environment stays as it is. A virtual environment is laid over it, whose packages come first:
what the requirements ask for, then the user's packages, then `moxing` with what it needs, where a platform's
image has it too: installed, and not on PYTHONPATH, which is the program's. It is kept for later jobs.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from mindlift.checkout import PACKAGE, ROOT
from mindlift.cloud.errors import JobError
from mindlift.cloud.providers.local.interpreter import Interpreter, ask

FORM = "1"  # of what is below; another one makes new environments
REQUIREMENTS = "pip-requirements.txt"  # in the code's folder: what ModelArts installs before the start
COMPAT = ROOT / "compat"
OURS = (COMPAT, PACKAGE, ROOT / "default_config.yaml")  # the last by which checkout.py knows where it is
FOR_MOXING = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "urllib3", "six")
NO_SUCH = "No matching distribution found for "


def layered(parent: Interpreter, requirements: Path, home: Path) -> Interpreter:
    """The environment over `parent` with `requirements`, a file that need not be there; made if it is new.

    JobError with the requirement that can't be installed.
    """
    folder = home / key(parent, requirements)
    with alone(folder):
        if not (folder / "complete").exists():
            make(folder, parent, requirements)
    found = ask(str(folder / "bin/python"))
    links = (os.path.realpath(path) for path in (folder / "moxing-needs").iterdir())
    places = (*found.places, *parent.places, *map(str, OURS), *links)
    return replace(found, places=places, commands=(*found.commands, *parent.commands))


def key(parent: Interpreter, requirements: Path) -> str:
    """Another one if the user installs something, because the requirements may be met by it."""
    changed = [str(os.stat(path).st_mtime_ns) for path in parent.packages if os.path.isdir(path)]
    asked = requirements.read_bytes() if requirements.is_file() else b""
    told = [
        FORM,
        str(COMPAT),
        sys.prefix,
        parent.python,
        *map(str, parent.version),
        *parent.packages,
        *changed,
    ]
    return hashlib.sha256("\n".join(told).encode() + b"\n" + asked).hexdigest()[:16]


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """One process makes an environment, others wait for it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{folder}.lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def make(folder: Path, parent: Interpreter, requirements: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)  # what a killed process left
    made = run([parent.python, "-m", "venv", "--without-pip", str(folder)])
    if made.returncode:
        raise JobError(f"python: {parent.python} makes no virtual environment: {last_line(made.stderr)}")
    needs = folder / "moxing-needs"
    needs.mkdir()
    packages = folder / "lib/python{}.{}/site-packages".format(*parent.version)
    lines = [f"import site; site.addsitedir({path!r})" for path in parent.packages]
    (packages / "mindlift-rehearsal.pth").write_text("\n".join([*lines, str(COMPAT), str(needs), ""]))
    copy_scripts(Path(parent.python).parent, folder / "bin")
    if requirements.is_file():
        install(folder, parent, ["-r", requirements.name], requirements)
    if "boto3" not in ask(str(folder / "bin/python")).has:
        bring_boto3(folder, parent, needs)
    (folder / "complete").touch()


def copy_scripts(source: Path, target: Path) -> None:
    """The commands of the environment below, such as msrun, with this one's Python."""
    for path in source.iterdir():
        if path.is_file() and not (target / path.name).exists():
            with open(path, "rb") as file:
                first = file.readline(200)
                if first.startswith(b"#!") and b"python" in first:
                    (target / path.name).write_bytes(first_line(f"{target}/python") + file.read())
                    (target / path.name).chmod(0o755)


def first_line(python: str) -> bytes:
    """Of a script. The kernel knows no spaces there and no more than 127 bytes: a shell does, as in pip's scripts."""
    line = f"#!{python}\n"
    if " " in python or len(os.fsencode(line)) > 127:
        line = f"#!/bin/sh\n'''exec' \"{python}\" \"$0\" \"$@\"\n' '''\n"
    return os.fsencode(line)


def install(folder: Path, parent: Interpreter, what: list[str], named: Path) -> None:
    """By pip, in the folder of `named`, from which a requirement such as ./wheels/x.whl counts."""
    python = str(folder / "bin/python")
    # -I: a program's folder may hold a logging.py
    pip = [python, "-I", "-m", "pip"]
    if "pip" not in parent.has:
        pip = [sys.executable, "-I", "-m", "pip", "--python", python]
    done = run([*pip, "install", "--quiet", "--disable-pip-version-check", "--no-input", *what], named.parent)
    if done.returncode:
        raise JobError(f"{named.name}: {reason(done.stderr)}")


def reason(said: str) -> str:
    """What pip could not install, from what it wrote."""
    lines = [line.strip() for line in said.splitlines()]
    missing = next((line.partition(NO_SUCH)[2] for line in lines if NO_SUCH in line), "")
    if missing:
        is_offline = "connection broken" in said or "NewConnectionError" in said
        return f"{missing} can't be installed: " + (
            "no package index answers" if is_offline else "no such version"
        )
    errors = [line for line in lines if line.startswith("ERROR:")]
    return f"can't be installed: {(errors or lines or ['pip failed'])[-1]}"


def bring_boto3(folder: Path, parent: Interpreter, needs: Path) -> None:
    """What `moxing` reaches buckets with: this program's, if that Python takes it, else one that fits it."""
    for name in FOR_MOXING:
        spec = importlib.util.find_spec(name)
        if spec and spec.origin:
            found = Path(spec.origin)
            found = found.parent if found.name == "__init__.py" else found
            (needs / found.name).symlink_to(os.path.realpath(found))
    if run([str(folder / "bin/python"), "-I", "-c", "import boto3"]).returncode:
        shutil.rmtree(needs)
        needs.mkdir()
        with contextlib.suppress(
            JobError
        ):  # `import moxing` works without it, and names it when it is needed
            install(folder, parent, ["--target", str(needs), "boto3"], needs / "boto3")


def run(command: list[str], folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def last_line(text: str) -> str:
    return (text.strip().splitlines() or ["nothing said"])[-1]
