"""Policies by the words that timm has for them: `rand-m9-mstd0.5-inc1`, `original-mstd0.5`, `augmix-m5-w4`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from mindlift.data.classification.policies.operations import TOP, Look
from mindlift.data.classification.policies.policy import (
    AugMix,
    AutoAugment,
    Levels,
    Policy,
    RandAugment,
    TrivialAugment,
)
from mindlift.data.classification.policies.tables import (
    AUG_MIX,
    POLICIES,
    RAND,
    RAND_3A,
    RAND_INCREASING,
    SETS,
    Entry,
    policy,
)
from mindlift.errors import ConfigError

TRIVIAL = ("trivialaugwide", "ta_wide")  # mindcv's name and torchvision's
PART = re.compile(r"([a-z]+)([0-9]*\.?[0-9]+)")
WHOLE = ("m", "n", "w", "d", "mmax", "inc", "b")
KNOWN = {  # the numbers that a policy takes
    "rand": ("m", "n", "p", "mstd", "mmax", "inc"),
    "augmix": ("m", "w", "d", "a", "b", "mstd"),
    **dict.fromkeys(POLICIES, ("mstd",)),
    **dict.fromkeys(TRIVIAL, ()),
}
AUG_MIX_TRANSLATION = 0.3
EVEN = 100  # a deviation above it is none: levels are even from 0 to the one that is asked for
MOST = {"n": 20, "w": 20, "d": 20, "mmax": 100, "m": 100}


def parsed(text: str, look: Look) -> Policy:
    """The policy that `text` names; ConfigError says what is wrong with it."""
    name, *parts = text.split("-")
    if name not in KNOWN:
        raise wrong(text, f"there is no policy {name}; choose one of {', '.join(KNOWN)}")
    sets = [part for part in parts if name == "rand" and part.startswith("t")]
    numbers = dict(number(text, part) for part in parts if part not in sets)
    if name in TRIVIAL:
        return TrivialAugment()
    if name == "rand":
        return rand(text, numbers, sets[0][1:] if sets else "", look)
    if name == "augmix":
        return aug_mix(text, numbers, look)
    return AutoAugment(policy(name), Levels(numbers.get("mstd", 0.0)), look)


def number(text: str, part: str) -> tuple[str, float]:
    """A key and its value, such as m and 9 of `m9`."""
    keys = KNOWN[text.split("-")[0]]
    found = PART.fullmatch(part)
    if found is None or found[1] not in keys:
        takes = f"takes {', '.join(keys)}, each with a number" if keys else "takes nothing"
        raise wrong(text, f"'{part}' is not known: {text.split('-')[0]} {takes}")
    key, value = found[1], float(found[2])
    if key in WHOLE and not value.is_integer():
        raise wrong(text, f"{key} has to be a whole number, not {found[2]}")
    if value > MOST.get(key, value):
        raise wrong(text, f"{key} can be {MOST[key]} at most")
    return key, value


def wrong(text: str, why: str) -> ConfigError:
    return ConfigError(f"--auto_augment {text}: {why} (docs/augmentation.md)")


def rand(text: str, numbers: Mapping[str, float], chosen: str, look: Look) -> RandAugment:
    level, probability, layers = numbers.get("m", TOP), numbers.get("p", 0.5), int(numbers.get("n", 2))
    if probability > 1:
        raise wrong(text, f"p is a probability, not {probability:g}")
    deviation = numbers.get("mstd", 0.0)
    if not layers:
        raise wrong(text, "n has to be above 0")
    levels = Levels(math.inf if deviation > EVEN else deviation, numbers.get("mmax", 0.0) or TOP)
    names, weights = of_set(text, chosen, numbers.get("inc", 0) > 0)
    if weights and layers > len(names):
        raise wrong(text, f"n can be {len(names)} at most, because each operation is drawn once")
    entries = tuple(Entry(name, probability, level) for name in names)
    return RandAugment(entries, layers, levels, look, weights)


def of_set(text: str, chosen: str, increasing: bool) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """The names of operations, and their weights where they have some."""
    if chosen in SETS:
        return tuple(SETS[chosen]), tuple(SETS[chosen].values())
    if chosen == "3a":
        return RAND_3A, ()
    if chosen:
        raise wrong(text, f"t{chosen} is not known; choose one of t{', t'.join((*SETS, '3a'))}")
    return (RAND_INCREASING if increasing else RAND), ()


def aug_mix(text: str, numbers: Mapping[str, float], look: Look) -> AugMix:
    width, alpha = int(numbers.get("w", 3)), numbers.get("a", 1.0)
    if not width or not alpha:
        raise wrong(text, "w and a have to be above 0")
    return AugMix(
        tuple(Entry(name, 1.0, numbers.get("m", 3)) for name in AUG_MIX),
        width,
        int(numbers.get("d", 0)),
        alpha,
        numbers.get("b", 0) > 0,
        Levels(numbers.get("mstd", math.inf)),
        look._replace(translation=AUG_MIX_TRANSLATION),
    )
