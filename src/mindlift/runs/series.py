"""Curves that fit on a screen however long the run was. Pure.

A curve keeps the least and the greatest value of every bucket, so that a spike of one step in ten million is seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

KEPT = 20_000  # buckets of a curve that is being read
DIGITS = 5


@dataclass(frozen=True)
class Curve:
    """Values at optimiser steps, in the order of the steps; `times` are unix seconds. Three arrays of one length."""

    steps: np.ndarray
    times: np.ndarray
    values: np.ndarray

    def __len__(self) -> int:
        return len(self.steps)

    def at(self, places: np.ndarray) -> Curve:
        return Curve(self.steps[places], self.times[places], self.values[places])

    def thinned(self, buckets: int) -> Curve:
        return self.at(extremes(self.values, buckets))

    def median(self) -> float:
        return float(np.median(self.values))


def extremes(values: np.ndarray, buckets: int) -> np.ndarray:
    """Places, rising, of the first, the last, and the least and the greatest value of each of `buckets` equal shares.

    All places if there are no more than two for each bucket.
    """
    count = len(values)
    if count <= 2 * buckets:
        return np.arange(count)
    size = -(-count // buckets)
    whole = count // size
    table = values[: whole * size].reshape(whole, size)
    starts = np.arange(whole) * size
    found = [starts + table.argmin(1), starts + table.argmax(1), np.array([0, count - 1])]
    if whole * size < count:
        rest = values[whole * size :]
        found.append(whole * size + np.array([rest.argmin(), rest.argmax()]))
    return np.unique(np.concatenate(found))


class Recorder:
    """Gathers one curve block by block in bounded memory: old blocks are thinned when there are many points."""

    def __init__(self, kept: int = KEPT):
        self.kept, self.count = kept, 0
        self.blocks: list[Curve] = []

    def add(self, block: Curve) -> None:
        """Points after those that are there; values that are no finite numbers are left out."""
        block = block.at(np.flatnonzero(np.isfinite(block.values)))
        if len(block):
            self.blocks.append(block)
            self.count += len(block)
        if self.count > 8 * self.kept:
            self.blocks = [joined(self.blocks).thinned(self.kept)]
            self.count = len(self.blocks[0])

    def cut(self, step: int) -> None:
        """Forget what came after `step`."""
        while self.blocks and self.blocks[-1].steps[-1] > step:
            last = self.blocks.pop()
            self.count -= len(last)
            kept = last.at(np.arange(int(np.searchsorted(last.steps, step, "right"))))
            if len(kept):
                self.blocks.append(kept)
                self.count += len(kept)

    def curve(self) -> Curve:
        return joined(self.blocks)


def joined(blocks: Sequence[Curve]) -> Curve:
    if not blocks:
        return Curve(np.zeros(0, np.int64), np.zeros(0), np.zeros(0))
    fields = ("steps", "times", "values")
    return Curve(*(np.concatenate([getattr(block, name) for block in blocks]) for name in fields))


def numbers(raw: Sequence[object]) -> np.ndarray:
    """float64 of JSON values; nan for what is no number."""
    try:
        return np.array(raw, np.float64)
    except (TypeError, ValueError, OverflowError):
        return np.array([number(each) for each in raw], np.float64)


def number(raw: object) -> float:
    return float(raw) if isinstance(raw, (int, float)) and abs(raw) < 1e300 else float("nan")


def rounded(values: np.ndarray) -> list[float]:
    """Plain numbers of DIGITS significant digits, short in JSON."""
    return [float(f"{value:.{DIGITS}g}") for value in values.tolist()]
