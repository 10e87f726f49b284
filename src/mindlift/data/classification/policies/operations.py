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

from mindlift.data.classification import rand_augment as pillow
from mindlift.data.classification.rand_augment import LEVELS
from mindlift.data.draws import Draws

TOP = 10  # the level at which a value is at the end of its range
AFFINE = Image.Transform.AFFINE
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
    picture = Image.fromarray(image)
    return np.asarray(picture.transform(picture.size, AFFINE, matrix, look.resample, fillcolor=look.fill))


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
    return np.asarray(Image.fromarray(image).rotate(degrees, look.resample, fillcolor=look.fill))


def posterize(image: np.ndarray, bits: float, look: Look) -> np.ndarray:
    """`bits` of each value are kept; with 0, or fewer, the image is black."""
    return image & np.uint8(LEVELS - (LEVELS >> min(8, max(0, int(bits)))))


def desaturate(image: np.ndarray, share: float, look: Look) -> np.ndarray:
    return pillow.color(image, min(1.0, max(0.0, 1.0 - share)), NO_DRAWS)


def gaussian_blur(image: np.ndarray, radius: float, look: Look) -> np.ndarray:
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius)))


NO_DRAWS = Draws(())


def plain(function: Callable[[np.ndarray, float, Draws], np.ndarray]) -> Change:
    """An operation of `rand_augment` that draws nothing and moves nothing."""
    return lambda image, value, look: function(image, value, NO_DRAWS)


def nothing(level: float, look: Look, draws: Draws) -> float:
    return 0.0


def signed(value: float, draws: Draws) -> float:
    return -value if draws.random() > 0.5 else value


def up_to(highest: float) -> Callable[[float, Look, Draws], float]:
    """In either direction."""
    return lambda level, look, draws: signed(level / TOP * highest, draws)


def translation(level: float, look: Look, draws: Draws) -> float:
    return signed(level / TOP * look.translation, draws)


def factor(level: float, look: Look, draws: Draws) -> float:
    return level / TOP * 1.8 + 0.1


def factor_away(level: float, look: Look, draws: Draws) -> float:
    """Away from 1, which changes nothing, in either direction."""
    return max(0.1, 1.0 + signed(level / TOP * 0.9, draws))


def whole(highest: int, most: int) -> Callable[[float, Look, Draws], float]:
    """Cut to a whole number of at most `most`."""
    return lambda level, look, draws: min(most, int(level / TOP * highest))


def falling(start: int, highest: int) -> Callable[[float, Look, Draws], float]:
    return lambda level, look, draws: start - min(highest, int(level / TOP * highest))


def between(low: float, high: float) -> Callable[[float, Look, Draws], float]:
    return lambda level, look, draws: max(low, min(high, low + (high - low) * (level / TOP)))


def any_radius(level: float, look: Look, draws: Draws) -> float:
    low, high = BLUR_RADII
    return draws.uniform(low, high * min(1.0, level / TOP))


COLOR, CONTRAST, BRIGHTNESS, SHARPNESS, SOLARIZE = (
    plain(each)
    for each in (pillow.color, pillow.contrast, pillow.brightness, pillow.sharpness, pillow.solarize)
)
AUTO_CONTRAST, EQUALIZE, INVERT = (
    plain(each) for each in (pillow.auto_contrast, pillow.equalize, pillow.invert)
)
OPERATIONS: dict[str, Operation] = {  # by timm's names
    "AutoContrast": Operation(AUTO_CONTRAST, nothing),
    "Equalize": Operation(EQUALIZE, nothing),
    "Invert": Operation(INVERT, nothing),
    "Rotate": Operation(rotate, up_to(30)),
    "Posterize": Operation(posterize, whole(4, 8)),
    "PosterizeIncreasing": Operation(posterize, lambda level, look, draws: 4 - int(level / TOP * 4)),
    "PosterizeOriginal": Operation(posterize, lambda level, look, draws: int(level / TOP * 4) + 4),
    "Solarize": Operation(SOLARIZE, whole(256, 256)),
    "SolarizeIncreasing": Operation(SOLARIZE, falling(256, 256)),
    "SolarizeAdd": Operation(plain(pillow.solarize_add), whole(110, 128)),
    "Color": Operation(COLOR, factor),
    "ColorIncreasing": Operation(COLOR, factor_away),
    "Contrast": Operation(CONTRAST, factor),
    "ContrastIncreasing": Operation(CONTRAST, factor_away),
    "Brightness": Operation(BRIGHTNESS, factor),
    "BrightnessIncreasing": Operation(BRIGHTNESS, factor_away),
    "Sharpness": Operation(SHARPNESS, factor),
    "SharpnessIncreasing": Operation(SHARPNESS, factor_away),
    "ShearX": Operation(shear_x, up_to(0.3)),
    "ShearY": Operation(shear_y, up_to(0.3)),
    "TranslateXRel": Operation(translate_x_share, translation),
    "TranslateYRel": Operation(translate_y_share, translation),
    "Desaturate": Operation(desaturate, between(0.5, 1.0)),
    "GaussianBlur": Operation(gaussian_blur, between(*BLUR_RADII)),
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


def enhanced(change: Change) -> Change:
    return lambda image, value, look: change(image, 1.0 + value, look)


WIDE: dict[str, Wide] = {
    "Identity": Wide(lambda image, value, look: image),
    "ShearX": Wide(lambda image, value, look: shear_x(image, tangent(value), look), 0.0, 0.99, True),
    "ShearY": Wide(lambda image, value, look: shear_y(image, tangent(value), look), 0.0, 0.99, True),
    "TranslateX": Wide(lambda image, value, look: translate_x(image, -int(value), look), 0.0, 32.0, True),
    "TranslateY": Wide(lambda image, value, look: translate_y(image, -int(value), look), 0.0, 32.0, True),
    "Rotate": Wide(rotate, 0.0, 135.0, True),
    "Brightness": Wide(enhanced(BRIGHTNESS), 0.0, 0.99, True),
    "Color": Wide(enhanced(COLOR), 0.0, 0.99, True),
    "Contrast": Wide(enhanced(CONTRAST), 0.0, 0.99, True),
    "Sharpness": Wide(enhanced(SHARPNESS), 0.0, 0.99, True),
    "Posterize": Wide(lambda image, value, look: posterize(image, round(value), look), 8.0, 2.0),
    "Solarize": Wide(SOLARIZE, 255.0, 0.0),
    "AutoContrast": Wide(AUTO_CONTRAST),
    "Equalize": Wide(EQUALIZE),
}
