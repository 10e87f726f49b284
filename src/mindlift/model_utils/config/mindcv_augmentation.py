"""What mindcv's recipes say of augmentation, as options of this project; see mindcv_recipes. Pure.

Each function gives options, or nothing where there is no counterpart, which is then named as left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

# mindcv 0.5.0, config.py and transforms_factory.py
DEFAULTS: dict[str, object] = {
    "scale": [0.08, 1.0],
    "ratio": [0.75, 1.333],
    "vflip": 0.0,
    "auto_augment": None,
    "re_prob": 0.0,
    "re_value": 0,
    "re_scale": [0.02, 0.33],
    "re_ratio": [0.3, 3.3],
    "mixup": 0.0,
    "cutmix": 0.0,
    "cutmix_prob": 1.0,
    "aug_repeats": 0,
    "aug_splits": 0,
    "mean": [0.485 * 255, 0.456 * 255, 0.406 * 255],
    "std": [0.229 * 255, 0.224 * 255, 0.225 * 255],
}
SAME = {  # mindcv's name -> this project's, of the same meaning
    "vflip": "vflip",
    "re_prob": "random_erase",
    "mixup": "mixup_alpha",
    "cutmix": "cutmix_alpha",
    "cutmix_prob": "mixup_prob",
}
POLICIES = {  # mindcv's name -> timm's, and the parts that both have
    "randaug": ("rand", ("m", "n", "mstd", "mmax", "inc")),
    "autoaug": ("original", ("mstd",)),
    "autoaugr": ("originalr", ("mstd",)),
    "3a": ("3a", ("mstd",)),
    "augmix": ("augmix", ("m", "w", "d", "a")),
    "trivialaugwide": ("trivialaugwide", ()),
}
DEVIATION = "mstd"  # 0.5 in mindcv's first four whatever is written: its auto_augment.py sets that before it reads the parts
PART = re.compile(r"^([a-z]+)[0-9.]+$")
MOST_SPLITS = 3  # and the only number of them that its train.py takes
FILLINGS = {"0": "const", "random": "pixel"}


def policy(text: str) -> str:
    """timm's words for a policy; '' if it has none."""
    name, *parts = text.split("-")
    theirs, known = POLICIES.get(name, ("", ()))
    keys = [PART.sub(r"\1", part) for part in parts]
    if not theirs or not set(keys) <= set(known):
        return ""
    if DEVIATION not in known:
        return "-".join([theirs, *parts])
    return "-".join([theirs, *(part for part in parts if not part.startswith(DEVIATION)), f"{DEVIATION}0.5"])


def translated(full: Mapping[str, object], augment: str) -> dict[str, dict[str, object]]:
    """mindcv's key -> options in its place, of what differs from mindcv's defaults; `augment` is that option here."""
    found: dict[str, dict[str, object]] = {}
    words = policy(str(full["auto_augment"])) if full["auto_augment"] else ""
    if words:
        found["auto_augment"] = {"auto_augment": words}
    if augment == "resized_crop":
        found.update(changed(full, {"scale": "crop_scale", "ratio": "crop_ratio"}))
    if full["aug_repeats"]:
        found["aug_repeats"] = {"aug_repeats": full["aug_repeats"]}
    if full["aug_splits"] == MOST_SPLITS:
        found["aug_splits"] = {"aug_splits": MOST_SPLITS}
    if full["mixup"] or full["cutmix"]:
        found["mixup"] = {"mixup_shares": "batch"}
    if not full["re_prob"]:
        found.update({key: {} for key in ("re_scale", "re_ratio", "re_value")})
    else:
        found["re_scale"] = {"random_erase_scale": full["re_scale"]}
        found["re_ratio"] = {"random_erase_ratio": full["re_ratio"]}
        filling = FILLINGS.get(str(full["re_value"]))
        if filling:
            found["re_value"] = {"random_erase_mode": filling}
    for key in ("mean", "std"):
        values = full[key]
        if values != DEFAULTS[key] and isinstance(values, list):
            found[key] = {key: [value / 255 for value in values if isinstance(value, (int, float))]}
    return found


def changed(full: Mapping[str, object], names: Mapping[str, str]) -> dict[str, dict[str, object]]:
    return {key: {ours: full[key]} for key, ours in names.items() if full[key] != DEFAULTS[key]}
