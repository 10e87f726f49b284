"""What a training tells others of, who are handed in: it knows nothing of pages and event files."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from mindlift.runs.log import Board


class Hooks(Protocol):
    """Called by rank 0; a MindLiftError is a warning in the log, and the training goes on."""

    def draw(self, run: Path, page: Path) -> None:
        """After each evaluation and at the end: show the run at `page`."""

    def board(self, run: Path, folder: Path, steps: int) -> AbstractContextManager[OptionsBoard]:
        """What gets each line of metrics.jsonl as well, from step `steps` on."""


class OptionsBoard(Board, Protocol):
    """A board that also shows the options of the run."""

    def options(self, values: Mapping[str, Any]) -> None: ...
