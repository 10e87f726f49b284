"""Which checkpoints the options of a program name, and what is to be said where there was a choice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mindlift.errors import CheckpointError
from mindlift.runs.manifest import WEIGHTS, latest, listed
from mindlift.runs.paths import run_folders


@dataclass(frozen=True)
class Named:
    """Checkpoints, newest first, and a line on how they were found, or ''."""

    files: list[Path]
    note: str = ""

    def to_evaluate(self, every: bool) -> Named:
        """All of them, or the newest; the note says that there are more."""
        if every or len(self.files) == 1:
            return self
        newest = self.files[0]
        more = (
            f"{newest.parent} has {len(self.files)} checkpoints: {newest.name}, the newest, is evaluated;"
            " --all true evaluates every one"
        )
        return Named([newest], "; ".join(part for part in (self.note, more) if part))


def find(weights: Sequence[Path], base: Path) -> Named:
    """What `weights` name: a file, a folder of files, a run, or a folder of runs; without any, the newest run below `base`.

    `base` may also be a checkpoint itself, as DeepLabV3's documents have it. CheckpointError if there is none.
    """
    if len(weights) > 1:
        return Named(list(weights))
    if not weights and base.is_file():
        return Named([base])
    if not weights:
        newest = newest_checkpoint(base)
        if newest is None:
            raise CheckpointError(
                f"no checkpoint at {base} or below it; name one, or a run folder, with --pretrained"
            )
        return Named(from_here_on(newest))
    return of_path(weights[0])


def of_path(path: Path) -> Named:
    runs = [] if has_weights(path) else run_folders(path)
    if not runs:
        return Named(candidates(path))
    newest = newest_checkpoint(path)
    if newest is None:
        raise CheckpointError(f"none of the {len(runs)} runs in {path} has a complete checkpoint")
    run = newest.parent.parent.name
    if len(runs) == 1:
        return Named(from_here_on(newest), f"{path} has a run: {run} is taken")
    note = f"{path} has {len(runs)} runs: {run}, the newest with a checkpoint, is taken"
    return Named(from_here_on(newest), note)


def candidates(path: Path) -> list[Path]:
    """A file, or all checkpoints of a folder or run folder, newest first; CheckpointError if there are none."""
    if not path.is_dir():
        return [path]
    folder = path / "checkpoints" if (path / "checkpoints").is_dir() else path
    files = [saved.path(folder) for saved in reversed(listed(folder))]
    if not files:
        weights = [file for file in folder.iterdir() if file.suffix in WEIGHTS and file.is_file()]
        files = sorted(weights, key=lambda file: file.stat().st_mtime, reverse=True)
    if not files:
        raise CheckpointError(f"no {', '.join(WEIGHTS)} files in {path}")
    return files


def has_weights(path: Path) -> bool:
    """Whether `path` is a file, a run, or a folder with weights in it."""
    if not path.is_dir() or (path / "checkpoints").is_dir():
        return True
    try:
        return bool(candidates(path))
    except CheckpointError:
        return False


def from_here_on(newest: Path) -> list[Path]:
    """A checkpoint and the older ones of its run, newest first."""
    files = candidates(newest.parent)
    return files[files.index(newest) :] if newest in files else [newest]


def newest_checkpoint(base: Path) -> Path | None:
    """The newest complete checkpoint of the newest run below `base` that has one; `base` may be a run itself."""
    for root in [*reversed(run_folders(base)), base]:
        saved = latest(root / "checkpoints")
        if saved:
            return saved.path(root / "checkpoints")
    return None
