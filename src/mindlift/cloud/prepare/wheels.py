"""Wheels that travel with the code of a job, for images without a network."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mindlift.cloud.errors import JobError
from mindlift.cloud.prepare import images
from mindlift.cloud.prepare.images import Image
from mindlift.cloud.prepare.package import Package
from mindlift.model_utils.packages import WHEELS, name_of

# Names of one C library or older ones: PEP 513, 571 and 599, and what PEP 600 calls the same. EulerOS 2.8 has glibc 2.28.
TAGS = ("manylinux2014", "manylinux_2_17", "manylinux_2_24", "manylinux_2_27", "manylinux_2_28")
TIMEOUT_S = 600
INSTALL_UV = "pip install uv, which chooses versions for another Python and processor than this computer's"


def add(package: Package, image: Image | None, wanted: Sequence[str]) -> Package:
    """The package with wheels of what the image lacks; JobError if the image is not known, or has no such wheels."""
    if image is None:
        raise JobError(
            "--wheels true needs an image or an engine whose Python is known; add it to images.yaml"
        )
    names = images.added(image, wanted)
    if not names:
        return package
    with tempfile.TemporaryDirectory() as folder:
        pins = [pin for pin in resolved(image, names) if images.added(image, [pin])]
        download(image, pins, Path(folder))
        files = {f"{WHEELS}/{path.name}": path.read_bytes() for path in sorted(Path(folder).glob("*.whl"))}
    return replace(package, files={**package.files, **files})


def resolved(image: Image, names: Sequence[str]) -> list[str]:
    """name==version of `names` and all that they need, for the image's Python and beside what it has."""
    with tempfile.TemporaryDirectory() as folder:
        constraints, wanted = Path(folder, "constraints.txt"), Path(folder, "requirements.in")
        constraints.write_text("".join(f"{name}=={version}\n" for name, version in pinned(image).items()))
        wanted.write_text("".join(f"{name}\n" for name in names))
        command = [
            find_uv(),
            "pip",
            "compile",
            "--quiet",
            "--no-header",
            "--no-annotate",
            "--only-binary",
            ":all:",
        ]
        command += ["--python-version", image.python, "--python-platform", f"{arch(image)}-manylinux2014"]
        lines = run([*command, "--constraint", str(constraints), str(wanted)], names, image).splitlines()
    return [line.strip() for line in lines if "==" in line]


def pinned(image: Image) -> dict[str, str]:
    """What PyPI can know of the image's packages: MindSpore itself and the platform's own are not there."""
    return {
        name: version
        for name, version in image.installed.items()
        if not name.startswith(("mindspore", "moxing"))
    }


def download(image: Image, pins: Sequence[str], folder: Path) -> None:
    platforms = [word for tag in TAGS for word in ("--platform", f"{tag}_{arch(image)}")]
    command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--quiet", "--no-deps"]
    command += [
        "--only-binary",
        ":all:",
        "--implementation",
        "cp",
        "--python-version",
        image.python,
        *platforms,
    ]
    run([*command, "--dest", str(folder), *pins], list(map(name_of, pins)), image)


def run(command: Sequence[str], names: Sequence[str], image: Image) -> str:
    shown = ", ".join(names)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise JobError(f"{shown}: no wheels after {TIMEOUT_S} s; is there a network?") from None
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()] or ["no message"]
        raise JobError(f"no wheels of {shown} for {image}: {' '.join(lines[:4])[:400]}")
    return done.stdout


def arch(image: Image) -> str:
    return image.arch or "aarch64"  # what the Ascend machines of both platforms are


def find_uv() -> str:
    beside = shutil.which("uv", path=str(Path(sys.executable).parent))
    found = beside or shutil.which("uv")
    if found is None:
        raise JobError(f"--wheels true: {INSTALL_UV}")
    return found
