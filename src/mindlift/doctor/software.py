"""Python, MindSpore, what the two need, and how they fit. Looks at files; mindspore itself is not imported."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from mindlift.backports import package_version
from mindlift.checkout import IS_CHECKOUT, ROOT
from mindlift.doctor.finding import OK, PROBLEM, WARNING, Finding, graded, shown
from mindlift.model_utils import device_adapter, mindspore_build, packages
from mindlift.model_utils.ranks import Ranks
from mindlift.runs.revision import code_revision

PYTHONS = (
    (3, 8),
    (3, 12),
)  # of a training here; there is no MindSpore for later ones, and containers may have 3.7
ISA = "ONEDNN_MAX_CPU_ISA"
NARROW = ("SSE41", "AVX", "AVX2", "AVX2_VNNI")  # values that keep oneDNN off AVX-512
PYTHON = "make setup PYTHON=python3.11" if IS_CHECKOUT else "python3.11 -m venv NEW"
MINDSPORE = "make setup, or pip install mindspore==2.8.0" if IS_CHECKOUT else "pip install mindspore==2.8.0"
INSTALL = "make setup, or pip install -r requirements.txt"
if not IS_CHECKOUT:
    INSTALL = f"pip install -r {ROOT}/container-requirements.txt"


def all_findings() -> Iterator[Finding]:
    yield project()
    yield system()
    yield python(sys.version_info[:2])
    version = mindspore_build.installed_version()
    yield mindspore(version, mindspore_folder())
    if version:
        yield onednn(os.environ, version)
    pins = (ROOT / "requirements.txt").read_text() if IS_CHECKOUT else ""  # of a set-up by `make`
    yield requirements(pins, "\n".join(packages.read()[0]), installed())
    yield msrun()


def project() -> Finding:
    revision = code_revision(digits=12)
    return Finding("mindlift", OK, f"revision {revision or 'unknown (no git)'} in {shown(ROOT)}")


def system() -> Finding:
    libc = " ".join(platform.libc_ver()).strip() or "unknown libc"
    return Finding(
        "system", OK, f"{platform.system()} {platform.release()}, {platform.machine()}, {libc}, {cpu_model()}"
    )


def cpu_model(path: Path = Path("/proc/cpuinfo")) -> str:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "unknown CPU"
    match = re.search(r"^(?:model name|Hardware|CPU part)\s*:\s*(.+)$", text, flags=re.MULTILINE)
    return match[1].strip() if match else "unknown CPU"


def python(version: tuple[int, ...]) -> Finding:
    least, most = PYTHONS
    says = f"{platform.python_version()} at {shown(sys.executable)}"
    return graded(
        "python",
        least <= version <= most,
        says,
        f"use Python {named(least)} - {named(most)}, for which MindSpore has wheels: {PYTHON}",
        PROBLEM,
    )


def mindspore_folder() -> Path | None:
    spec = importlib.util.find_spec("mindspore")
    return Path(spec.origin).parent if spec and spec.origin else None


def mindspore(version: str, folder: Path | None) -> Finding:
    """Whether it is installed, was built for this Python, and is a version that this project was tried with."""
    if folder is None:
        return Finding("mindspore", PROBLEM, "not installed", MINDSPORE)
    says = f"{version or 'without a version'} in {shown(folder)}"
    built = [
        match[1]
        for path in folder.glob("_c_expression*")
        if (match := re.search(r"\.cpython-3(\d+)", path.name))
    ]
    if built and str(sys.version_info[1]) not in built:
        return Finding(
            "mindspore",
            PROBLEM,
            f"{says}, built for Python 3.{built[0]}",
            f"reinstall it with this Python: {shown(sys.executable)} -m pip install --force-reinstall mindspore=={version}",
        )
    problem = mindspore_build.problem(version, package_version("numpy"), package_version("pillow"))
    return graded("mindspore", not problem, says, problem, PROBLEM)


def onednn(env: Mapping[str, str], version: str, cpu_flags: frozenset[str] | None = None) -> Finding:
    """Which instructions oneDNN may use: what device_adapter would set, against what the user has set."""
    trial = {name: value for name, value in env.items() if name != ISA}
    device_adapter.prepare_environment(Ranks(), trial, cpu_flags, version)
    wanted, given = trial.get(ISA, ""), env.get(ISA, "")
    if given:
        return graded(
            "onednn",
            not wanted or given.upper() in NARROW,
            f"{ISA}={given}, as the environment has it",
            f"unset {ISA}: with this MindSpore on this CPU {wanted} is set instead, and convolutions are 30 - 80 times faster",
        )
    if wanted:
        return Finding(
            "onednn", OK, f"{ISA}={wanted} will be set (convolutions of this version are slow on AVX-512)"
        )
    return Finding("onednn", OK, "left as it is, which is right for this version and CPU")


def requirements(pins: str, ranges: str, there: Mapping[str, str]) -> Finding:
    """The pinned requirements of a set-up, and the wider ones without which nothing trains."""
    pinned, needed = specifications(pins), specifications(ranges)
    missing = [name for name in {**pinned, **needed} if name not in there]
    wrong = [
        f"{name} {there[name]} (needs {rule})"
        for name, rule in needed.items()
        if name in there and not fits(there[name], rule)
    ]
    other = [
        f"{name} {there[name]} (pinned {rule[2:]})"
        for name, rule in pinned.items()
        if name in there
        and not fits(there[name], rule)
        and not any(name == each.split()[0] for each in wrong)
    ]
    lost = [f"missing {', '.join(missing)}"] if missing else []
    if wrong or any(name in needed for name in missing):
        return Finding("requirements", PROBLEM, "; ".join([*wrong, *other, *lost]), INSTALL)
    return graded(
        "requirements",
        not other + lost,
        "; ".join(other + lost) or (f"{len(pinned)} as pinned" if pinned else f"{len(needed)} as needed"),
        INSTALL,
    )


def specifications(text: str) -> dict[str, str]:
    """Name -> rule such as '==1.2' or '>=1.2,<2', or '', of each line of a requirements file."""
    found = re.findall(r"^([A-Za-z0-9_.-]+)(?:\[\w+\])?[ \t]*([<>=][^;#\s]*)?", text, flags=re.MULTILINE)
    return {name.lower(): rule for name, rule in found}


def fits(version: str, rule: str) -> bool:
    """Whether a version obeys '==', '>=' and '<' as the requirements here use them."""
    tests = {"==": lambda a, b: a == b, ">=": lambda a, b: a >= b, "<": lambda a, b: a < b}
    parts = re.findall(r"(==|>=|<)([\d.]+)", rule)
    return all(tests[sign](numbers(version), numbers(bound)) for sign, bound in parts)


def numbers(version: str) -> tuple[int, ...]:
    """1.10.0rc1 -> (1, 10): the numbers in front, without zeros at the end."""
    match = re.match(r"\d+(\.\d+)*", version)
    found = [int(part) for part in match[0].split(".")] if match else []
    while found and not found[-1]:
        found.pop()
    return tuple(found)


def installed() -> dict[str, str]:
    """Name -> version of what this Python has."""
    names = specifications(
        (ROOT / "requirements.txt").read_text() + "\n" + (ROOT / "container-requirements.txt").read_text()
    )
    found = {name: package_version(name) for name in names}
    return {name: version for name, version in found.items() if version}


def msrun() -> Finding:
    """MindSpore's launcher starts the `python` that is first on PATH."""
    program, first = shutil.which("msrun"), shutil.which("python")
    activate = f"put {shown(Path(sys.executable).parent)} first on PATH (activate the environment), or start ranks with scripts/local_ranks.sh"
    if not program:
        return Finding("msrun", WARNING, "not on PATH", activate)
    is_same = first is not None and Path(first).parent == Path(sys.executable).parent
    return graded(
        "msrun",
        is_same,
        f"{shown(program)}, which starts {shown(first or 'no python: there is none on PATH')}",
        activate,
    )


def named(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def pair(version: str) -> tuple[int, int]:
    match = re.match(r"(\d+)\.(\d+)", version)
    return (int(match[1]), int(match[2])) if match else (0, 0)
