"""Which checkpoints the options of a program name, and what is to be said where there was a choice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mindlift.errors import CheckpointError
from mindlift.models.weights.published import is_named
from mindlift.runs.manifest import WEIGHTS, best_first, latest, listed
from mindlift.runs.paths import run_folders
from mindlift.storage.url import is_remote


@dataclass(frozen=True)
class Named:
    """Checkpoints, newest first but for the best of a run that keeps it (`is_best`), which comes before them; and a line
    on how they were found, or ''.
    """

    files: list[Path]
    note: str = ""
    is_best: bool = False

    @property
    def which(self) -> str:
        """What the first of several is."""
        return "the best by its evaluations" if self.is_best else "the newest"

    @property
    def taken(self) -> str:
        """What is to be said where the first one is taken."""
        is_choice = self.is_best and len(self.files) > 1
        said = f"{self.files[0]} is taken, {self.which}" if is_choice else ""
        return "; ".join(part for part in (self.note, said) if part)

    def to_evaluate(self, every: bool) -> Named:
        """All of them, or the newest; the note says that there are more."""
        if every or len(self.files) == 1:
            return self
        newest = self.files[0]
        more = (
            f"{newest.parent} has {len(self.files)} checkpoints: {newest.name}, {self.which}, is evaluated;"
            " --all true evaluates every one"
        )
        return replace(self, files=[newest], note="; ".join(part for part in (self.note, more) if part))


def is_elsewhere(place: str) -> bool:
    """Whether weights have to be brought here: from a bucket, or from those who publish them."""
    return is_remote(place) or is_named(place)


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
        return of_run(newest)
    return of_path(weights[0])


def of_path(path: Path) -> Named:
    runs = [] if has_weights(path) else run_folders(path)
    if not runs:
        return with_best(candidates(path)) if (path / "checkpoints").is_dir() else Named(candidates(path))
    newest = newest_checkpoint(path)
    if newest is None:
        raise CheckpointError(f"none of the {len(runs)} runs in {path} has a complete checkpoint")
    run = newest.parent.parent.name
    if len(runs) == 1:
        return of_run(newest, f"{path} has a run: {run} is taken")
    return of_run(newest, f"{path} has {len(runs)} runs: {run}, the newest with a checkpoint, is taken")


def of_run(newest: Path, note: str = "") -> Named:
    """The checkpoints of a run of which `newest` is the newest that is not damaged."""
    return with_best(from_here_on(newest), note)


def with_best(files: list[Path], note: str = "") -> Named:
    """`files` of a run, with its best one first if the run keeps that (`--keep_best`)."""
    folder = files[0].parent
    scored = best_first([saved for saved in listed(folder) if saved.path(folder) in files])
    if not scored:
        return Named(files, note)
    first = scored[0].path(folder)
    return Named([first, *(file for file in files if file != first)], note, is_best=True)


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
