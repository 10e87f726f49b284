"""The library of models/cpu/*.cpp, compiled for this machine's CPU and kept in the cache folder.

Importing this module needs no mindspore.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
from pathlib import Path

from mindlift.checkout import PACKAGE
from mindlift.errors import ConfigError, MindLiftError
from mindlift.files import make_folder, sync, temporary_folder
from mindlift.model_utils import mindspore_build
from mindlift.model_utils.devices import CPU, Device

SOURCES = PACKAGE / "models/cpu"
ONEDNN = "lib/libdnnl.so.2"  # in MindSpore's folder
COMPILERS = ("g++", "c++", "clang++")
FLAGS = ("-std=c++11", "-O3", "-fopenmp", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC")
NATIVE = {"x86_64": "-march=native", "aarch64": "-mcpu=native"}
COMPILE_S = 120.0
INSTEAD = "install g++ (Debian: apt install g++), or name another C++ compiler with the variable CXX"
TRIED = ((2, 8),)  # versions of MindSpore that they were held against


class NoKernels(MindLiftError):
    """Why there is no library: a reason to do without."""


def serve(amp_level: str, device: Device, is_wanted: bool) -> bool:
    """Whether a network at this precision, on this device, computes with them; ConfigError if it must and can't."""
    level = device.amp_level if amp_level == "auto" else amp_level
    can = device.has_cpu_kernels and level == "O0"
    if is_wanted and not can:
        raise ConfigError(
            f"--cpu_kernels true: they compute in float32 on {CPU}, but this job runs on {device.target} with"
            f" --amp_level {level}; leave it out"
        )
    return can


def library(folder: Path, mindspore: tuple[int, ...]) -> Path:
    """The library, below `folder`, compiled unless a process has done that before; NoKernels with the reason if there is none.

    Its name says of which source, by which compiler and for which CPU it is. Several processes may call this at once.
    """
    if mindspore[:2] not in TRIED:
        raise NoKernels("this project's kernels for CPUs were tried with MindSpore 2.8 only")
    compiler = next(filter(None, map(shutil.which, [os.environ.get("CXX", ""), *COMPILERS])), None)
    if compiler is None:
        raise NoKernels(f"there is no C++ compiler here ({', '.join(COMPILERS)}); {INSTEAD}")
    command = [compiler, *FLAGS, *filter(None, [NATIVE.get(platform.machine())]), *sources()]
    path = folder / f"cpu-{key(command)}.so"
    if not path.is_file():
        compile_to(path, command)
    check(path)
    return path


def sources() -> list[str]:
    """The files to compile, oneDNN, and where to find it again; NoKernels if MindSpore does not bring it."""
    onednn = (mindspore_build.folder() or Path()) / ONEDNN
    if not onednn.is_file():
        raise NoKernels(f"this MindSpore has no {ONEDNN}")
    return [*map(str, sorted(SOURCES.glob("*.cpp"))), str(onednn), f"-Wl,-rpath,{onednn.parent}"]


def key(command: list[str]) -> str:
    """What decides the compiled file: the sources, the compiler and its options, and this machine's CPU."""
    version = run([command[0], "--version"])
    contents = [path.read_bytes() for path in sorted(SOURCES.glob("*.cpp"))]
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
        raise NoKernels(f"{shown(command)} ended with code {err.returncode}: {said}; {INSTEAD}") from err
    except subprocess.TimeoutExpired as err:
        raise NoKernels(f"{shown(command)} did not end within {COMPILE_S:.0f} s; {INSTEAD}") from err
    except OSError as err:
        raise NoKernels(f"{command[0]} can't be started: {err.strerror}; {INSTEAD}") from err
    return done.stdout


def shown(command: list[str]) -> str:
    return " ".join(map(shlex.quote, command))


def check(path: Path) -> None:
    """NoKernels unless the library loads here and normalises two rows as it should."""
    try:
        rows = ctypes.CDLL(str(path)).rows
    except (OSError, AttributeError) as err:
        raise NoKernels(f"{path} does not load: {err}") from err
    floats = ctypes.c_float * 4
    x, numbers, y, mean, scale = floats(1, 3, -2, 2), floats(0), floats(), floats(), floats()
    arrays = (ctypes.c_void_p * 5)(*(ctypes.addressof(each) for each in (x, numbers, y, mean, scale)))
    shape = (ctypes.c_int64 * 2)(2, 2)
    shapes = (ctypes.c_void_p * 1)(ctypes.addressof(shape))
    code = rows(5, arrays, (ctypes.c_int * 1)(2), shapes, None, None, None)
    if code != 0 or list(y) != [-1, 1, -1, 1]:
        raise NoKernels(f"{path} computes {list(y)} where it should be -1, 1, -1, 1; delete it")
