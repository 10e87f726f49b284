"""Policies: which operations an image goes through. Each is drawn from the image's own random numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mindlift.backports import Protocol
from mindlift.data.classification.policies.operations import BLACK, OPERATIONS, TOP, WIDE, Look
from mindlift.data.classification.policies.tables import Entry
from mindlift.data.classification.rand_augment import blend, whole
from mindlift.data.draws import Draws

STEP_NUMBERS = 4  # of an operation at most: whether, two for its level, one for its value
MOST_DEPTH = 3  # of a chain of AugMix whose depth is drawn
STRENGTHS = 31  # of TrivialAugment


class Policy(Protocol):
    """Changes (H, W, 3) uint8; takes at most `numbers` random numbers."""

    @property
    def numbers(self) -> int: ...

    def applied(self, image: np.ndarray, draws: Draws) -> np.ndarray: ...


@dataclass(frozen=True)
class Levels:
    """How an operation's level deviates from the one that is asked for: by a normal deviation, or with infinity evenly
    from 0 to it; and the highest one."""

    deviation: float = 0.0
    highest: float = TOP

    def drawn(self, level: float, draws: Draws) -> float:
        if math.isinf(self.deviation):
            level = draws.uniform(0.0, level)
        elif self.deviation > 0:
            level = draws.normal(level, self.deviation)
        return max(0.0, min(level, self.highest))


def step(image: np.ndarray, entry: Entry, levels: Levels, look: Look, draws: Draws) -> np.ndarray:
    """`image` after one operation, or as it is."""
    if entry.probability < 1.0 and draws.random() > entry.probability:
        return image
    operation = OPERATIONS[entry.name]
    value = operation.value(levels.drawn(entry.level, draws), look, draws)
    return operation.apply(image, value, look)


@dataclass(frozen=True)
class AutoAugment:
    """One of the sub-policies. Cubuk et al., AutoAugment (CVPR 2019)."""

    policies: tuple[tuple[Entry, ...], ...]
    levels: Levels
    look: Look

    @property
    def numbers(self) -> int:
        return 1 + STEP_NUMBERS * max(map(len, self.policies))

    def applied(self, image: np.ndarray, draws: Draws) -> np.ndarray:
        for entry in self.policies[draws.integer(len(self.policies))]:
            image = step(image, entry, self.levels, self.look, draws)
        return image


@dataclass(frozen=True)
class RandAugment:
    """`layers` of the entries, each drawn from all, or by `weights` and then only once. Cubuk et al., RandAugment (2020)."""

    entries: tuple[Entry, ...]
    layers: int
    levels: Levels
    look: Look
    weights: tuple[float, ...] = ()

    @property
    def numbers(self) -> int:
        return self.layers * (1 + STEP_NUMBERS)

    def applied(self, image: np.ndarray, draws: Draws) -> np.ndarray:
        for number in self.chosen(draws):
            image = step(image, self.entries[number], self.levels, self.look, draws)
        return image

    def chosen(self, draws: Draws) -> list[int]:
        if not self.weights:
            return [draws.integer(len(self.entries)) for _ in range(self.layers)]
        left, found = list(self.weights), []
        for _ in range(self.layers):
            found.append(weighted(left, draws))
            left[found[-1]] = 0.0
        return found


def weighted(weights: Sequence[float], draws: Draws) -> int:
    """A place in `weights`, by them; never one with weight 0."""
    ends = np.cumsum(weights)
    return int(np.searchsorted(ends, draws.random() * ends[-1], side="right"))


@dataclass(frozen=True)
class AugMix:
    """`width` chains of operations, mixed with each other and with the image. Hendrycks et al., AugMix (ICLR 2020).

    `depth` 0: of 1 to 3 operations. `blended` mixes each chain in at once, as timm's faster way does.
    """

    entries: tuple[Entry, ...]
    width: int
    depth: int
    alpha: float
    blended: bool
    levels: Levels
    look: Look

    @property
    def numbers(self) -> int:
        return 1 + self.width * (1 + (self.depth or MOST_DEPTH) * (1 + STEP_NUMBERS))

    def applied(self, image: np.ndarray, draws: Draws) -> np.ndarray:
        generator = draws.generator()
        weights = generator.dirichlet([self.alpha] * self.width).astype(np.float32)
        share = np.float32(generator.beta(self.alpha, self.alpha))
        if self.blended:
            return self.one_after_another(image, weights, share, draws)
        mixed = np.zeros(image.shape, np.float32)
        for weight in weights:
            mixed += weight * self.chain(image, draws)
        return whole(blend(image, whole(mixed), float(share)))

    def one_after_another(
        self, image: np.ndarray, weights: np.ndarray, share: np.float32, draws: Draws
    ) -> np.ndarray:
        found = image
        for weight in after_all(weights * share):
            found = whole(blend(found, self.chain(image, draws), float(weight)))
        return found

    def chain(self, image: np.ndarray, draws: Draws) -> np.ndarray:
        """`image` after a chain's operations."""
        depth = self.depth or 1 + draws.integer(MOST_DEPTH)
        for number in [draws.integer(len(self.entries)) for _ in range(depth)]:
            image = step(image, self.entries[number], self.levels, self.look, draws)
        return image


def after_all(weights: np.ndarray) -> np.ndarray:
    """With which share each part has to be blended in, one after another, to have `weights` of the result in the end."""
    left, found = 1.0, []
    for weight in weights[::-1]:
        found.append(weight / left)
        left *= 1 - found[-1]
    return np.array(found[::-1], np.float32)


@dataclass(frozen=True)
class TrivialAugment:
    """One operation at any strength. Müller and Hutter, TrivialAugment (ICCV 2021), "wide", as torchvision has it."""

    @property
    def numbers(self) -> int:
        return 3

    def applied(self, image: np.ndarray, draws: Draws) -> np.ndarray:
        operation = list(WIDE.values())[draws.integer(len(WIDE))]
        strength, is_negated = draws.integer(STRENGTHS), draws.random() > 0.5
        value = wide_value(operation.lowest, operation.highest, strength)
        return operation.apply(image, -value if operation.signed and is_negated else value, BLACK)


def wide_value(lowest: float, highest: float, strength: int) -> float:
    return float(np.float32(lowest + strength * (highest - lowest) / (STRENGTHS - 1)))
