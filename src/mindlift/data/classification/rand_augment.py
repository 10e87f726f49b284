"""RandAugment: a few of 16 operations, drawn with replacement, all at one magnitude.

Cubuk et al., RandAugment (CVPR Workshops 2020), section 3, in the form of the MindSpore port of BigTransfer: the
magnitude is drawn once per image from a normal distribution, and an operation's value is
lowest + magnitude / 10 * (highest - lowest), so that 20, the port's magnitude, is twice the end of each range. Where
that leaves what an operation is defined for, it is clamped here: posterize keeps 1 - 8 bits (the port fails above 8, at
magnitudes from 22.5 on), a solarize threshold from 256 on changes nothing, values below 0 are 0.

Every operation is Pillow's own result, bit for bit; what only maps one value to another is done as a table.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageOps, ImageStat

SPREAD = 0.5  # deviation of an image's magnitude
STEPS = 10  # the magnitude at which a value reaches `highest`
GREY = (128, 128, 128)


class Operation(NamedTuple):
    """`apply(image, value, rng)`; value at magnitude 0 and 10. A `signed` one's is negated half of the time."""

    apply: Callable[[Image.Image, float, np.random.Generator], Image.Image]
    lowest: float = 0.0
    highest: float = 0.0
    signed: bool = False


def by_table(image: Image.Image, of_ramp: Callable[[Image.Image], Image.Image]) -> Image.Image:
    """`image` through what `of_ramp` makes of the values 0 ... 255, for operations that look at single values."""
    table = of_ramp(Image.frombytes("L", (256, 1), bytes(range(256)))).tobytes()
    return image.point(table * 3)


def rotate(image: Image.Image, degrees: float, rng: np.random.Generator) -> Image.Image:
    return image.rotate(degrees)


def posterize(image: Image.Image, bits: float, rng: np.random.Generator) -> Image.Image:
    kept = min(8, max(1, int(bits)))
    return image if kept == 8 else ImageOps.posterize(image, kept)


def solarize(image: Image.Image, threshold: float, rng: np.random.Generator) -> Image.Image:
    return image if threshold >= 256 else ImageOps.solarize(image, math.ceil(threshold))


def solarize_add(image: Image.Image, added: float, rng: np.random.Generator) -> Image.Image:
    """Values below 128 become brighter by `added`, at most 255."""
    table = [min(255, value + int(added)) if value < 128 else value for value in range(256)]
    return image.point(table * 3)


def color(image: Image.Image, factor: float, rng: np.random.Generator) -> Image.Image:
    return ImageEnhance.Color(image).enhance(factor)


def contrast(image: Image.Image, factor: float, rng: np.random.Generator) -> Image.Image:
    """Away from the mean grey, as ImageEnhance.Contrast, whose blending looks at each value alone."""
    mean = int(ImageStat.Stat(image.convert("L")).mean[0] + 0.5)
    return by_table(image, lambda ramp: Image.blend(Image.new("L", ramp.size, mean), ramp, factor))


def brightness(image: Image.Image, factor: float, rng: np.random.Generator) -> Image.Image:
    return by_table(image, lambda ramp: ImageEnhance.Brightness(ramp).enhance(factor))


def sharpness(image: Image.Image, factor: float, rng: np.random.Generator) -> Image.Image:
    return Image.blend(smoothed(image), image, factor)


def smoothed(image: Image.Image) -> Image.Image:
    """ImageFilter.SMOOTH in whole numbers, five times as fast: a 13th of 3 x 3 pixels, of which the middle counts 5.

    Pillow adds up fractions instead; but no whole number over 13 is near a half, so both round alike. Pixels at the
    border stay, as with Pillow.
    """
    pixels = np.array(image)
    wide = pixels.astype(np.uint16)
    rows = wide[:-2] + wide[1:-1] + wide[2:]
    total = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:] + 4 * wide[1:-1, 1:-1]
    pixels[1:-1, 1:-1] = (2 * total + 13) // 26
    return Image.fromarray(pixels)


def affine(image: Image.Image, matrix: tuple, resample: Image.Resampling) -> Image.Image:
    return image.transform(image.size, Image.Transform.AFFINE, matrix, resample, fillcolor=GREY)


def shear_x(image: Image.Image, slope: float, rng: np.random.Generator) -> Image.Image:
    return affine(image, (1, slope, 0, 0, 1, 0), Image.Resampling.BICUBIC)


def shear_y(image: Image.Image, slope: float, rng: np.random.Generator) -> Image.Image:
    return affine(image, (1, 0, 0, slope, 1, 0), Image.Resampling.BICUBIC)


def translate_x(image: Image.Image, share: float, rng: np.random.Generator) -> Image.Image:
    return affine(image, (1, 0, share * image.width, 0, 1, 0), Image.Resampling.NEAREST)


def translate_y(image: Image.Image, share: float, rng: np.random.Generator) -> Image.Image:
    return affine(image, (1, 0, 0, 0, 1, share * image.height), Image.Resampling.NEAREST)


def cutout(image: Image.Image, share: float, rng: np.random.Generator) -> Image.Image:
    """A grey square around a random point, as far as it is inside; its side is `share` of the shorter one."""
    side = share * min(image.size)
    left, top = (int(max(0.0, rng.random() * length - side / 2)) for length in image.size)
    found = image.copy()
    right, bottom = min(image.width, left + side), min(image.height, top + side)
    ImageDraw.Draw(found).rectangle((left, top, right, bottom), GREY)
    return found


OPERATIONS: dict[str, Operation] = {
    "AutoContrast": Operation(lambda image, value, rng: ImageOps.autocontrast(image)),
    "Equalize": Operation(lambda image, value, rng: ImageOps.equalize(image)),
    "Invert": Operation(lambda image, value, rng: ImageOps.invert(image)),
    "Rotate": Operation(rotate, 0, 30, signed=True),
    "Posterize": Operation(posterize, 0, 4),
    "Solarize": Operation(solarize, 0, 256),
    "Color": Operation(color, 0.1, 1.9),
    "Contrast": Operation(contrast, 0.1, 1.9),
    "Brightness": Operation(brightness, 0.1, 1.9),
    "Sharpness": Operation(sharpness, 0.1, 1.9),
    "ShearX": Operation(shear_x, 0, 0.3, signed=True),
    "ShearY": Operation(shear_y, 0, 0.3, signed=True),
    "TranslateX": Operation(translate_x, 0, 0.45, signed=True),
    "TranslateY": Operation(translate_y, 0, 0.45, signed=True),
    "Cutout": Operation(cutout, 0, 0.35),
    "SolarizeAdd": Operation(solarize_add, 0, 110),
}
NAMES = (*OPERATIONS,)


def applied(image: Image.Image, name: str, magnitude: float, rng: np.random.Generator) -> Image.Image:
    """`image` (RGB) after one operation."""
    operation = OPERATIONS[name]
    value = max(0.0, operation.lowest + magnitude / STEPS * (operation.highest - operation.lowest))
    is_negated = rng.random() < 0.5
    return operation.apply(image, -value if operation.signed and is_negated else value, rng)


def rand_augment(image: np.ndarray, rng: np.random.Generator, layers: int, magnitude: float) -> np.ndarray:
    """`layers` random operations on (H, W, 3) uint8."""
    drawn = rng.normal(magnitude, SPREAD)
    picture = Image.fromarray(image)
    for index in rng.integers(0, len(NAMES), layers):
        picture = applied(picture, NAMES[index], drawn, rng)
    return np.asarray(picture)
