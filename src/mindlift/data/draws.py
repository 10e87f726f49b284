"""The random numbers of images: a function of (seed, stage, epoch, image), computed for many images at once.

Philox4x32-10 of Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3 (SC 2011): a counter goes in, random bits come
out, and nothing is kept. So numbers cost a few microseconds per image, where a stream of its own costs 30.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
KEY_STEPS = 0x9E3779B9, 0xBB67AE85
ROUNDS = 10
LOW = 0xFFFFFFFF
STAGES = 2**8  # at most


def philox(counters: np.ndarray, key: tuple[int, int]) -> np.ndarray:
    """(4, ...) uint64 of 32 bits each -> the same shape: the random bits of each counter."""
    c0, c1, c2, c3 = counters
    k0, k1 = key
    for _ in range(ROUNDS):
        first, second = c0 * MULTIPLIERS[0], c2 * MULTIPLIERS[1]
        c0, c1, c2, c3 = (second >> 32) ^ c1 ^ k0, second & LOW, (first >> 32) ^ c3 ^ k1, first & LOW
        k0, k1 = (k0 + KEY_STEPS[0]) & LOW, (k1 + KEY_STEPS[1]) & LOW
    return np.stack([c0, c1, c2, c3])


def uniforms(
    seed: int, epoch: int, images: np.ndarray, counts: Sequence[int], repetitions: np.ndarray | int = 0
) -> list[np.ndarray]:
    """For each stage of augmentation i (N, counts[i]) float64, even in [0, 1), of `images` (N,) in this epoch.

    A stage's numbers are the same whatever the others take, and its first ones whatever it takes itself. `repetitions`
    (N,) says how often an image has come before in the epoch; each time it has other numbers.
    """
    blocks = [math.ceil(count / 4) for count in counts]
    counters = np.zeros((4, len(images), sum(blocks)), np.uint64)
    counters[0] = np.concatenate([np.arange(number) for number in blocks])
    counters[1] = np.asarray(images)[:, None]
    counters[2] = epoch
    counters[3] = np.repeat(np.arange(len(blocks)), blocks)
    counters[3] += np.asarray(repetitions, np.uint64).reshape(-1, 1) * np.uint64(STAGES)
    found = philox(counters, (seed, 0)).transpose(1, 2, 0).reshape(len(images), -1) / 2.0**32
    parts = np.split(found, np.cumsum(blocks)[:-1] * 4, axis=1)
    return [part[:, :count] for part, count in zip(parts, counts)]


def symmetric_beta(alpha: float, numbers: np.ndarray) -> np.ndarray:
    """(N,) values of Beta(alpha, alpha) of (N, 2) uniform numbers: Devroye, Random Variate Generation in One Line of
    Code (WSC 1996), from Bailey's polar method for Student's t of 2 alpha degrees of freedom."""
    side = np.cos(2 * np.pi * numbers[:, 1])
    with np.errstate(over="ignore", invalid="ignore"):  # of a spread without bounds, where the limit is 1
        squared = ((1.0 - numbers[:, 0]) ** (-1.0 / alpha) - 1.0) * side**2
        share = np.where(np.isinf(squared), 1.0, squared / (1.0 + squared))
    return 0.5 + 0.5 * np.sign(side) * np.sqrt(share)


class Draws:
    """One image's numbers, taken one after another; as much of numpy's Generator as augmentation uses."""

    __slots__ = ("numbers", "taken")

    def __init__(self, numbers: Sequence[float]):
        self.numbers, self.taken = numbers, 0

    def random(self) -> float:
        """Even in [0, 1)."""
        self.taken += 1
        return self.numbers[self.taken - 1]

    def uniform(self, low: float, high: float) -> float:
        return low + (high - low) * self.random()

    def integer(self, stop: int) -> int:
        """0 ... stop - 1; a share of 2 ** -32 * stop at most is uneven."""
        return int(self.random() * stop)

    def generator(self) -> np.random.Generator:
        """For what needs more numbers than can be known before; takes one, as the seed."""
        return np.random.default_rng(self.integer(2**32))

    def normal(self, mean: float, deviation: float) -> float:
        """By Box and Muller; takes two numbers."""
        radius = math.sqrt(-2.0 * math.log(1.0 - self.random()))
        return mean + deviation * radius * math.cos(2.0 * math.pi * self.random())
