"""Libraries of C++ sources, compiled for this machine's CPU once and kept in the cache folder."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from mindlift.errors import MindLiftError
from mindlift.files import make_folder, sync, temporary_folder

COMPILERS = ("g++", "c++", "clang++")
FLAGS = ("-std=c++11", "-O3", "-shared", "-fPIC")
NATIVE = {"x86_64": "-march=native", "aarch64": "-mcpu=native"}
COMPILE_S = 120.0
INSTEAD = "install g++ (Debian: apt install g++), or name another C++ compiler with the variable CXX"


class NotCompiled(MindLiftError):
    """Why there is no library: a reason to do without."""


def library(folder: Path, name: str, sources: Sequence[Path], flags: Sequence[str]) -> Path:
    """The library, below `folder`, compiled unless a process has done that before; NotCompiled with the reason if there is none.

    Its name says of which sources, by which compiler and for which CPU it is. Several processes may call this at once.
    """
    compiler = next(filter(None, map(shutil.which, [os.environ.get("CXX", ""), *COMPILERS])), None)
    if compiler is None:
        raise NotCompiled(f"there is no C++ compiler here ({', '.join(COMPILERS)}); {INSTEAD}")
    command = [compiler, *FLAGS, *filter(None, [NATIVE.get(platform.machine())]), *map(str, sources), *flags]
    path = folder / f"{name}-{key(command, sources)}.so"
    if not path.is_file():
        compile_to(path, command)
    return path


def key(command: list[str], sources: Sequence[Path]) -> str:
    """What decides the compiled file: the sources, the compiler and its options, and this machine's CPU."""
    version, contents = run([command[0], "--version"]), [source.read_bytes() for source in sources]
    return hashlib.sha256(repr((contents, command, version, cpu())).encode()).hexdigest()[:24]


def cpu(path: Path = Path("/proc/cpuinfo")) -> str:
    """The lines about the first CPU that say what code it runs."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n\n")[0].splitlines()
    except OSError:
        lines = []
    kept = [line for line in lines if line.lower().startswith(("model name", "flags", "features", "cpu "))]
    return "\n".join([platform.machine(), *(line for line in kept if "mhz" not in line.lower())])


def compile_to(path: Path, command: list[str]) -> None:
    """Whole or not at all, whatever other processes do; StorageError if the folder can't be written."""
    make_folder(path.parent)
    with temporary_folder("kernels", path.parent) as work:
        file = Path(work) / path.name
        run([*command, "-o", str(file)])
        sync(file)
        os.replace(file, path)


def run(command: list[str]) -> bytes:
    try:
        done = subprocess.run(command, capture_output=True, check=True, timeout=COMPILE_S)
    except subprocess.CalledProcessError as err:
        lines = err.stderr.decode(errors="replace").splitlines()
        said = next((line for line in lines if "error" in line), *lines[:1] or ["no reason given"])
        raise NotCompiled(f"{command[0]} ended with code {err.returncode}: {said}; {INSTEAD}") from err
    except subprocess.TimeoutExpired as err:
        raise NotCompiled(f"{command[0]} did not end within {COMPILE_S:.0f} s; {INSTEAD}") from err
    except OSError as err:
        raise NotCompiled(f"{command[0]} can't be started: {err.strerror}; {INSTEAD}") from err
    return done.stdout
