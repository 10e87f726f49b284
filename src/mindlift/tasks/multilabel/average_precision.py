"""How well scores rank the images that have a label before those that have not. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


def average_precision(truth: np.ndarray, scores: np.ndarray) -> float | None:
    """The area below the steps of precision over recall, without interpolation: scikit-learn's average_precision_score.

    Of (N,) truths, 1 or 0, and scores. Equal scores count as one; a score that is no number is below all others. None
    where no truth is 1.
    """
    scores = np.where(np.isnan(scores), -np.inf, scores)
    order = np.argsort(-scores, kind="stable")
    found = np.cumsum(truth[order], dtype=np.int64)
    if not len(found) or not found[-1]:
        return None
    ordered = scores[order]
    last = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]), len(ordered) - 1)
    precision, recall = found[last] / (last + 1), found[last] / found[-1]
    return float((np.diff(recall, prepend=0.0) * precision).sum())


@dataclass(frozen=True)
class Ranking:
    """Of the images of an evaluation: the average precision of each class, None where no image has it, and how many have it;
    `f1` is that of all answers together, at a threshold.
    """

    precisions: list[float | None]
    positives: list[int]
    f1: float
    total: int

    @classmethod
    def of(cls, truth: np.ndarray, logits: np.ndarray, threshold: float) -> Ranking:
        """Of (N, K) truths, 1 or 0, and logits; a label is given from a probability of `threshold` on."""
        precisions = [average_precision(*column) for column in zip(truth.T, logits.T)]
        given = sigmoid(logits) >= threshold
        right = int((given & (truth > 0)).sum())
        answers = int(given.sum()) + int(truth.sum(dtype=np.int64))
        positives = truth.sum(0, dtype=np.int64).tolist()
        return cls(precisions, positives, 2 * right / answers if answers else 0.0, len(truth))

    @property
    def map(self) -> float:
        """The mean over the classes that there are."""
        known = [each for each in self.precisions if each is not None]
        return sum(known) / len(known)

    def by_name(self, names: Sequence[str]) -> dict[str, float | None]:
        return dict(zip(names, rounded(self.precisions)))


def rounded(values: Sequence[float | None]) -> list[float | None]:
    return [None if value is None else round(value, 6) for value in values]


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """float64, of any logits."""
    small = np.exp(-np.abs(logits.astype(np.float64)))
    return np.where(logits >= 0, 1.0, small) / (1.0 + small)
