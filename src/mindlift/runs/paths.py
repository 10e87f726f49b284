"""Every path of a run, in one class.

<ckpt_path>/<time>/config.yaml  classes.json (names in order of label)  versions.json  metrics.jsonl  result.json (when it ended well)
                   transfers.jsonl (what was copied from and to a bucket)  loggers.json (how services find the run again)
                   evaluation.json  evaluation/*.png (of the newest evaluation)  report.html
                   logs/rank_<r>.log
                   checkpoints/manifest.jsonl  <net>-<epoch>_<step>.ckpt
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from mindlift.files import make_folder
from mindlift.runs.records import warn

# The one list of a run's small files: what is published, restored, fetched and reported beside logs and checkpoints.
RECORDS = (
    "run.json",
    "config.yaml",
    "classes.json",
    "versions.json",
    "metrics.jsonl",
    "transfers.jsonl",
    "evaluation.json",
    "loggers.json",
)
RUN_NAME = re.compile(r"([0-9]{8})-([0-9]{6})(?:-([0-9]{1,9}))?")
NOTE = "run.json"  # which settings the run is of
CLASSES = "classes.json"
RESULT = "result.json"  # says that the run has ended, so it comes last


def parse_name(name: str) -> tuple[int, int, int] | None:
    """(day, second, suffix) of the name of a run's folder; None for any other name."""
    found = RUN_NAME.fullmatch(name)
    return (int(found[1]), int(found[2]), int(found[3] or 0)) if found else None


def run_folders(base: Path) -> list[Path]:
    """The folders directly in `base` that are named as runs are, oldest first; copies with other names are none."""
    if not base.is_dir():
        return []
    named = [(parse_name(path.name), path) for path in base.iterdir()]
    others = [path.name for name, path in named if name is None and RUN_NAME.match(path.name)]
    if others:
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        warn(
            base,
            f"{base} has folders that are not named as runs are, and are passed over: {min(others)}{more}",
        )
    return [path for name, path in sorted((name, path) for name, path in named if name)]


@dataclass(frozen=True)
class RunPaths:
    """The folder `root` of one run, as seen by `rank`."""

    root: Path
    rank: int = 0
    log_folder: Path | None = None
    own_checkpoints: bool = False

    @property
    def config(self) -> Path:
        return self.root / "config.yaml"

    @property
    def classes(self) -> Path:
        return self.root / CLASSES

    @property
    def versions(self) -> Path:
        return self.root / "versions.json"

    @property
    def metrics(self) -> Path:
        return self.root / "metrics.jsonl"

    @property
    def transfers(self) -> Path:
        return self.root / "transfers.jsonl"

    @property
    def evaluation(self) -> Path:
        return self.root / "evaluation.json"

    @property
    def loggers(self) -> Path:
        return self.root / "loggers.json"

    @property
    def events(self) -> Path:
        """TensorBoard's."""
        return self.root / "events"

    @property
    def report(self) -> Path:
        return self.root / "report.html"

    @property
    def pictures(self) -> Path:
        """What evaluation.json names."""
        return self.root / "evaluation"

    @property
    def result(self) -> Path:
        return self.root / "result.json"

    @property
    def unpublished(self) -> Path:
        """There while a bucket, whose URL it holds, may not have all of the run."""
        return self.root / ".unpublished"

    @property
    def lock(self) -> Path:
        return self.root / ".lock"

    @property
    def log(self) -> Path:
        return (self.log_folder or self.root / "logs") / f"rank_{self.rank}.log"

    @property
    def checkpoints(self) -> Path:
        """Where this rank's checkpoints go; rank 0's, the ones to resume from, are in checkpoints/ itself."""
        folder = self.root / "checkpoints"
        return folder / f"rank_{self.rank}" if self.own_checkpoints and self.rank else folder

    def create(self) -> RunPaths:
        """Make the folders; raises StorageError that names the one that can't be made."""
        for folder in (self.root, self.log.parent, self.checkpoints):
            make_folder(folder)
        return self
