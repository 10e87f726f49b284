"""Which folder a run lives in: a new one, or that of the unfinished run that it continues."""

from __future__ import annotations

import fcntl
import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

from mindlift.backports import Protocol
from mindlift.errors import CheckpointError
from mindlift.files import make_folder, write_atomic
from mindlift.runs.manifest import latest, listed
from mindlift.runs.paths import RUNS, RunPaths
from mindlift.storage.url import is_remote


@dataclass(frozen=True)
class Run:
    """An opened run: its paths, the checkpoint to continue from, if any, and the steps done by then.

    With `--resume auto` only rank 0 has the checkpoint; the other ranks get its values from there.
    """

    paths: RunPaths
    resume_from: Path | None
    step: int = 0
    lock: TextIO | None = None


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


def fingerprint(identity: Mapping[str, object], size: int) -> str:
    """What must be equal for a run to be a continuation of another one: options and rank count."""
    fixed = dict(identity)
    if not is_remote(str(fixed.get("data_url") or "")):
        fixed["data_url"] = ""  # a folder that the platform has filled; which one differs between jobs
    text = json.dumps({**fixed, "ranks": size}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def open_run(cfg: Settings, base: Path, rank: int, size: int, agree: Callable[[list[int]], list[int]]) -> Run:
    """Choose and create the run's folder below `base`, the same on all ranks: rank 0 decides, `agree` spreads it."""
    template = RunPaths(
        base, rank, Path(cfg.log_path) if cfg.log_path else None, own_checkpoints=not cfg.is_save_on_master
    )
    mark = fingerprint(cfg.identity(), size)
    explicit = explicit_checkpoint(cfg.resume)
    choice, lock = ([0, 0, 0, 0], None)
    if rank == 0:
        choice, lock = choose(base, mark, may_continue=cfg.resume == "auto")
    day, second, suffix, step = agree(choice)
    paths = replace(template, root=base / folder_name(day, second, suffix)).create()
    if rank == 0:
        write_atomic(paths.root / "run.json", json.dumps({"fingerprint": mark, "ranks": size}) + "\n")
    if rank == 0 and explicit is None and step:
        explicit = at_step(paths.root / "checkpoints", step)
    return Run(paths, explicit, step, lock)


def choose(base: Path, mark: str, may_continue: bool) -> tuple[list[int], TextIO | None]:
    """[day, second, suffix, step to continue from or 0] of the run folder, and the held lock."""
    for root in sorted(base.glob(RUNS), reverse=True) if may_continue else []:
        saved = latest(root / "checkpoints") if unfinished(root, mark) else None
        lock = hold(RunPaths(root).lock) if saved else None
        if saved and lock:
            return [*parse_name(root.name), saved.step], lock
    day, second = (int(part) for part in time.strftime("%Y%m%d %H%M%S").split())
    suffix = 0
    while (base / folder_name(day, second, suffix)).exists():
        suffix += 1
    root = base / folder_name(day, second, suffix)
    make_folder(root)
    return [day, second, suffix, 0], hold(RunPaths(root).lock)


def folder_name(day: int, second: int, suffix: int) -> str:
    return f"{day:08d}-{second:06d}" + (f"-{suffix}" if suffix else "")


def parse_name(name: str) -> list[int]:
    day, second, *suffix = name.split("-")
    return [int(day), int(second), int(suffix[0]) if suffix else 0]


def unfinished(root: Path, mark: str) -> bool:
    """Whether `root` holds a run of these settings that has not ended."""
    note = root / "run.json"
    if not note.is_file() or RunPaths(root).result.exists():
        return False
    try:
        return json.loads(note.read_text(encoding="utf-8")).get("fingerprint") == mark
    except ValueError:
        return False


def hold(path: Path) -> TextIO | None:
    """An open, exclusively locked file, or None while another process holds it. A kill releases it."""
    file = open(path, "a")  # noqa: SIM115 - held open for the life of the run
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


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
    return folder / saved.file


def at_step(folder: Path, step: int) -> Path:
    return next(folder / saved.file for saved in listed(folder) if saved.step == step)
