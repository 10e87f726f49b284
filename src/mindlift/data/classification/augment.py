"""Random augmentation of one image (H, W, 3) uint8 by its own random numbers.

Crops follow Szegedy et al., Going Deeper with Convolutions, section 6 (by default 8-100 % of the area, aspect
3/4-4/3) and He et al., Deep Residual Learning, section 4.2 (pad 4, crop 32). Draws are made in a
fixed order, whatever is switched off, so that one option does not move another one's numbers.

Pixels are worked on by OpenCV and numpy, which let other threads run meanwhile.
"""

from __future__ import annotations

import functools
import math
from typing import Tuple

import cv2
import numpy as np

from mindlift.data import pillow
from mindlift.data.draws import Draws
from mindlift.data.kernels import Window

CROP_TRIES = 10
REGION_NUMBERS = 2 * CROP_TRIES + 2  # at most, of each function that chooses a region
COLOUR_NUMBERS = 5  # of mirroring, and four of `jitter`
LATER_NUMBERS = 4  # of turning upside down, of making grey, and two of blurring
BLUR_SIZE, BLUR_SIGMAS = 23, (0.1, 2.0)  # of 224 x 224, for which SimCLR took a tenth of the side
GREY_SHARES = (0.299, 0.587, 0.114)  # of red, green and blue: ITU-R BT.601, as Pillow's mode L
Range = Tuple[float, float]
CROP_SCALE: Range = (0.08, 1.0)
CROP_RATIO: Range = (3 / 4, 4 / 3)
ORDERS = ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))


def crop_box(
    height: int, width: int, draws: Draws, scale: Range = CROP_SCALE, ratio: Range = CROP_RATIO
) -> tuple[int, int, int, int]:
    """(top, left, height, width) of a random crop with a share of the area in `scale` and an aspect, width by height, in
    `ratio`, else the centre with the nearest aspect."""
    narrowest, widest = math.log(ratio[0]), math.log(ratio[1])
    for _ in range(CROP_TRIES):
        area = height * width * draws.uniform(*scale)
        aspect = math.exp(draws.uniform(narrowest, widest))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            return draws.integer(height - h + 1), draws.integer(width - w + 1), h, w
    w = min(width, max(1, round(height * ratio[1])))
    h = min(height, max(1, round(width / ratio[0])))
    return (height - h) // 2, (width - w) // 2, h, w


def pad_crop(image: np.ndarray, draws: Draws) -> np.ndarray:
    """Pad by an eighth of the height with zeros (4 for 32) and crop back to the old size."""
    height, width = image.shape[:2]
    pad = height // 8
    down, right = (draws.integer(2 * pad + 1) - pad for _ in range(2))
    found = np.zeros_like(image)
    found[max(0, -down) : height - max(0, down), max(0, -right) : width - max(0, right)] = image[
        max(0, down) : height + min(0, down), max(0, right) : width + min(0, right)
    ]
    return found


def random_window(have: tuple[int, int], draws: Draws, size: tuple[int, int]) -> Window:
    """A random part of `size` (height, width) of an image of size `have`, which it must fit in."""
    top, left = (draws.integer(side - part + 1) for side, part in zip(have, size))
    return Window(top, left, *size)


def mirror(image: np.ndarray) -> np.ndarray:
    return cv2.flip(image, 1)


def jitter(image: np.ndarray, draws: Draws, strength: float) -> np.ndarray:
    """Scale brightness, contrast and saturation by U[1-s, 1+s] in random order."""
    factors = [draws.uniform(max(0.0, 1 - strength), 1 + strength) for _ in range(3)]
    order = ORDERS[draws.integer(len(ORDERS))]
    if strength > 0:
        for number in order:
            image = ADJUSTMENTS[number](image, factors[number])
    return image


def flip(image: np.ndarray) -> np.ndarray:
    """Upside down."""
    return cv2.flip(image, 0)


def grey(image: np.ndarray) -> np.ndarray:
    """Pillow's mode L, in three channels."""
    return cv2.cvtColor(pillow.luma(image), cv2.COLOR_GRAY2RGB)


def blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """By a Gaussian of 23 x 23 pixels, mirrored at the border: Chen et al., SimCLR (ICML 2020), appendix A, as torchvision's
    GaussianBlur, to a grey value."""
    return cv2.GaussianBlur(image, (BLUR_SIZE, BLUR_SIZE), sigma, borderType=cv2.BORDER_REFLECT_101)


def grey_and_blur(
    image: np.ndarray, draws: Draws, grey_probability: float, blur_probability: float
) -> np.ndarray:
    """Takes three numbers."""
    if draws.random() < grey_probability:
        image = grey(image)
    is_blurred, sigma = draws.random() < blur_probability, draws.uniform(*BLUR_SIGMAS)
    return blur(image, sigma) if is_blurred else image


def brightness(image: np.ndarray, factor: float) -> np.ndarray:
    return cv2.convertScaleAbs(image, alpha=factor)


def contrast(image: np.ndarray, factor: float) -> np.ndarray:
    """Away from the mean grey value, or towards it."""
    grey = cv2.mean(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))[0]
    return cv2.addWeighted(image, factor, image, 0.0, (1 - factor) * grey)


def saturation(image: np.ndarray, factor: float) -> np.ndarray:
    """Away from each pixel's grey value, or towards it."""
    all_grey, unchanged = colour_matrices()
    return cv2.transform(image, all_grey * (1 - factor) + unchanged * factor)


@functools.lru_cache(maxsize=None)
def colour_matrices() -> tuple[np.ndarray, np.ndarray]:
    """(3, 3) float32 each: of colours that become grey, and of those that stay."""
    return np.array([GREY_SHARES] * 3, np.float32), np.eye(3, dtype=np.float32)


# Each result is rounded and kept within 0 - 255, as by MindSpore's AdjustBrightness, -Contrast and -Saturation; Pillow's
# ImageEnhance, which has the same formulas, cuts fractions off.
ADJUSTMENTS = (brightness, contrast, saturation)
