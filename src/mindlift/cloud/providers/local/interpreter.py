"""What there is to know about the Python that plays a container's: asked once, by starting it."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from mindlift import json_text
from mindlift.cloud.errors import JobError

WITHIN_S = 60.0
QUESTION = """
import importlib.util, json, sys
names = ("boto3", "mindspore", "pip", "torch")
print(json.dumps({
    "python": sys.executable,
    "prefixes": sorted({sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix}),
    "path": [entry for entry in sys.path if entry],
    "version": list(sys.version_info[:3]),
    "has": [name for name in names if importlib.util.find_spec(name)],
}))
"""


@dataclass(frozen=True)
class Interpreter:
    """A Python with what it can import. `places` is where its files are, `commands` where the commands beside it."""

    python: str
    commands: tuple[str, ...]
    version: tuple[int, ...]
    packages: tuple[str, ...]  # its folders of installed packages
    places: tuple[str, ...]
    has: frozenset[str] = frozenset()


def ask(python: str) -> Interpreter:
    """JobError if `python` does not start."""
    try:
        done = subprocess.run(
            [python, "-I", "-c", QUESTION], capture_output=True, text=True, check=False, timeout=WITHIN_S
        )
        found = json_text.parse(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired) as err:
        raise JobError(f"python: {python} does not start: {err}") from err
    packages = [entry for entry in found["path"] if Path(entry).name in ("site-packages", "dist-packages")]
    places = [*found["prefixes"], *found["path"], os.path.realpath(found["python"])]
    return Interpreter(
        found["python"],
        (str(Path(found["python"]).parent),),
        tuple(found["version"]),
        tuple(packages),
        tuple(places),
        frozenset(found["has"]),
    )
