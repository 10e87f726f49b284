"""What a container's image lacks is installed, and nothing of the image is moved.

An image brings MindSpore with the numpy, scipy, pillow and protobuf that it was built against. pip gets every
distribution that is there as a constraint, so it adds what is missing in versions that fit, or fails. Nothing is
compiled. A folder `wheels` beside the code, which `--wheels` of a submission fills, serves where there is no network.

Only the standard library is imported here, because this runs before anything else is known to be there.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import importlib.util
import os
import re
import site
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from mindlift import sanitize
from mindlift.checkout import ROOT
from mindlift.errors import MindLiftError
from mindlift.language import localized
from mindlift.model_utils.ranks import Env, in_cloud_job

REQUIREMENTS = "container-requirements.txt"
WHEELS = "wheels"
MODULES = {  # of distributions that are imported under another name
    "opencv-python-headless": "cv2",
    "pillow": "PIL",
    "pyyaml": "yaml",
    "scikit-learn": "sklearn",
}
OPTIONAL = "# optional"
PIP_TIMEOUT_S, LOCK_TIMEOUT_S, PAUSE_S = 900, 1800, 0.5


class PackageError(MindLiftError, RuntimeError):
    """The image lacks packages that could not be installed."""


def read(path: Path = ROOT / REQUIREMENTS) -> tuple[list[str], list[str]]:
    """The distributions that every job needs, and those that only some need."""
    needed, _, optional = path.read_text(encoding="utf-8").partition(f"\n{OPTIONAL}\n")
    return names(needed), names(optional)


def names(text: str) -> list[str]:
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    return [line for line in lines if line]


def for_options(
    segments: bool, embedded: bool, weights: Sequence[str], tensorboard: bool, nets: Sequence[str]
) -> list[str]:
    """What a job with these options needs beside what every job needs."""
    found = ["mindcv"] if any(re.match(r"mindcv[.:]", net) for net in nets) else []
    if segments:
        found.append("opencv-python-headless<5")
    if embedded:
        found.append("scikit-learn")
    if any(file.endswith(".safetensors") for file in weights):
        found.append("safetensors")
    return [*found, "tensorboardX"] if tensorboard else found


def module_of(distribution: str) -> str:
    name = name_of(distribution)
    return MODULES.get(name, name)


def name_of(requirement: str) -> str:
    """`opencv-python-headless<5` -> opencv-python-headless"""
    return re.split(r"[<>=!~;\[ ]", requirement, maxsplit=1)[0]


def missing(distributions: Sequence[str]) -> list[str]:
    return [each for each in distributions if importlib.util.find_spec(module_of(each)) is None]


def ensure(distributions: Sequence[str] | None = None, env: Env | None = None) -> None:
    """In a job of a platform, install those of `distributions` (None: what every job needs) that the image lacks.

    One process of a node installs, the others wait for it. Raises PackageError; elsewhere than in such a job nothing
    is installed, and what is missing is said where it is imported.
    """
    env = os.environ if env is None else env
    if not in_cloud_job(env):
        return
    wanted = read()[0] if distributions is None else list(distributions)
    if not missing(wanted):
        return
    with only_process():
        lacking = missing(wanted)  # a process before this one may have installed them
        if lacking:
            install(lacking)


def ready() -> bool:
    """Whether what every job needs is there, or could be added; says why not."""
    try:
        ensure()
    except PackageError as err:
        print(localized(f"error: {sanitize.error(err)}"), file=sys.stderr)
        return False
    return True


def install(
    distributions: Sequence[str], wheels: Path = ROOT / WHEELS, say: Callable[[str], None] = print
) -> None:
    """pip install, with what is installed as constraints, wheels only. Raises PackageError."""
    shown = ", ".join(distributions)
    places: list[list[str]] = [["--no-index", "--find-links", str(wheels)]] if wheels.is_dir() else []
    started, last = time.monotonic(), ""
    for place in [*places, []]:
        code, last = pip_install([*place, *distributions])
        if not code:
            forget_missing()
            if not missing(distributions):
                say(
                    f"installed {shown}, which this image lacks, in {time.monotonic() - started:.0f} s; nothing else was changed"
                )
                return
    raise PackageError(
        f"this image lacks {shown}, and pip can't add them without moving what is there: {last or 'no message'};"
        f" submit with --wheels true, which sends them along, or name an image that has them"
    )


def pip_install(arguments: Sequence[str]) -> tuple[int, str]:
    """pip's exit code and its last line."""
    pip = [sys.executable, "-m", "pip"]
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder, "constraints.txt")
        try:
            constraints.write_text(installed(), encoding="utf-8")
            done = subprocess.run(
                [
                    *pip,
                    "install",
                    "--disable-pip-version-check",
                    "--no-input",
                    "--only-binary",
                    ":all:",
                    "--constraint",
                    str(constraints),
                    *arguments,
                ],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=PIP_TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.SubprocessError) as err:
            return 1, str(err).splitlines()[0]
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    return done.returncode, (errors or lines or [""])[-1].strip()


def installed() -> str:
    """name==version of each distribution, as constraints; those from a file or a repository have no version to ask for."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", "list", "--format=freeze"],
        capture_output=True,
        text=True,
        timeout=PIP_TIMEOUT_S,
        check=True,
    )
    return "".join(f"{line}\n" for line in done.stdout.splitlines() if "==" in line)


def forget_missing() -> None:
    """What was looked for in vain can be found now, in the folder of the user too."""
    if site.ENABLE_USER_SITE:
        site.addsitedir(site.getusersitepackages())
    importlib.invalidate_caches()


@contextlib.contextmanager
def only_process() -> Iterator[None]:
    """One process of this user on this machine at a time; raises PackageError after LOCK_TIMEOUT_S."""
    path = Path(tempfile.gettempdir(), f"mindlift-packages-{os.getuid()}.lock")
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as err:
        raise PackageError(
            f"can't lock {path}: {err.strerror}; remove it, or set TMPDIR to another folder"
        ) from err
    deadline = time.monotonic() + LOCK_TIMEOUT_S
    try:
        while not locked(descriptor):
            if time.monotonic() > deadline:
                raise PackageError(
                    f"another process has been installing packages for {LOCK_TIMEOUT_S} s ({path})"
                )
            time.sleep(PAUSE_S)
        yield
    finally:
        os.close(descriptor)


def locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def main() -> int:
    """`python -m mindlift.model_utils.packages`: install what this Python lacks, the optional packages one by one."""
    needed, optional = read()
    try:
        with only_process():
            if missing(needed):
                install(missing(needed))
            for each in missing(optional):
                try:
                    install([each])
                except PackageError as err:
                    print(localized(f"warning: {err}"), file=sys.stderr)
    except PackageError as err:
        print(localized(f"error: {sanitize.error(err)}"), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
