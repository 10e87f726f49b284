"""How far a reader is in what a training reads, where evaluations come between its batches. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

SKIPPED_AFTER = 64  # batches of the training behind a planned evaluation that has not begun


class Evaluation(NamedTuple):
    """Planned after so many batches of the training, counted from its beginning: all images, `passes` times."""

    after: int
    passes: int


class Position:
    """Counts rounds: batches of the training from `first` on, and those of planned evaluations, `per_pass` each pass.

    An evaluation that is not planned counts nothing, and a planned one that is left out is passed over.
    """

    def __init__(self, first: int, evaluations: Sequence[Evaluation] = (), per_pass: int = 0):
        self.trained, self.evaluations, self.per_pass = first, list(evaluations), per_pass
        self.at = 0  # the evaluation that comes next, or goes on
        self.before = 0  # rounds of evaluations that are over
        self.passes = self.rounds = 0  # of the one that goes on

    @property
    def next(self) -> Evaluation | None:
        return self.evaluations[self.at] if self.at < len(self.evaluations) else None

    @property
    def is_planned(self) -> bool:
        """Whether an evaluation that is read now is a planned one."""
        return self.next is not None and self.next.after <= self.trained

    def train(self, batches: int) -> int:
        """The rounds that are done once so many batches of the training are."""
        self.trained = batches
        while self.next is not None and not self.rounds and not self.passes:
            if self.trained <= self.next.after + SKIPPED_AFTER:
                break
            self.end_evaluation(self.next)
        return self.done

    def evaluate(self, batches: int, of: int) -> int:
        """The same once so many batches `of` a pass of an evaluation are."""
        planned = self.next
        if planned is None or not self.is_planned:
            return self.done
        self.rounds = min(batches, self.per_pass)
        if batches >= of:
            self.passes, self.rounds = self.passes + 1, 0
        if self.passes >= planned.passes:
            self.end_evaluation(planned)
        return self.done

    def end_evaluation(self, ended: Evaluation) -> None:
        self.before += ended.passes * self.per_pass
        self.at, self.passes, self.rounds = self.at + 1, 0, 0

    @property
    def done(self) -> int:
        trained = self.trained
        if self.next is not None:
            trained = min(trained, self.next.after)
        return trained + self.before + self.passes * self.per_pass + self.rounds
