"""Whether a rehearsal's nodes get file systems of their own, and the commands that run in them.

Tried once per process by doing it, because there are many who may forbid it: the kernel's settings
(user.max_user_namespaces), Docker's seccomp filter, Ubuntu's AppArmor.
"""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from mindlift.cloud.errors import JobError
from mindlift.cloud.providers.local import file_system
from mindlift.cloud.providers.local.file_system import Mount
from mindlift.files import temporary_folder

ENTER = Path(__file__).parent / "enter.py"
WITHIN_S = 30.0
REACHES_OUT = "platform paths are mapped; a path written into code, such as /cache, is this computer's"


@functools.lru_cache(maxsize=None)
def obstacle() -> str:
    """Why no process can have a file system of its own on this computer; '' if it can."""
    if sys.platform != "linux":
        return f"mount namespaces are Linux's, and this is {sys.platform}"
    with temporary_folder("namespace") as root:
        command = inside(root, file_system.system(), "/", ["/bin/sh", "-c", ":"], {})
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=WITHIN_S)
        except (OSError, subprocess.TimeoutExpired) as err:
            return str(err)
    lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
    return lines[-1] if done.returncode else ""


def is_isolated(wanted: str) -> bool:
    """Whether a job's `isolation` leads to file systems of its own; JobError if it asks for what is impossible."""
    problem = obstacle() if wanted != "mapping" else ""
    if wanted == "namespace" and problem:
        raise JobError(
            f"isolation: namespace is not possible here: {problem}; use auto or mapping, or allow user namespaces"
        )
    return wanted != "mapping" and not problem


def describe(wanted: str) -> str:
    """How the nodes of a job with this `isolation` see their files, as a line of a log, `selfcheck` or `plan`."""
    if is_isolated(wanted):
        return "each node has a file system of its own"
    why = "as isolation: mapping says" if wanted == "mapping" else obstacle()
    return f"no file system of its own: {why}; {REACHES_OUT}"


def inside(
    root: str, mounts: Sequence[Mount], folder: str, command: Sequence[str], environment: Mapping[str, str]
) -> list[str]:
    """`command` in the file system of `mounts`. `root` is any folder; `environment` gets what enter.py must not see."""
    plan = {"root": root, "mounts": mounts, "folder": folder, "environment": dict(environment)}
    return [sys.executable, "-I", "-S", str(ENTER), json.dumps(plan), "--", *command]
