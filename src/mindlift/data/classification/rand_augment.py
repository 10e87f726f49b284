"""RandAugment: a few of 16 operations, drawn with replacement, all at one magnitude.

Cubuk et al., RandAugment (CVPR Workshops 2020), section 3, in the form of the MindSpore port of BigTransfer: the
magnitude is drawn once per image from a normal distribution, and an operation's value is
lowest + magnitude / 10 * (highest - lowest), so that 20, the port's magnitude, is twice the end of each range. Where
that leaves what an operation is defined for, it is clamped here: posterize keeps 1 - 8 bits (the port fails above 8, at
magnitudes from 22.5 on), a solarize threshold from 256 on changes nothing, values below 0 are 0.

Every operation gives Pillow's own result, bit for bit. What moves pixels is Pillow's, which lets other threads run
meanwhile; what only changes values is done by OpenCV and numpy for the same reason, as a table where it can be one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np

from mindlift.backports import Protocol
from mindlift.data import pillow

SPREAD = 0.5  # deviation of an image's magnitude
STEPS = 10  # the magnitude at which a value reaches `highest`
GREY = (128, 128, 128)
LEVELS = 256


class Random(Protocol):
    """What operations draw from."""

    def random(self) -> float: ...


class Stream(Random, Protocol):
    """What an image draws from."""

    def normal(self, mean: float, deviation: float) -> float: ...

    def integer(self, stop: int) -> int: ...


class Operation(NamedTuple):
    """`apply(image, value, rng)` of (H, W, 3) uint8; value at magnitude 0 and 10. A `signed` one's is negated half of
    the time."""

    apply: Callable[[np.ndarray, float, Random], np.ndarray]
    lowest: float = 0.0
    highest: float = 0.0
    signed: bool = False


def by_table(image: np.ndarray, table: np.ndarray) -> np.ndarray:
    """`image` through a table of 256 values (256,), or of 256 for each channel (256, 3), which are cut to whole numbers
    from 0 to 255."""
    return cv2.LUT(image, whole(table).reshape(1, LEVELS, -1))


def whole(values: np.ndarray) -> np.ndarray:
    """Cut to uint8. In a third of the time of np.clip, whose Python other threads wait for."""
    return np.minimum(np.maximum(values, 0), LEVELS - 1).astype(np.uint8)


def ramp() -> np.ndarray:
    """The table that changes nothing."""
    return np.arange(LEVELS)


def blend(one: np.ndarray | float, other: np.ndarray, share: float) -> np.ndarray:
    """`one` plus `share` of the way to `other`, in single precision, as Image.blend; not cut to uint8."""
    found = np.subtract(other, one, dtype=np.float32)
    found *= np.float32(share)
    found += one
    return found


def auto_contrast(image: np.ndarray, value: float, rng: Random) -> np.ndarray:
    """Each channel's least value becomes 0 and its greatest 255."""
    return by_table(image, np.stack([stretching(channel) for channel in cv2.split(image)], 1))


def stretching(channel: np.ndarray) -> np.ndarray:
    low, high = cv2.minMaxLoc(channel)[:2]
    if high <= low:
        return ramp()
    scale = (LEVELS - 1) / (high - low)
    return ramp() * scale - low * scale


def equalize(image: np.ndarray, value: float, rng: Random) -> np.ndarray:
    """Each channel's values are spread so that all are about equally frequent."""
    counts = np.concatenate([histogram(image, channel) for channel in range(3)], 1).astype(np.int64)
    pixels = image.shape[0] * image.shape[1]
    last = counts[[LEVELS - 1 - int(column[::-1].argmax()) for column in (counts > 0).T], range(3)]
    step = (pixels - last) // (LEVELS - 1)
    tables = (step // 2 + counts.cumsum(0) - counts) // np.maximum(step, 1)
    return by_table(image, np.where(step > 0, tables, ramp()[:, None]))


def histogram(image: np.ndarray, channel: int) -> np.ndarray:
    """(256, 1) float32: how often a channel has each value; in half the time of np.bincount."""
    images = [image]
    return cv2.calcHist(images, [channel], None, [LEVELS], [0, LEVELS])  # type: ignore[arg-type]


def invert(image: np.ndarray, value: float, rng: Random) -> np.ndarray:
    return cv2.bitwise_not(image)


def rotate(image: np.ndarray, degrees: float, rng: Random) -> np.ndarray:
    return pillow.rotated(image, degrees)


def posterize(image: np.ndarray, bits: float, rng: Random) -> np.ndarray:
    kept = min(8, max(1, int(bits)))
    return image & np.uint8(LEVELS - (LEVELS >> kept))


def solarize(image: np.ndarray, threshold: float, rng: Random) -> np.ndarray:
    return by_table(image, np.where(threshold > ramp(), ramp(), 255 - ramp()))


def solarize_add(image: np.ndarray, added: float, rng: Random) -> np.ndarray:
    """Values below 128 become brighter by `added`, at most 255."""
    return by_table(image, np.where(ramp() < 128, ramp() + int(added), ramp()))


def color(image: np.ndarray, factor: float, rng: Random) -> np.ndarray:
    return whole(blend(cv2.cvtColor(pillow.luma(image), cv2.COLOR_GRAY2RGB), image, factor))


def contrast(image: np.ndarray, factor: float, rng: Random) -> np.ndarray:
    """Away from the mean grey."""
    return by_table(image, blend(int(cv2.mean(pillow.luma(image))[0] + 0.5), ramp(), factor))


def brightness(image: np.ndarray, factor: float, rng: Random) -> np.ndarray:
    return by_table(image, blend(0, ramp(), factor))


def sharpness(image: np.ndarray, factor: float, rng: Random) -> np.ndarray:
    return whole(blend(smoothed(image), image, factor))


def smoothed(image: np.ndarray) -> np.ndarray:
    """ImageFilter.SMOOTH in whole numbers: a 13th of 3 x 3 pixels, of which the middle counts 5.

    Pillow adds up fractions instead; but no whole number over 13 is near a half, so both round alike. Pixels at the
    border stay, as with Pillow.
    """
    weights = np.ones((3, 3), np.float32)
    weights[1, 1] = 5
    found = cv2.convertScaleAbs(cv2.filter2D(image, cv2.CV_16S, weights), alpha=1 / weights.sum())
    for border in (np.s_[:1], np.s_[-1:], np.s_[:, :1], np.s_[:, -1:]):
        found[border] = image[border]
    return found


def shear_x(image: np.ndarray, slope: float, rng: Random) -> np.ndarray:
    return pillow.affine(image, (1, slope, 0, 0, 1, 0), pillow.BICUBIC, GREY)


def shear_y(image: np.ndarray, slope: float, rng: Random) -> np.ndarray:
    return pillow.affine(image, (1, 0, 0, slope, 1, 0), pillow.BICUBIC, GREY)


def translate_x(image: np.ndarray, share: float, rng: Random) -> np.ndarray:
    place, source = overlap(math.floor(share * image.shape[1] + 0.5), image.shape[1])
    found = np.full(image.shape, GREY[0], np.uint8)
    found[:, place] = image[:, source]
    return found


def translate_y(image: np.ndarray, share: float, rng: Random) -> np.ndarray:
    place, source = overlap(math.floor(share * image.shape[0] + 0.5), image.shape[0])
    found = np.full(image.shape, GREY[0], np.uint8)
    found[place] = image[source]
    return found


def overlap(by: int, side: int) -> tuple[slice, slice]:
    """Where what is moved by so many pixels, to the left or upwards, goes to, and where it was."""
    kept, to, source = max(0, side - abs(by)), max(0, -by), max(0, by)
    return slice(to, to + kept), slice(source, source + kept)


def cutout(image: np.ndarray, share: float, rng: Random) -> np.ndarray:
    """A grey square around a random point, as far as it is inside; its side is `share` of the shorter one."""
    height, width = image.shape[:2]
    side = share * min(height, width)
    left, top = (int(max(0.0, rng.random() * length - side / 2)) for length in (width, height))
    found = image.copy()
    found[top : int(min(height, top + side)) + 1, left : int(min(width, left + side)) + 1] = GREY
    return found


OPERATIONS: dict[str, Operation] = {
    "AutoContrast": Operation(auto_contrast),
    "Equalize": Operation(equalize),
    "Invert": Operation(invert),
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


def applied(image: np.ndarray, name: str, magnitude: float, rng: Random) -> np.ndarray:
    """`image` (H, W, 3) uint8 after one operation."""
    operation = OPERATIONS[name]
    value = max(0.0, operation.lowest + magnitude / STEPS * (operation.highest - operation.lowest))
    is_negated = rng.random() < 0.5
    return operation.apply(image, -value if operation.signed and is_negated else value, rng)


def numbers_of(layers: int) -> int:
    """How many random numbers an image takes at most: two for its magnitude; for each operation one that chooses it, one
    for its sign and two for a place."""
    return 2 + 4 * layers if layers else 0


def rand_augment(image: np.ndarray, rng: Stream, layers: int, magnitude: float) -> np.ndarray:
    """`layers` random operations on (H, W, 3) uint8."""
    drawn = rng.normal(magnitude, SPREAD)
    for name in [NAMES[rng.integer(len(NAMES))] for _ in range(layers)]:
        image = applied(image, name, drawn, rng)
    return image
