"""The environments: what an image would hold, made by pip, and what a job adds to it.

The registry (PyPI) has MindSpore 2.0.0 and 2.7.0 to 2.10.0 as `mindspore`, builds of 2.5.0 and 2.6.0 as `mindspore-dev`.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.pythons import find_python

ROOT = Path(__file__).resolve().parents[2]
HOME = Path(os.environ.get("MINDLIFT_MATRIX", Path.home() / ".cache" / "mindlift" / "matrix"))
OLD_LIBRARIES = ("numpy<2", "pillow<10", "scipy<1.14")  # as in images of that time


@dataclass(frozen=True)
class Environment:
    """A MindSpore, a Python, and the libraries that the image has beside them."""

    mindspore: str
    python: str
    package: str = "mindspore"
    libraries: tuple[str, ...] = ("numpy<2",)
    ranks: bool = True  # processes on CPUs can meet

    @property
    def name(self) -> str:
        return f"mindspore-{self.mindspore}-python{self.python}"

    @property
    def folder(self) -> Path:
        return HOME / self.name

    @property
    def interpreter(self) -> Path:
        return self.folder / "bin" / "python"


ENVIRONMENTS = (
    Environment("2.0.0", "3.7", libraries=OLD_LIBRARIES, ranks=False),
    Environment("2.0.0", "3.9", libraries=OLD_LIBRARIES, ranks=False),
    Environment("2.5.0.dev20250119", "3.9", "mindspore-dev", ("numpy<2", "scipy<1.14", "pillow<12")),
    Environment("2.6.0.dev20250323", "3.10", "mindspore-dev", ("numpy<2", "scipy<1.14", "pillow<12")),
    Environment("2.7.2", "3.9"),
    Environment("2.8.0", "3.11"),
    Environment("2.9.0", "3.11"),
    Environment("2.10.0", "3.10"),
)


class SetUpError(RuntimeError):
    """An environment could not be made."""


def set_up(environment: Environment) -> tuple[dict[str, str], dict[str, str]]:
    """Make the image if it is not there, add what a job adds; the packages (name: version) before and after."""
    before, ready = environment.folder / "image.txt", environment.folder / "ready"
    python = str(environment.interpreter)
    if not before.exists():
        python_there = find_python(environment.python)
        if not python_there:
            raise SetUpError(
                f"there is no Python {environment.python}: install one, with pyenv or by your system"
            )
        run([python_there, "-m", "venv", "--clear", str(environment.folder)])
        spec = f"{environment.package}=={environment.mindspore}"
        run(
            [
                python,
                "-m",
                "pip",
                "install",
                "--quiet",
                "--no-cache-dir",
                "--pre",
                spec,
                *environment.libraries,
            ]
        )
        before.write_text(frozen(python), encoding="utf-8")
    if not ready.exists():
        run([python, "-m", "mindlift.model_utils.packages"])
        ready.touch()
    return versions(before.read_text(encoding="utf-8")), versions(frozen(python))


def moved(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """The packages of the image that are not what they were."""
    return [f"{name} {old} -> {after.get(name)}" for name, old in before.items() if after.get(name) != old]


def frozen(python: str) -> str:
    return run([python, "-m", "pip", "--disable-pip-version-check", "list", "--format=freeze"])


def versions(text: str) -> dict[str, str]:
    return dict(line.split("==", 1) for line in text.split() if "==" in line)


def run(command: list[str]) -> str:
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    if done.returncode:
        raise SetUpError(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()[-2000:]}")
    return done.stdout
