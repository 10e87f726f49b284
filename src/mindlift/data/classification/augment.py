"""Random augmentation of one image (H, W, 3) uint8 by one random stream.

Crops follow Szegedy et al., Going Deeper with Convolutions, section 6 (8-100 % of the area, aspect
3/4-4/3) and He et al., Deep Residual Learning, section 4.2 (pad 4, crop 32). Draws are made in a
fixed order, whatever is switched off, so that one option does not move another one's stream.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageEnhance

ENHANCERS = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)
CROP_TRIES = 10


def crop_box(height: int, width: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """(top, left, height, width) of a random crop: area 8-100 %, aspect 3/4-4/3, else the centre."""
    for _ in range(CROP_TRIES):
        area = height * width * rng.uniform(0.08, 1.0)
        ratio = math.exp(rng.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            return int(rng.integers(0, height - h + 1)), int(rng.integers(0, width - w + 1)), h, w
    w = min(width, round(height * 4 / 3))
    h = min(height, round(width * 4 / 3))
    return (height - h) // 2, (width - w) // 2, h, w


def resized_crop_region(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The random region of `image`; resizing it is the pipeline's work."""
    top, left, h, w = crop_box(image.shape[0], image.shape[1], rng)
    return image[top : top + h, left : left + w]


def pad_crop(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Pad by an eighth of the height with zeros (4 for 32) and crop back to the old size."""
    height, width = image.shape[:2]
    pad = height // 8
    top, left = rng.integers(0, 2 * pad + 1, 2)
    padded = np.pad(image, ((pad, pad), (pad, pad), (0, 0)))
    return padded[top : top + height, left : left + width]


def random_crop(image: np.ndarray, rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """A random part of `size` (height, width), which must fit."""
    top, left = (int(rng.integers(0, have - want + 1)) for have, want in zip(image.shape, size))
    return image[top : top + size[0], left : left + size[1]]


def flip_and_jitter(
    image: np.ndarray, rng: np.random.Generator, flip_probability: float, strength: float
) -> np.ndarray:
    """Mirror with `flip_probability`; scale brightness, contrast and saturation by U[1-s, 1+s] in random order."""
    flip = rng.random() < flip_probability
    factors = rng.uniform(max(0.0, 1 - strength), 1 + strength, 3)
    order = rng.permutation(3)
    if flip:
        image = mirrored(image)
    if strength > 0:
        picture = Image.fromarray(np.ascontiguousarray(image))
        for i in order:
            picture = ENHANCERS[i](picture).enhance(float(factors[i]))
        image = np.asarray(picture)
    return np.ascontiguousarray(image)


def mirrored(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 left to right; pixels are moved as wholes, which is four times as fast as value by value."""
    return np.ascontiguousarray(np.ascontiguousarray(image).view("V3")[:, ::-1]).view(np.uint8)
