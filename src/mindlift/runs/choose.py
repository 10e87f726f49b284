"""Which folder a run lives in: a new one, or that of the unfinished run that it continues."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import itertools
import json
import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, TextIO, TypeVar

from mindlift.backports import Protocol
from mindlift.errors import CheckpointError, ConfigError, PeerError, StorageError
from mindlift.files import make_folder, sweep_parts, write_atomic
from mindlift.runs.manifest import has_sum, latest, listed
from mindlift.runs.paths import NOTE, RunPaths, parse_name, run_folders
from mindlift.runs.records import beginnings, read_object, warn
from mindlift.storage.url import is_remote

T = TypeVar("T")

MOST_BEGINNINGS = 100  # of a run that are noted, the newest
SAYS_WITHIN_S = 1.0  # a process that has just locked a run writes who it is


@dataclass(frozen=True)
class Run:
    """An opened run: its paths, the checkpoint to continue from, if any, and the steps done by then.

    With `--resume auto` only rank 0 has the checkpoint; the other ranks get its values from there.
    """

    paths: RunPaths
    resume_from: Path | None
    step: int = 0
    lock: TextIO | None = None
    is_over: bool = False  # it has ended, and only has to be published


class Settings(Protocol):
    """What of a configuration decides the folder; model_utils' Config has it, which is above this package."""

    @property
    def log_path(self) -> str: ...

    @property
    def is_save_on_master(self) -> bool: ...

    @property
    def resume(self) -> str: ...

    def identity(self) -> Mapping[str, object]:
        """The options that must be equal for a run to be continued."""


def meant(name: str, values: Mapping[str, T]) -> T | float:
    """What an option means in a run: of `epsilon`, where it is not set, what the first runs have written down."""
    is_first = values.get("optimizer") in ("momentum", "rmsprop")
    return 1.0 if name == "epsilon" and values[name] is None and is_first else values[name]


def fingerprint(identity: Mapping[str, object], size: int) -> str:
    """What must be equal for a run to be a continuation of another one: options and rank count."""
    fixed = dict(identity)
    if not is_remote(str(fixed.get("data_url") or "")):
        fixed["data_url"] = ""  # a folder that the platform has filled; which one differs between jobs
    text = json.dumps({**fixed, "ranks": size}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Wanted:
    """What must be equal for a run to be continued: its fingerprint, and the options and number of ranks behind it."""

    mark: str
    identity: Mapping[str, object]
    ranks: int


def wanted(identity: Mapping[str, object], size: int) -> Wanted:
    return Wanted(fingerprint(identity, size), identity, size)


def open_run(
    cfg: Settings,
    base: Path,
    ranks: tuple[int, int],
    agree: Callable[[list[int]], list[int]],
    is_left: Callable[[Path], bool] = lambda root: False,
) -> Run:
    """Choose and create the run's folder below `base`, the same on all ranks: rank 0 decides, `agree` spreads it.

    `ranks` are this rank and their number. `is_left` says of a run that has ended whether it has to be published still.
    """
    rank, size = ranks
    template = RunPaths(
        base, rank, Path(cfg.log_path) if cfg.log_path else None, own_checkpoints=not cfg.is_save_on_master
    )
    mark = fingerprint(cfg.identity(), size)
    explicit = explicit_checkpoint(cfg.resume)
    choice, lock = Choice(), None
    if rank == 0:
        try:
            choice, lock = choose(base, mark, cfg.resume == "auto", is_left)
        except BaseException:
            agree(list(Choice()))  # the others wait for it
            raise
    choice = Choice(*agree(list(choice)))
    if not choice.day:
        raise PeerError("rank 0 could not choose a folder for the run; its log says why")
    paths = replace(template, root=base / folder_name(*choice[:3])).create()
    if choice.is_over:
        return Run(paths, None, choice.step, lock, is_over=True)
    if rank == 0:
        begun = [*beginnings(read_object(paths.root / NOTE)), round(time.time(), 1)][-MOST_BEGINNINGS:]
        write_atomic(
            paths.root / NOTE, json.dumps({"fingerprint": mark, "ranks": size, "begun": begun}) + "\n"
        )
        if explicit is None and choice.step:
            explicit = at_step(paths.root / "checkpoints", choice.step)
    return Run(paths, explicit, choice.step, lock)


class Choice(NamedTuple):
    """The name of a run's folder, the step to continue from or 0, and whether the run has ended; no day: no run."""

    day: int = 0
    second: int = 0
    suffix: int = 0
    step: int = 0
    is_over: int = 0


def choose(
    base: Path, mark: str, may_continue: bool, is_left: Callable[[Path], bool] = lambda root: False
) -> tuple[Choice, TextIO | None]:
    """The run, and its lock, which is held; ConfigError if the run to continue is in use."""
    while may_continue:
        found = unpublished(base, mark, is_left) or furthest(base, mark)
        if found is None:
            break
        root, step, is_over = found
        is_here = holder(root).endswith(f" on {platform.node()}")
        lock = hold(RunPaths(root).lock)
        if lock is None:
            raise in_use(root)
        sweep(root, is_here)
        if RunPaths(root).result.exists() == is_over:  # else it has ended meanwhile
            return Choice(*named(root), step, is_over), lock
        lock.close()
    return begin(base)


def unpublished(base: Path, mark: str, is_left: Callable[[Path], bool]) -> tuple[Path, int, bool] | None:
    """The newest run of these settings that has ended, but is not in the bucket as a whole."""
    for root in reversed(run_folders(base)):
        if RunPaths(root).result.exists() and is_left(root) and is_of(root, mark):
            return root, 0, True
    return None


def furthest(base: Path, mark: str) -> tuple[Path, int, bool] | None:
    """Of the runs of these settings that have not ended the one with most steps, whichever began last.

    Damaged checkpoints are passed over. ConfigError if there is none, and a run that has saved nothing yet is in use.
    """
    roots = [root for root in run_folders(base) if is_unfinished(root, mark)]
    saved = [
        (record.step, named(root), root, record) for root in roots for record in listed(root / "checkpoints")
    ]
    for step, _, root, record in sorted(saved, key=lambda each: each[:2], reverse=True):
        if has_sum(record.path(root / "checkpoints"), record):
            return root, step, False
    for root in roots:
        lock = hold(RunPaths(root).lock)
        if lock is None:
            raise in_use(root)
        lock.close()
    return None


def begin(base: Path) -> tuple[Choice, TextIO | None]:
    """A folder that no other process has made, and its lock."""
    make_folder(base)
    day, second = (int(part) for part in time.strftime("%Y%m%d %H%M%S").split())
    for suffix in itertools.count():
        root = base / folder_name(day, second, suffix)
        try:
            root.mkdir()
        except FileExistsError:
            continue
        except OSError as err:
            raise StorageError(
                f"can't write to {base}: {err.strerror}; pass another folder with --ckpt_path"
            ) from err
        lock = hold(RunPaths(root).lock)
        if lock is not None:
            return Choice(day, second, suffix), lock
    raise AssertionError


def named(root: Path) -> tuple[int, int, int]:
    found = parse_name(root.name)
    assert found, root
    return found


def folder_name(day: int, second: int, suffix: int) -> str:
    return f"{day:08d}-{second:06d}" + (f"-{suffix}" if suffix else "")


def is_unfinished(root: Path, mark: str) -> bool:
    """Whether `root` holds a run of these settings that has not ended."""
    return not RunPaths(root).result.exists() and is_of(root, mark)


def is_of(root: Path, mark: str) -> bool:
    return read_object(root / NOTE).get("fingerprint") == mark


def hold(path: Path) -> TextIO | None:
    """An open, exclusively locked file, or None while another process holds it. A kill releases it.

    On a file system without locks nothing keeps a second process out.
    """
    file = open(path, "a+", encoding="utf-8", errors="replace")  # noqa: SIM115 - held open for the life of the run
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    except OSError as err:
        warn(
            path,
            f"{path.parent} is on a file system without locks ({err.strerror}); start no second training there",
        )
    with contextlib.suppress(OSError):  # a full disk: it only says who it is
        file.truncate(0)
        file.write(f"process {os.getpid()} on {platform.node()}\n")
        file.flush()
    return file


def holder(root: Path) -> str:
    """Who holds the lock of a run, or did."""
    try:
        return RunPaths(root).lock.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def sweep(root: Path, is_here: bool) -> None:
    """Remove the half-written files of a run that was killed: its rank 0, which alone writes most of them, held the lock.

    Those of other ranks go where the run was on this machine (`is_here`) and their process has ended.
    """
    paths = RunPaths(root)
    for folder in (root, paths.checkpoints, paths.pictures, paths.events):
        sweep_parts(folder, is_proven=True)
    for folder in paths.checkpoints.glob("rank_*") if is_here else ():
        sweep_parts(folder, is_proven=False)


def in_use(root: Path) -> ConfigError:
    deadline = time.monotonic() + SAYS_WITHIN_S
    while not holder(root) and time.monotonic() < deadline:
        time.sleep(0.02)
    return ConfigError(
        f"{root} is in use by {holder(root) or 'another process'}, which trains with these settings; end that process, or begin"
        " another run with --resume none"
    )


def explicit_checkpoint(resume: str) -> Path | None:
    """The checkpoint that `--resume PATH` names; raises CheckpointError if there is none."""
    if resume in ("auto", "none", ""):
        return None
    path = Path(resume)
    if path.is_file():
        return path
    if not path.is_dir():
        raise CheckpointError(
            f"--resume {resume}: no such file or folder; give a run folder, a checkpoint, auto or none"
        )
    folder = path / "checkpoints" if (path / "checkpoints").is_dir() else path
    saved = latest(folder)
    if saved is None:
        raise CheckpointError(
            f"--resume {resume}: no complete checkpoint in {folder}; start a new run with --resume none"
        )
    return saved.path(folder)


def at_step(folder: Path, step: int) -> Path:
    return next(saved.path(folder) for saved in listed(folder) if saved.step == step)
