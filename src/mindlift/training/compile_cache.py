"""MindSpore's compile cache for the training step, so that a job that continues does not compile it again.

MindSpore numbers the graphs that a process compiles and loads what has the number, after a look at the program's first file
and what that imports at its top: other options, other code, or another order of compilations give another program's graph
without a word (mindspore/ccsrc/pipeline/jit, compile_cache_manager.cc: compile_cache_id_; common/api.py:
_get_compile_cache_dep_files). So only the step is cached, of the first training of a process, in a folder whose name is a
hash of all that decides it. Weights and the optimiser's state are no part of it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sys
import sysconfig
from collections.abc import Callable, Generator, Iterable, Mapping
from pathlib import Path

from mindlift.checkout import PACKAGE
from mindlift.errors import StorageError
from mindlift.files import CACHE_OPTION, make_folder
from mindlift.json_text import read

TRIED = ((2, 7), (2, 10))  # first and last version of MindSpore whose cache was held against a compilation
ENABLE, PLACE = "MS_COMPILER_CACHE_ENABLE", "MS_COMPILER_CACHE_PATH"
KEPT, KEPT_BYTES = 64, 512 << 20  # newest graphs in the cache folder, one for each rank
SUMS = "sums.json"  # of a folder's files: what a power failure or a full disk has cut is not loaded
TAKEN: list[Path] = []  # by this process: MindSpore reads the folder's name once
NOT_LOOKED_INTO = ("mindlift", "mindspore", "numpy")  # the first is hashed whole, the second by its build


def is_tried(mindspore_version: str) -> bool:
    """Whether the cache of this version was tried; of others it is not known what they load."""
    numbers = tuple(int(part) for part in mindspore_version.split(".")[:2])
    return TRIED[0] <= numbers <= TRIED[1]


def key(facts: Mapping[str, object], files: Iterable[Path] = (), package: Path = PACKAGE) -> str:
    """A name for a graph that these facts, this version of the program, and other `files` of Python make."""
    mark = hashlib.sha256(repr(sorted(facts.items())).encode())
    main = Path(sys.argv[0])
    for path in (*modules(package), *sorted(files), *([main] if main.is_file() else [])):
        name = path.relative_to(package) if package in path.parents else path.name
        mark.update(f"\n{name}\n".encode() + path.read_bytes())
    return mark.hexdigest()[:24]


def modules(package: Path) -> list[Path]:
    """Its Python files. Path.rglob takes five times as long."""
    found = os.walk(package)
    return sorted(Path(folder, name) for folder, _, names in found for name in names if name.endswith(".py"))


def sources(cells: Iterable[object]) -> list[Path]:
    """The Python files that decide what cells compute, if any are not this project's.

    Those of their classes, and of whatever these files have by name from others: functions, classes, modules.
    """
    standard = sysconfig.get_paths()["stdlib"]
    found: dict[str, Path] = {}
    left = {type(cell).__module__ for cell in cells}
    while left:
        name = left.pop()
        file = getattr(sys.modules.get(name), "__file__", None)
        is_standard = file is None or (file.startswith(standard) and "-packages" not in file)
        if name in found or is_standard or name.partition(".")[0] in NOT_LOOKED_INTO:
            continue
        assert file is not None
        found[name] = Path(file)
        for value in list(vars(sys.modules[name]).values()):
            origin = value.__name__ if isinstance(value, type(sys)) else getattr(value, "__module__", None)
            if isinstance(origin, str):
                left.add(origin)
    return sorted(path for path in found.values() if path.suffix == ".py")


@contextlib.contextmanager
def caching(folder: Path | None, say: Callable[[str], None] = lambda _: None) -> Generator[None, None, None]:
    """Take graphs that are compiled meanwhile from `folder`, or put them there when all went well; None: neither.

    A process writes to a folder of its own first, so that nobody reads half of a graph. A cache that can't be written
    is no reason to end a training: then there is none, and `say` gets a line.
    """
    if folder is None or TAKEN or os.environ.get(ENABLE):  # a user's own cache stays the user's business
        yield
        return
    TAKEN.append(folder)
    part = folder.with_name(f"{folder.name}.{os.getpid()}.part")
    try:
        make_folder(folder.parent, CACHE_OPTION)
    except StorageError as err:
        say(f"the compiled graph is not kept: {err}")
        yield
        return
    is_there = is_whole(folder)
    if not is_there:
        shutil.rmtree(folder, ignore_errors=True)
    os.environ.update({ENABLE: "1", PLACE: str(folder if is_there else part)})
    try:
        yield
        try:
            keep(part, folder)
        except OSError as err:
            say(f"the compiled graph is not kept: {folder}: {err.strerror}")
    finally:
        del os.environ[ENABLE], os.environ[PLACE]
        shutil.rmtree(part, ignore_errors=True)


def has(folder: Path | None) -> bool:
    """Whether `caching` would find a graph in `folder`."""
    return folder is not None and not TAKEN and ENABLE not in os.environ and is_whole(folder)


def is_whole(folder: Path) -> bool:
    """Whether a graph was put into `folder` and is as it was written."""
    try:
        return read(folder / SUMS) == sums_of(folder)
    except (OSError, ValueError):
        return False


def sums_of(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != SUMS)
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def keep(part: Path, folder: Path) -> None:
    """Give a finished `part` its name, unless another process was first, and delete the oldest of its neighbours."""
    if part.is_dir() and not folder.exists():
        (part / SUMS).write_text(json.dumps(sums_of(part)), encoding="utf-8")
        with contextlib.suppress(OSError):  # another process was first
            os.replace(part, folder)
    if folder.is_dir():
        with contextlib.suppress(OSError):  # of somebody else's
            os.utime(folder)
    size = 0
    for count, each in enumerate(sorted(folder.parent.iterdir(), key=age)):
        size += size_of(each)
        if each != folder and (count >= KEPT or size > KEPT_BYTES):
            shutil.rmtree(each, ignore_errors=True)


def size_of(folder: Path) -> int:
    """Bytes of its files; what another rank deletes meanwhile counts for nothing."""
    size = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            size += path.stat().st_size
    return size


def age(path: Path) -> float:
    """Seconds on any clock, larger for older; what another rank has deleted meanwhile is the oldest of all."""
    try:
        return -path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
