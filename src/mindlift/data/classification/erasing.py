"""Random erasing: Zhong et al., Random Erasing Data Augmentation (AAAI 2020; arXiv 2017), with timm's modes and counts."""

from __future__ import annotations

import math

import numpy as np

from mindlift.data.classification.options import ClassificationOptions, statistics
from mindlift.data.draws import Draws

TRIES = 10  # to find a rectangle that fits
BLOCK_NUMBERS = 2 * TRIES + 2 + 6  # at most: sizes that are tried, a place, a colour
CHANNELS = 3


class Eraser:
    """Erases rectangles of (H, W, 3) uint8 with the probability options.random_erase.

    An image has 1 to random_erase_count rectangles, which share the area in random_erase_scale, with aspects, height by
    width, in random_erase_ratio. They are filled with what a normalised image has as 0 (const), or with a normal
    distribution there, of one colour (rand) or of each pixel (pixel); values are rounded and kept within 0 - 255.
    """

    def __init__(self, options: ClassificationOptions):
        self.options = options
        self.mean, self.std = (np.array(values) for values in statistics(options))
        self.low, self.high = (math.log(ratio) for ratio in options.random_erase_ratio)

    @property
    def numbers(self) -> int:
        """How many random numbers an image takes at most: whether, how many, and those of each rectangle."""
        return 2 + BLOCK_NUMBERS * self.options.random_erase_count if self.options.random_erase else 0

    def erased(self, image: np.ndarray, draws: Draws) -> np.ndarray:
        if draws.random() >= self.options.random_erase:
            return image
        found, count = image.copy(), 1 + draws.integer(self.options.random_erase_count)
        for _ in range(count):
            rectangle = self.rectangle(image.shape[0], image.shape[1], count, draws)
            if rectangle is not None:
                top, left, height, width = rectangle
                found[top : top + height, left : left + width] = self.filling(height, width, draws)
        return found

    def rectangle(
        self, height: int, width: int, count: int, draws: Draws
    ) -> tuple[int, int, int, int] | None:
        """(top, left, height, width) inside of an image of `height` and `width`; None if none is found."""
        for _ in range(TRIES):
            area = draws.uniform(*self.options.random_erase_scale) * height * width / count
            aspect = math.exp(draws.uniform(self.low, self.high))
            h, w = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if h < height and w < width:
                return draws.integer(height - h + 1), draws.integer(width - w + 1), h, w
        return None

    def filling(self, height: int, width: int, draws: Draws) -> np.ndarray:
        """(height, width, 3) uint8, or what can be broadcast to that."""
        mode = self.options.random_erase_mode
        if mode == "const":
            return grey_values(self.mean)
        if mode == "rand":
            return grey_values(self.mean + self.std * [draws.normal(0.0, 1.0) for _ in range(CHANNELS)])
        noise = draws.generator().standard_normal((height, width, CHANNELS), np.float32)
        return grey_values(self.mean + self.std * noise)


def grey_values(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
