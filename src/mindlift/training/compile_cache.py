"""MindSpore's compile cache for the training step, so that a job that continues does not compile it again.

MindSpore numbers the graphs that a process compiles and loads what has the number, after a look at the source files only:
other options, or another order of compilations, give another program's graph without a word
(mindspore/ccsrc/pipeline/jit, compile_cache_manager.cc: compile_cache_id_, GetCompileDepFilesHash). So only the step is
cached, which is always the first, in a folder whose name is a hash of all that decides it. Weights and the optimiser's
state are no part of it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Generator, Mapping
from pathlib import Path

from mindlift.errors import StorageError
from mindlift.files import make_folder

TRIED = ((2, 7), (2, 10))  # first and last version of MindSpore whose cache was held against a compilation
ENABLE, PLACE = "MS_COMPILER_CACHE_ENABLE", "MS_COMPILER_CACHE_PATH"
KEPT = 64  # newest graphs in the cache folder, of some megabytes each and one for each rank
SOURCES = Path(__file__).resolve().parent


def is_tried(mindspore_version: str) -> bool:
    """Whether the cache of this version was tried; of others it is not known what they load."""
    numbers = tuple(int(part) for part in mindspore_version.split(".")[:2])
    return TRIED[0] <= numbers <= TRIED[1]


def key(facts: Mapping[str, object]) -> str:
    """A name for a graph that these facts and this version of the program make."""
    mark = hashlib.sha256(repr(sorted(facts.items())).encode())
    for path in sorted(SOURCES.rglob("*.py")):
        mark.update(path.read_bytes())
    return mark.hexdigest()[:24]


@contextlib.contextmanager
def caching(folder: Path | None) -> Generator[None, None, None]:
    """Take graphs that are compiled meanwhile from `folder`, or put them there when all went well; None: neither.

    A process writes to a folder of its own first, so that nobody reads half of a graph. A cache that can't be written
    is no reason to end a training: then there is none.
    """
    if folder is None or os.environ.get(ENABLE):  # a user's own cache stays the user's business
        yield
        return
    part = folder.with_name(f"{folder.name}.{os.getpid()}.part")
    try:
        make_folder(folder.parent)
    except StorageError:
        yield
        return
    os.environ.update({ENABLE: "1", PLACE: str(folder if folder.is_dir() else part)})
    try:
        yield
        keep(part, folder)
    finally:
        del os.environ[ENABLE], os.environ[PLACE]
        shutil.rmtree(part, ignore_errors=True)


def keep(part: Path, folder: Path) -> None:
    """Give a finished `part` its name, unless another process was first, and delete the oldest of its neighbours."""
    if part.is_dir() and not folder.exists():
        with contextlib.suppress(OSError):  # another process was first
            os.replace(part, folder)
    if folder.is_dir():
        with contextlib.suppress(OSError):  # of somebody else's
            os.utime(folder)
    for old in sorted(folder.parent.iterdir(), key=age, reverse=True)[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)


def age(path: Path) -> float:
    """Seconds on any clock, larger for older; what another rank has deleted meanwhile is the oldest of all."""
    try:
        return -path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
