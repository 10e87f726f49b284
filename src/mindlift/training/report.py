"""What shows a training to users, and is handed in: a training knows nothing of pages and event files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from mindlift.backports import Protocol
from mindlift.errors import MindLiftError
from mindlift.json_text import Record
from mindlift.model_utils.job_context import JobContext
from mindlift.runs.log import Board
from mindlift.runs.paths import RunPaths


class OptionsBoard(Board, Protocol):
    """A board that also shows the options of the run."""

    def options(self, values: Mapping[str, object]) -> None: ...


class Report(Protocol):
    """Called by rank 0; a MindLiftError is a warning in the log, and the training goes on."""

    def draw(self, run: Path, page: Path) -> None:
        """After each evaluation and at the end: show the run at `page`."""

    def board(self, run: Path, folder: Path, steps: int) -> AbstractContextManager[OptionsBoard]:
        """What gets each line of metrics.jsonl as well, from step `steps` on."""

    def loggers(
        self, names: str, run: Path, options: Mapping[str, object], warn: Callable[[str], None]
    ) -> AbstractContextManager[Board]:
        """The services that --loggers names, which get each line of metrics.jsonl as well."""


class Boards:
    """Several as one."""

    def __init__(self, boards: Sequence[Board]):
        self.boards = boards

    def add(self, record: Record) -> None:
        for board in self.boards:
            board.add(record)

    def pictures(self, step: int) -> None:
        for board in self.boards:
            board.pictures(step)


def draw(job: JobContext, report: Report, paths: RunPaths) -> None:
    """Rewrite the run's page; a training does not end for want of it."""
    if job.ranks.rank == 0:
        try:
            report.draw(paths.root, paths.report)
        except MindLiftError as err:
            job.log.warning(f"no {paths.report.name}: {err}")
