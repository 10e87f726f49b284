"""AutoAugment's learned policies and the sets of operations to draw from, by timm's names (data/auto_augment.py)."""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """An operation, how likely it is applied, and its level of 0 - 10."""

    name: str
    probability: float
    level: float


def policy(name: str) -> tuple[tuple[Entry, ...], ...]:
    """The sub-policies of one of POLICIES: a line each, `name probability level, ...`."""
    lines = [line.split(",") for line in POLICIES[name].strip().splitlines()]
    found = tuple(tuple(entry(*part.split()) for part in line) for line in lines)
    return tuple(tuple(increasing(each) for each in line) for line in found) if name.endswith("r") else found


def increasing(given: Entry) -> Entry:
    """Posterizing that takes more bits away the higher the level; anything else as it is."""
    return given._replace(name="PosterizeIncreasing") if given.name.startswith("Posterize") else given


def entry(name: str, probability: str, level: str) -> Entry:
    return Entry(name, float(probability), float(level))


# Cubuk et al., AutoAugment (CVPR 2019): the policy for ImageNet
ORIGINAL = """
PosterizeOriginal 0.4 8, Rotate 0.6 9
Solarize 0.6 5, AutoContrast 0.6 5
Equalize 0.8 8, Equalize 0.6 3
PosterizeOriginal 0.6 7, PosterizeOriginal 0.6 6
Equalize 0.4 7, Solarize 0.2 4
Equalize 0.4 4, Rotate 0.8 8
Solarize 0.6 3, Equalize 0.6 7
PosterizeOriginal 0.8 5, Equalize 1.0 2
Rotate 0.2 3, Solarize 0.6 8
Equalize 0.6 8, PosterizeOriginal 0.4 6
Rotate 0.8 8, Color 0.4 0
Rotate 0.4 9, Equalize 0.6 2
Equalize 0.0 7, Equalize 0.8 8
Invert 0.6 4, Equalize 1.0 8
Color 0.6 4, Contrast 1.0 8
Rotate 0.8 8, Color 1.0 2
Color 0.8 8, Solarize 0.8 7
Sharpness 0.4 7, Invert 0.6 8
ShearX 0.6 5, Equalize 1.0 9
Color 0.4 0, Equalize 0.6 3
Equalize 0.4 7, Solarize 0.2 4
Solarize 0.6 5, AutoContrast 0.6 5
Invert 0.6 4, Equalize 1.0 8
Color 0.6 4, Contrast 1.0 8
Equalize 0.8 8, Equalize 0.6 3
"""
# the TPU implementation of EfficientNet
V0 = """
Equalize 0.8 1, ShearY 0.8 4
Color 0.4 9, Equalize 0.6 3
Color 0.4 1, Rotate 0.6 8
Solarize 0.8 3, Equalize 0.4 7
Solarize 0.4 2, Solarize 0.6 2
Color 0.2 0, Equalize 0.8 8
Equalize 0.4 8, SolarizeAdd 0.8 3
ShearX 0.2 9, Rotate 0.6 8
Color 0.6 1, Equalize 1.0 2
Invert 0.4 9, Rotate 0.6 0
Equalize 1.0 9, ShearY 0.6 3
Color 0.4 7, Equalize 0.6 0
Posterize 0.4 6, AutoContrast 0.4 7
Solarize 0.6 8, Color 0.6 9
Solarize 0.2 4, Rotate 0.8 9
Rotate 1.0 7, TranslateYRel 0.8 9
ShearX 0.0 0, Solarize 0.8 4
ShearY 0.8 0, Color 0.6 4
Color 1.0 0, Rotate 0.6 2
Equalize 0.8 4, Equalize 0.0 8
Equalize 1.0 4, AutoContrast 0.6 2
ShearY 0.4 7, SolarizeAdd 0.6 7
Posterize 0.8 2, Solarize 0.6 10
Solarize 0.6 8, Equalize 0.6 1
Color 0.8 6, Rotate 0.4 5
"""
# Touvron et al., DeiT III (ECCV 2022)
THREE = """
Solarize 1.0 5
Desaturate 1.0 10
GaussianBlurRand 1.0 10
"""
POLICIES = {"original": ORIGINAL, "originalr": ORIGINAL, "v0": V0, "v0r": V0, "3a": THREE}
RAND = (
    *("AutoContrast", "Equalize", "Invert", "Rotate", "Posterize", "Solarize", "SolarizeAdd", "Color"),
    *("Contrast", "Brightness", "Sharpness", "ShearX", "ShearY", "TranslateXRel", "TranslateYRel"),
)
RAND_INCREASING = (
    *("AutoContrast", "Equalize", "Invert", "Rotate", "PosterizeIncreasing", "SolarizeIncreasing"),
    *("SolarizeAdd", "ColorIncreasing", "ContrastIncreasing", "BrightnessIncreasing", "SharpnessIncreasing"),
    *("ShearX", "ShearY", "TranslateXRel", "TranslateYRel"),
)
SETS: dict[
    str, dict[str, float]
] = {  # of RandAugment: what `t` names; drawn with these weights, without repetition
    "weights": {
        **{"Rotate": 3, "ShearX": 2, "ShearY": 2, "TranslateXRel": 1, "TranslateYRel": 1},
        **{"ColorIncreasing": 0.25, "SharpnessIncreasing": 0.25, "AutoContrast": 0.25},
        **{"SolarizeIncreasing": 0.05, "SolarizeAdd": 0.05, "ContrastIncreasing": 0.05},
        **{"BrightnessIncreasing": 0.05, "Equalize": 0.05, "PosterizeIncreasing": 0.05, "Invert": 0.05},
    },
    "3aw": {
        **{
            "SolarizeIncreasing": 6,
            "Desaturate": 6,
            "GaussianBlur": 6,
            "Rotate": 3,
            "ShearX": 2,
            "ShearY": 2,
        },
        **{"PosterizeIncreasing": 1, "AutoContrast": 1, "ColorIncreasing": 1, "SharpnessIncreasing": 1},
        **{"ContrastIncreasing": 1, "BrightnessIncreasing": 1, "Equalize": 1, "Invert": 1},
    },
}
RAND_3A = ("SolarizeIncreasing", "Desaturate", "GaussianBlur")
AUG_MIX = (  # Hendrycks et al.'s operations, and four of colour and sharpness
    *("AutoContrast", "ColorIncreasing", "ContrastIncreasing", "BrightnessIncreasing", "SharpnessIncreasing"),
    *("Equalize", "Rotate", "PosterizeIncreasing", "SolarizeIncreasing", "ShearX", "ShearY"),
    *("TranslateXRel", "TranslateYRel"),
)
