"""Every path of a run, in one class.

<ckpt_path>/<time>/config.yaml  classes.json (names in order of label)  versions.json  metrics.jsonl  result.json (when it ended well)
                   transfers.jsonl (what was copied from and to a bucket)
                   evaluation.json  evaluation/*.png (of the newest evaluation)  report.html
                   logs/rank_<r>.log
                   checkpoints/manifest.jsonl  <net>-<epoch>_<step>.ckpt
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mindlift.files import make_folder

# The one list of a run's small files: what is published, restored, fetched and reported beside logs and checkpoints.
RECORDS = (
    "run.json",
    "config.yaml",
    "classes.json",
    "versions.json",
    "metrics.jsonl",
    "transfers.jsonl",
    "evaluation.json",
)
RUNS = "????????-??????*"  # a pattern of the names of runs
CLASSES = "classes.json"
RESULT = "result.json"  # says that the run has ended, so it comes last


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
