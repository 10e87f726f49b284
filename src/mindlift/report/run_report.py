"""What shows a run while it trains; see training/report.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from mindlift.report import page as pages
from mindlift.report.events import TensorBoard
from mindlift.report.loggers.board import Loggers


class RunReport:
    """Draws the run's page, writes TensorBoard's events and tells loggers."""

    def draw(self, run: Path, page: Path) -> None:
        pages.write([run], page)

    def board(self, run: Path, folder: Path, steps: int) -> TensorBoard:
        return TensorBoard(run, folder, steps)

    def loggers(
        self, names: str, run: Path, options: Mapping[str, object], warn: Callable[[str], None]
    ) -> Loggers:
        return Loggers(names, run, options, warn)
