"""Which MindSpore is installed, and whether this project and the libraries beside it go with it.

Nothing here imports mindspore: an image that can't train says so in one line before anything else happens. What a
version can do is asked of it where it matters; versions are compared here only.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from pathlib import Path

from mindlift.backports import package_version
from mindlift.errors import DeviceError
from mindlift.interrupts import Deferred
from mindlift.language import localized
from mindlift.model_utils.devices import Device

OLDEST, NEWEST = (2, 0), (2, 10)  # docs/versions.md has the table of what was tried
RANKS_ON_CPUS = (2, 5)  # 2.0.0 was tried, and 2.5.0.dev20250119; no registry has what is between them
NUMPY_1 = (2, 11)  # MindSpore's own metadata asks for numpy<2 up to 2.10
GO_ON = "pass --any_mindspore true to try all the same"


def folder() -> Path | None:
    spec = importlib.util.find_spec("mindspore")
    return Path(spec.origin).parent if spec and spec.origin else None


def installed_version() -> str:
    """Of the MindSpore that `import mindspore` would find, whatever its distribution is called; '' if there is none."""
    found = folder()
    try:
        text = (found / "version.py").read_text(encoding="utf-8") if found else ""
    except OSError:
        return ""
    match = re.search(r"__version__\s*=\s*['\"]([^'\"]+)", text)
    return match.group(1) if match else ""


def build() -> str:
    """The version and, of what its makers have built, the commit: of one version there may be several builds."""
    found = folder()
    try:
        commit = (found / ".commit_id").read_text(encoding="utf-8") if found else ""
    except OSError:
        commit = ""
    return f"{installed_version()} {commit.strip()}".strip()


def numbers(version: str) -> tuple[int, int]:
    """(2, 10) of 2.10.0rc1; (0, 0) if it has no such beginning."""
    match = re.match(r"(\d+)\.(\d+)", version)
    return (int(match.group(1)), int(match.group(2))) if match else (0, 0)


def problem(version: str, numpy: str, pillow: str) -> str:
    """Why these do not work together, and what to do, as one line; '' if nothing is known against them."""
    if not version:
        return ""
    found = numbers(version)
    if not OLDEST <= found <= NEWEST:
        which = "older" if found < OLDEST else "newer"
        return (
            f"MindSpore {version} is {which} than what this project runs with ({shown(OLDEST)} to {shown(NEWEST)});"
            f" choose an image or an environment with one of these"
        )
    if numbers(numpy) >= (2, 0) and found < NUMPY_1:
        return f"MindSpore {version} was built against NumPy 1, and NumPy {numpy} is installed: pip install 'numpy<2'"
    if numbers(pillow) >= (10, 0) and found < (2, 3) and needs_old_pillow():
        return f"MindSpore {version} uses what Pillow 10 removed, and Pillow {pillow} is installed: pip install 'pillow<10'"
    return ""


def needs_old_pillow() -> bool:
    """Whether a module reads PIL.Image.ANTIALIAS without asking whether it is there."""
    found = folder()
    files = sorted(found.glob("dataset/vision/*.py")) if found else []
    uses = [
        line
        for path in files
        for line in path.read_text(encoding="utf-8").splitlines()
        if "Image.ANTIALIAS" in line
    ]
    return bool(uses)


def versions() -> dict[str, str]:
    """Of MindSpore and of what writes data with it."""
    return {
        "mindspore": installed_version(),
        "numpy": package_version("numpy"),
        "pillow": package_version("pillow"),
    }


def ranks_problem(version: str, size: int, device: Device) -> str:
    """Why this many processes could not train together; ''."""
    if not version or size == 1 or not device.meets_by_node_id or numbers(version) >= RANKS_ON_CPUS:
        return ""
    return (
        f"{size} processes on CPUs do not find each other with MindSpore {version}, which takes no rank from MS_NODE_ID;"
        f" start one process, or use MindSpore {shown(RANKS_ON_CPUS)} or later"
    )


def check(any_version: bool = False) -> None:
    """DeviceError if this MindSpore, or what is beside it, is known not to work; a warning if `any_version`."""
    refuse(problem(installed_version(), package_version("numpy"), package_version("pillow")), any_version)


def check_ranks(size: int, device: Device, any_version: bool) -> None:
    """The same for `size` processes that are to train together on a device."""
    refuse(ranks_problem(installed_version(), size, device), any_version)


def refuse(found: str, any_version: bool) -> None:
    if found and not any_version:
        raise DeviceError(f"{found}, or {GO_ON}")
    if found:
        print(localized(f"warning: {found}"), file=sys.stderr)


def load() -> None:
    """`import mindspore`. ImportError if there is none; DeviceError in one line if it is there and can't be imported."""
    with Deferred(says=""):  # a process that has imported half of mindspore crashes when it ends
        try:
            importlib.import_module("mindspore")
        except ModuleNotFoundError as err:
            if err.name == "mindspore":
                raise
            raise unusable(err) from err
        except (AttributeError, ImportError, OSError, SystemError, TypeError, ValueError) as err:
            raise unusable(err) from err


def unusable(err: Exception) -> DeviceError:
    beside = f"Python {sys.version_info[0]}.{sys.version_info[1]}, NumPy {package_version('numpy')}, Pillow {package_version('pillow')}"
    reason = (str(err).splitlines() or [type(err).__name__])[0]
    return DeviceError(
        f"MindSpore {installed_version()} can't be imported with {beside}: {reason}; the doctor (mindlift doctor) says"
        " what goes with it"
    )


def shown(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
