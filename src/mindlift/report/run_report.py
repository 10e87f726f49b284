"""What shows a run while it trains; see training/report.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from mindlift.report import page as pages
from mindlift.report.events import TensorBoard
from mindlift.report.loggers.board import Loggers
from mindlift.runs import folder as run_folder
from mindlift.runs import metrics
from mindlift.runs.paths import RunPaths


class RunReport:
    """Draws the run's page, for which it reads each line of the metrics once, writes TensorBoard's events and tells loggers."""

    def __init__(self) -> None:
        self.followers: dict[Path, metrics.Follower] = {}

    def draw(self, run: Path, page: Path) -> None:
        follower = self.followers.setdefault(run, metrics.Follower(RunPaths(run).metrics))
        pages.put(page, [run_folder.read(run, follower=follower)])

    def board(self, run: Path, folder: Path, steps: int) -> TensorBoard:
        return TensorBoard(run, folder, steps)

    def loggers(
        self, names: str, run: Path, options: Mapping[str, object], warn: Callable[[str], None]
    ) -> Loggers:
        return Loggers(names, run, options, warn)
