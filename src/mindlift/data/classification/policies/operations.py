"""The operations of timm's and torchvision's policies, on (H, W, 3) uint8, each equal to the one that it is named after.

timm: its data/auto_augment.py, where an operation's value follows from a level of 0 - 10. torchvision: the operations of
TrivialAugmentWide in transforms/autoaugment.py, on Pillow's images. `rand_augment` has what they have in common with
BigTransfer's RandAugment, whose ranges, fill and resampling are others.
"""

from __future__ import annotations

import math
from typing import Callable, NamedTuple, Tuple

import numpy as np
from PIL import Image, ImageFilter

from mindlift.data import pillow
from mindlift.data.classification import rand_augment
from mindlift.data.classification.rand_augment import LEVELS
from mindlift.data.draws import Draws

TOP = 10  # the level at which a value is at the end of its range
BLUR_RADII = 0.1, 2.0


class Look(NamedTuple):
    """What pixels from outside the image are, how pixels between pixels are computed, and the largest translation as a
    share of the side."""

    fill: tuple[int, int, int]
    resample: Image.Resampling
    translation: float = 0.45


BLACK = Look((0, 0, 0), Image.Resampling.NEAREST)  # torchvision's
Change = Callable[[np.ndarray, float, Look], np.ndarray]
Matrix = Tuple[float, float, float, float, float, float]


class Operation(NamedTuple):
    """`apply(image, value, look)`; `value(level, look, draws)` takes one random number at most."""

    apply: Change
    value: Callable[[float, Look, Draws], float]


def transformed(image: np.ndarray, matrix: Matrix, look: Look) -> np.ndarray:
    return pillow.affine(image, matrix, look.resample, look.fill)


def shear_x(image: np.ndarray, slope: float, look: Look) -> np.ndarray:
    return transformed(image, (1, slope, 0, 0, 1, 0), look)


def shear_y(image: np.ndarray, slope: float, look: Look) -> np.ndarray:
    return transformed(image, (1, 0, 0, slope, 1, 0), look)


def translate_x(image: np.ndarray, pixels: float, look: Look) -> np.ndarray:
    """To the left."""
    return transformed(image, (1, 0, pixels, 0, 1, 0), look)


def translate_y(image: np.ndarray, pixels: float, look: Look) -> np.ndarray:
    return transformed(image, (1, 0, 0, 0, 1, pixels), look)


def translate_x_share(image: np.ndarray, share: float, look: Look) -> np.ndarray:
    return translate_x(image, share * image.shape[1], look)


def translate_y_share(image: np.ndarray, share: float, look: Look) -> np.ndarray:
    return translate_y(image, share * image.shape[0], look)


def rotate(image: np.ndarray, degrees: float, look: Look) -> np.ndarray:
    return pillow.rotated(image, degrees, look.resample, look.fill)


def posterize(image: np.ndarray, bits: float, look: Look) -> np.ndarray:
    """`bits` of each value are kept; with 0, or fewer, the image is black."""
    return image & np.uint8(LEVELS - (LEVELS >> min(8, max(0, int(bits)))))


def desaturate(image: np.ndarray, share: float, look: Look) -> np.ndarray:
    return color(image, min(1.0, max(0.0, 1.0 - share)), look)


def gaussian_blur(image: np.ndarray, radius: float, look: Look) -> np.ndarray:
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius)))


def auto_contrast(image: np.ndarray, value: float, look: Look) -> np.ndarray:
    return rand_augment.auto_contrast(image, value, none())


def equalize(image: np.ndarray, value: float, look: Look) -> np.ndarray:
    return rand_augment.equalize(image, value, none())


def invert(image: np.ndarray, value: float, look: Look) -> np.ndarray:
    return rand_augment.invert(image, value, none())


def solarize(image: np.ndarray, threshold: float, look: Look) -> np.ndarray:
    return rand_augment.solarize(image, threshold, none())


def solarize_add(image: np.ndarray, added: float, look: Look) -> np.ndarray:
    return rand_augment.solarize_add(image, added, none())


def color(image: np.ndarray, factor: float, look: Look) -> np.ndarray:
    return rand_augment.color(image, factor, none())


def contrast(image: np.ndarray, factor: float, look: Look) -> np.ndarray:
    return rand_augment.contrast(image, factor, none())


def brightness(image: np.ndarray, factor: float, look: Look) -> np.ndarray:
    return rand_augment.brightness(image, factor, none())


def sharpness(image: np.ndarray, factor: float, look: Look) -> np.ndarray:
    return rand_augment.sharpness(image, factor, none())


def none() -> Draws:
    """For operations that draw nothing."""
    return Draws(())


def nothing(level: float, look: Look, draws: Draws) -> float:
    return 0.0


def signed(value: float, draws: Draws) -> float:
    return -value if draws.random() > 0.5 else value


def angle(level: float, look: Look, draws: Draws) -> float:
    """In either direction, as of the next two."""
    return signed(level / TOP * 30, draws)


def slope(level: float, look: Look, draws: Draws) -> float:
    return signed(level / TOP * 0.3, draws)


def translation(level: float, look: Look, draws: Draws) -> float:
    return signed(level / TOP * look.translation, draws)


def factor(level: float, look: Look, draws: Draws) -> float:
    return level / TOP * 1.8 + 0.1


def factor_away(level: float, look: Look, draws: Draws) -> float:
    """Away from 1, which changes nothing, in either direction."""
    return max(0.1, 1.0 + signed(level / TOP * 0.9, draws))


def bits(level: float, look: Look, draws: Draws) -> float:
    return int(level / TOP * 4)


def threshold(level: float, look: Look, draws: Draws) -> float:
    return min(256, int(level / TOP * 256))


def added(level: float, look: Look, draws: Draws) -> float:
    return min(128, int(level / TOP * 110))


def between(low: float, high: float, level: float) -> float:
    return max(low, min(high, low + (high - low) * (level / TOP)))


def radius(level: float, look: Look, draws: Draws) -> float:
    return between(*BLUR_RADII, level)


def any_radius(level: float, look: Look, draws: Draws) -> float:
    low, high = BLUR_RADII
    return draws.uniform(low, high * min(1.0, level / TOP))


OPERATIONS: dict[str, Operation] = {  # by timm's names
    "AutoContrast": Operation(auto_contrast, nothing),
    "Equalize": Operation(equalize, nothing),
    "Invert": Operation(invert, nothing),
    "Rotate": Operation(rotate, angle),
    "Posterize": Operation(posterize, bits),
    "PosterizeIncreasing": Operation(posterize, lambda *drawn: 4 - bits(*drawn)),
    "PosterizeOriginal": Operation(posterize, lambda *drawn: 4 + bits(*drawn)),
    "Solarize": Operation(solarize, threshold),
    "SolarizeIncreasing": Operation(solarize, lambda *drawn: 256 - threshold(*drawn)),
    "SolarizeAdd": Operation(solarize_add, added),
    "Color": Operation(color, factor),
    "ColorIncreasing": Operation(color, factor_away),
    "Contrast": Operation(contrast, factor),
    "ContrastIncreasing": Operation(contrast, factor_away),
    "Brightness": Operation(brightness, factor),
    "BrightnessIncreasing": Operation(brightness, factor_away),
    "Sharpness": Operation(sharpness, factor),
    "SharpnessIncreasing": Operation(sharpness, factor_away),
    "ShearX": Operation(shear_x, slope),
    "ShearY": Operation(shear_y, slope),
    "TranslateXRel": Operation(translate_x_share, translation),
    "TranslateYRel": Operation(translate_y_share, translation),
    "Desaturate": Operation(desaturate, lambda level, look, draws: between(0.5, 1.0, level)),
    "GaussianBlur": Operation(gaussian_blur, radius),
    "GaussianBlurRand": Operation(gaussian_blur, any_radius),
}


class Wide(NamedTuple):
    """An operation of TrivialAugmentWide: what it does with a value, and its value at the lowest and highest strength."""

    apply: Change
    lowest: float = 0.0
    highest: float = 0.0
    signed: bool = False


def tangent(slope: float) -> float:
    """As torchvision has it, by way of degrees."""
    return math.tan(math.radians(math.degrees(math.atan(slope))))


WIDE: dict[str, Wide] = {
    "Identity": Wide(lambda image, value, look: image),
    "ShearX": Wide(lambda image, value, look: shear_x(image, tangent(value), look), 0.0, 0.99, True),
    "ShearY": Wide(lambda image, value, look: shear_y(image, tangent(value), look), 0.0, 0.99, True),
    "TranslateX": Wide(lambda image, value, look: translate_x(image, -int(value), look), 0.0, 32.0, True),
    "TranslateY": Wide(lambda image, value, look: translate_y(image, -int(value), look), 0.0, 32.0, True),
    "Rotate": Wide(rotate, 0.0, 135.0, True),
    "Brightness": Wide(lambda image, value, look: brightness(image, 1.0 + value, look), 0.0, 0.99, True),
    "Color": Wide(lambda image, value, look: color(image, 1.0 + value, look), 0.0, 0.99, True),
    "Contrast": Wide(lambda image, value, look: contrast(image, 1.0 + value, look), 0.0, 0.99, True),
    "Sharpness": Wide(lambda image, value, look: sharpness(image, 1.0 + value, look), 0.0, 0.99, True),
    "Posterize": Wide(lambda image, value, look: posterize(image, round(value), look), 8.0, 2.0),
    "Solarize": Wide(solarize, 255.0, 0.0),
    "AutoContrast": Wide(auto_contrast),
    "Equalize": Wide(equalize),
}
