"""DenseNet in other people's files: torchvision and timm, the original MindSpore zoo, mindcv. Pure.

| source | dense layer 1 of block 1 | head |
|---|---|---|
| torchvision, timm | features.denseblock1.denselayer1.norm1 (once norm.1) | classifier |
| zoo | backbone.features.denseblock1.cell_list.0.norm1 | head.fc |
| mindcv | features.denseblock1.cell_list.0.norm1 | classifier |
| this project | stages.0.layers.0.norm1 | classifier |

The zoo's DenseNet-121 takes maxima in its transitions and pads the stem's pool as TensorFlow does; its DenseNet-100 has
a norm behind the first convolution.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from mindlift.models.weights.layouts import MINDCV, OURS, TORCHVISION, ZOO, Layout, Shapes, count_of

NETWORK = {"transition_pool": None, "stem_pool": None, "stem_norm": None}  # see layouts.py
BLOCK = re.compile(
    r"features\.denseblock(\d+)\.(?:cell_list\.(\d+)|denselayer(\d+))\.(norm|conv)\.?([12])\.(\w+)"
)
TRANSITION = re.compile(r"features\.transition(\d+)\.(?:features\.)?(norm|conv)\.(\w+)")
STEM = re.compile(r"features\.(conv0|norm0)\.(\w+)")
LAST_NORM = re.compile(r"features\.norm(?:5|_last)\.(\w+)")
HEAD = re.compile(r"(?:head\.fc|classifier)\.(weight|bias)")
PAPER = {"transition_pool": ("avg",), "stem_pool": ("sym",)}


def canonical(name: str) -> str:
    """This network's name of a tensor; names it does not know come back unchanged."""
    name = re.sub(r"^(?:backbone\.)?", "", name)
    match = BLOCK.fullmatch(name)
    if match:
        block, from_zero, from_one, kind, number, rest = match.groups()
        layer = int(from_zero) if from_zero is not None else int(from_one) - 1
        return f"stages.{2 * (int(block) - 1)}.layers.{layer}.{kind}{number}.{rest}"
    match = TRANSITION.fullmatch(name)
    if match:
        return f"stages.{2 * int(match[1]) - 1}.{match[2]}.{match[3]}"
    match = STEM.fullmatch(name)
    if match:
        return f"stem.{match[1]}.{match[2]}"
    match = LAST_NORM.fullmatch(name)
    if match:
        return f"norm.{match[1]}"
    match = HEAD.fullmatch(name)
    if match:
        return f"classifier.{match[1]}"
    return name


def layout_of(shapes: Shapes) -> Layout | None:
    if any(re.match(r"stages\.\d+\.layers\.\d+\.", name) for name in shapes):
        return Layout(OURS, needs=of_ours(shapes))
    blocks = [name for name in shapes if re.match(r"(backbone\.)?features\.denseblock\d+\.", name)]
    if not blocks:
        return None
    if all(".denselayer" in name for name in blocks):
        return Layout(TORCHVISION, canonical, PAPER)
    if all(name.startswith("backbone.") for name in blocks):
        return Layout(ZOO, canonical, of_the_zoo(shapes))
    return Layout(MINDCV, canonical, PAPER)


def of_ours(shapes: Shapes) -> Mapping[str, tuple]:
    is_cifar = shapes.get("stem.conv0.weight", ())[2:] == (3, 3)
    return {"stem_norm": ("stem.norm0.gamma" in shapes,)} if is_cifar else {}


def of_the_zoo(shapes: Shapes) -> Mapping[str, tuple]:
    if shapes.get("backbone.features.conv0.weight", ())[2:] == (7, 7):
        return {"transition_pool": ("max",), "stem_pool": ("same",)}
    return {"transition_pool": ("avg",), "stem_norm": (True,)}


def variant_of(shapes: Shapes, variants: Mapping) -> str | None:
    """The variant with these blocks, this growth and this stem."""
    growth = shapes.get("stages.0.layers.0.conv2.weight", (0,))[0]
    depths = tuple(
        count_of(shapes, rf"stages\.{stage}\.layers\.(\d+)\.")
        for stage in range(0, count_of(shapes, r"stages\.(\d+)\."), 2)
    )
    stem = "imagenet" if shapes.get("stem.conv0.weight", ())[2:] == (7, 7) else "cifar"
    return next((name for name, shape in variants.items() if tuple(shape) == (growth, depths, stem)), None)
