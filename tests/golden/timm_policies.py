"""What timm's data/auto_augment.py says: values of operations by level, and policies by their words.

    python -m tests.golden.timm_policies

writes timm_policies.json, by the timm that is installed; the file says which.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from unittest.mock import patch

FILE = Path(__file__).with_suffix(".json")
LEVELS = (0, 1, 2.5, 3, 5, 6.7, 9, 10, 13)
SIGNS = (0.2, 0.8)  # what timm's random.random gives: above a half a value is negated
ABSOLUTE = ("TranslateX", "TranslateY")  # in pixels, which no policy uses
WORDS = (
    *("rand-m9-mstd0.5-inc1", "rand-m7-n3-p1-mstd0.5-mmax15", "rand", "rand-m15-mstd1-tweights-inc1"),
    *("rand-m6-mstd101-n1-inc1", "rand-t3a-m5", "rand-t3aw-n4", "rand-m9-inc0", "rand-m14-p1-mmax20-inc1"),
    *("original", "original-mstd0.5", "originalr", "v0", "v0r-mstd1", "3a"),
    *("augmix-m3-w3", "augmix-m5-w4-d2", "augmix-m5-a0.5-mstd1-b1", "augmix"),
)
HYPER = {"img_mean": (124, 116, 104), "interpolation": 3}


def digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def facts(operations) -> object:
    return [[each.name, float(each.prob), float(each.magnitude)] for each in operations]


def transform(words: str):
    """timm's own, as its transforms_factory.py makes it."""
    from timm.data import auto_augment

    hyper = dict(HYPER)
    if words.startswith("augmix"):
        return auto_augment.augment_and_mix_transform(words, {**hyper, "translate_pct": 0.3})
    make = (
        auto_augment.rand_augment_transform
        if words.startswith("rand")
        else auto_augment.auto_augment_transform
    )
    return make(words, hyper)


def described(made) -> dict[str, object]:
    """What `words` mean; entries as a digest."""
    entries = [facts(each) for each in made.policy] if hasattr(made, "policy") else facts(made.ops)
    first = made.policy[0][0] if hasattr(made, "policy") else made.ops[0]
    weights = getattr(made, "choice_weights", None)
    return {
        "entries": digest(entries),
        "deviation": float(first.magnitude_std),
        "highest": float(first.magnitude_max or 10),
        "layers": getattr(made, "num_layers", None),
        "weights": None if weights is None else digest([round(float(each), 9) for each in weights]),
        "mix": [made.width, max(0, made.depth), made.alpha, made.blended] if hasattr(made, "width") else None,
    }


def recorded() -> dict[str, object]:
    import timm
    from timm.data import auto_augment

    values: dict[str, list[list[float]]] = {}
    for name, function in auto_augment.LEVEL_TO_ARG.items():
        if name in ABSOLUTE or function is None:
            continue
        values[name] = []
        for sign in SIGNS:
            with patch("random.random", lambda sign=sign: sign):
                values[name].append([float(function(level, {})[0]) for level in LEVELS])
    words = {each: described(transform(each)) for each in WORDS}
    return {"timm": timm.__version__, "values": values, "words": words}


if __name__ == "__main__":
    FILE.write_text(json.dumps(recorded()) + "\n")
