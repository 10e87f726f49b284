"""The library of models/cpu/*.cpp, compiled for this machine's CPU and kept in the cache folder.

Importing this module needs no mindspore.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

from mindlift.checkout import PACKAGE
from mindlift.errors import ConfigError
from mindlift.model_utils import compiler, mindspore_build
from mindlift.model_utils.compiler import NotCompiled
from mindlift.model_utils.devices import CPU, Device

SOURCES = PACKAGE / "models/cpu"
ONEDNN, INTERFACE = (
    "lib/libdnnl.so.2",
    (2, 2),
)  # in MindSpore's folder, and the version that onednn.h declares
FLAGS = ("-fopenmp", "-fno-math-errno", "-fno-trapping-math")
TRIED = ((2, 7), (2, 8))  # versions of MindSpore that they were held against


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
    """The library, below `folder`, compiled unless a process has done that before; NotCompiled with the reason if there is none.

    Its name says of which source, by which compiler and for which CPU it is. Several processes may call this at once.
    """
    if mindspore[:2] not in TRIED:
        raise NotCompiled("this project's kernels for CPUs were tried with MindSpore 2.7 and 2.8 only")
    sources, headers = (sorted(SOURCES.glob(pattern)) for pattern in ("*.cpp", "*.h"))
    path = compiler.library(folder, "kernels", sources, [*FLAGS, *onednn()], headers)
    check(path)
    return path


def onednn() -> list[str]:
    """What to link, and where to find it again; NotCompiled if MindSpore does not bring it, or in another version."""
    found = (mindspore_build.folder() or Path()) / ONEDNN
    if not found.is_file():
        raise NotCompiled(f"this MindSpore has no {ONEDNN}")
    version = ctypes.CDLL(str(found)).dnnl_version
    version.restype = ctypes.POINTER(ctypes.c_int * 2)
    if tuple(version().contents) != INTERFACE:
        raise NotCompiled(
            "this MindSpore's oneDNN is {}.{}, not {}.{}".format(*version().contents, *INTERFACE)
        )
    return [str(found), f"-Wl,-rpath,{found.parent}"]


def check(path: Path) -> None:
    """NotCompiled unless the library loads here and normalises two rows as it should."""
    try:
        rows = ctypes.CDLL(str(path)).rows
    except (OSError, AttributeError) as err:
        raise NotCompiled(f"{path} does not load: {err}") from err
    floats = ctypes.c_float * 4
    x, numbers, y, mean, scale = floats(1, 3, -2, 2), floats(0), floats(), floats(), floats()
    arrays = (ctypes.c_void_p * 5)(*(ctypes.addressof(each) for each in (x, numbers, y, mean, scale)))
    shape = (ctypes.c_int64 * 2)(2, 2)
    shapes = (ctypes.c_void_p * 1)(ctypes.addressof(shape))
    code = rows(5, arrays, (ctypes.c_int * 1)(2), shapes, None, None, None)
    if code != 0 or list(y) != [-1, 1, -1, 1]:
        raise NotCompiled(f"{path} computes {list(y)} where it should be -1, 1, -1, 1; delete it")
