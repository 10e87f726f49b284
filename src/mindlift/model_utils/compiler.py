"""Libraries of C++ sources, compiled for this machine's CPU once and kept in the cache folder."""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from mindlift.errors import MindLiftError
from mindlift.files import CACHE_OPTION, make_folder, sync, temporary_folder

COMPILERS = ("g++", "c++", "clang++")
FLAGS = ("-std=c++11", "-O3", "-shared", "-fPIC")
NATIVE = {"x86_64": "-march=native", "aarch64": "-mcpu=native"}
COMPILE_S = 120.0
INSTEAD = "install g++ (Debian: apt install g++), or name another C++ compiler with the variable CXX"


class NotCompiled(MindLiftError):
    """Why there is no library: a reason to do without."""


def library(
    folder: Path, name: str, sources: Sequence[Path], flags: Sequence[str], headers: Sequence[Path] = ()
) -> Path:
    """The library, below `folder`, compiled unless a process has done that before; NotCompiled with the reason if there is none.

    Its name says of which sources, by which compiler and for which CPU it is. Several processes may call this at once. One
    that a full disk or a power failure has cut is compiled again: the process that loads it would die of a bus error.
    """
    begin, native = compiler(), filter(None, [NATIVE.get(platform.machine())])
    command = [*begin, *FLAGS, *native, *map(str, sources), *flags]
    path = folder / f"{name}-{key(begin, command, [*sources, *headers])}.so"
    if not is_whole(path):
        compile_to(path, command)
    return path


def compiler() -> list[str]:
    """The one that CXX names, with its arguments, or the first that is here; NotCompiled if it is not."""
    named = shlex.split(os.environ.get("CXX", ""))
    candidates = named[:1] or COMPILERS
    found = next(filter(None, map(shutil.which, candidates)), None)
    if found is None:
        raise NotCompiled(f"there is no C++ compiler here ({', '.join(candidates)}); {INSTEAD}")
    return [found, *named[1:]]


def key(compiler: list[str], command: list[str], sources: Sequence[Path]) -> str:
    """What decides the compiled file: the sources, the compiler and its options, and this machine's CPU."""
    version, contents = run([*compiler, "--version"]), [source.read_bytes() for source in sources]
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
    make_folder(path.parent, CACHE_OPTION)
    with temporary_folder("kernels", path.parent) as work:
        file = Path(work) / path.name
        run([*command, "-o", str(file)])
        with open(file, "ab") as library:  # a loader reads nothing behind its sections
            library.write(hashlib.sha256(file.read_bytes()).digest())
        sync(file)
        os.replace(file, path)


def is_whole(path: Path) -> bool:
    """Whether the file ends with its digest, as `compile_to` has written it."""
    try:
        content = path.read_bytes()
    except OSError:
        return False
    size = hashlib.sha256().digest_size
    return hashlib.sha256(content[:-size]).digest() == content[-size:]


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
