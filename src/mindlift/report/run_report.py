"""What shows a run while it trains; see training/report.py."""

from __future__ import annotations

from pathlib import Path

from mindlift.report import page as pages
from mindlift.report.events import TensorBoard


class RunReport:
    """Draws the run's page and writes TensorBoard's events."""

    def draw(self, run: Path, page: Path) -> None:
        pages.write([run], page)

    def board(self, run: Path, folder: Path, steps: int) -> TensorBoard:
        return TensorBoard(run, folder, steps)
