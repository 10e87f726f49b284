"""ResNet in other people's files: torchvision and timm, the original MindSpore zoo, mindcv. Pure.

| source | names of the stem and of block 1 | its shortcut | head |
|---|---|---|---|
| torchvision, timm | conv1, bn1, layer1.0.conv1, layer1.0.bn1 | downsample.0, downsample.1 | fc |
| zoo | the same | down_sample_layer.0, .1 | end_point |
| mindcv | the same | down_sample.0, .1 | classifier |
| this project | stem.conv, stem.norm, stages.0.0.conv1.conv, .norm | shortcut.conv, .norm | classifier |

The zoo pads all convolutions and the stem's pool as TensorFlow does, has an epsilon of 1e-4, and heads of 1001 rows
whose last one, 1000, belongs to no class. mindcv pads the stem's pool that way, and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from mindlift.models.weights.layouts import MINDCV, OURS, TORCHVISION, ZOO, Layout, Shapes, count_of

NETWORK = {"conv_pad": None, "stem_pool": None, "bn_eps": 1e-5}  # see layouts.py
EPS = (1e-5, None)
BLOCK = re.compile(r"layer(\d+)\.(\d+)\.(conv|bn)([123])\.(\w+)")
SHORTCUT = re.compile(r"layer(\d+)\.(\d+)\.(?:downsample|down_sample|down_sample_layer)\.([01])\.(\w+)")
STEM = re.compile(r"(conv1|bn1)\.(\w+)")
HEAD = re.compile(r"(?:fc|end_point|classifier)\.(weight|bias)")


def canonical(name: str) -> str:
    """This network's name of a tensor; names it does not know come back unchanged."""
    match = BLOCK.fullmatch(name)
    if match:
        layer, block, kind, number, rest = match.groups()
        return f"stages.{int(layer) - 1}.{block}.conv{number}.{'conv' if kind == 'conv' else 'norm'}.{rest}"
    match = SHORTCUT.fullmatch(name)
    if match:
        return f"stages.{int(match[1]) - 1}.{match[2]}.shortcut.{('conv', 'norm')[int(match[3])]}.{match[4]}"
    match = STEM.fullmatch(name)
    if match:
        return f"stem.{'conv' if match[1] == 'conv1' else 'norm'}.{match[2]}"
    match = HEAD.fullmatch(name)
    if match:
        return f"classifier.{match[1]}"
    return name


def layout_of(shapes: Shapes) -> Layout | None:
    if any(re.match(r"stages\.\d+\.\d+\.conv\d\.(conv|norm)\.", name) for name in shapes):
        return None if any(name.startswith("aspp.") for name in shapes) else Layout(OURS)
    if not any(BLOCK.fullmatch(name) for name in shapes) or any(".gn1." in name for name in shapes):
        return None
    kinds = {
        match[1]
        for match in (re.search(r"\.(down_?sample(?:_layer)?)\.[01]\.", name) for name in shapes)
        if match
    }
    if "down_sample_layer" in kinds:
        needs = {"conv_pad": ("same",), "stem_pool": ("same",), "bn_eps": (1e-4,)}
        return Layout(ZOO, canonical, needs, unused_row=1000)
    if "down_sample" in kinds:
        return Layout(MINDCV, canonical, {"conv_pad": ("sym",), "stem_pool": ("same",), "bn_eps": EPS})
    return Layout(TORCHVISION, canonical, {"conv_pad": ("sym",), "stem_pool": ("sym",), "bn_eps": EPS})


def variant_of(shapes: Shapes, variants: Mapping) -> str | None:
    """The variant with these numbers of blocks."""
    depths = tuple(
        count_of(shapes, rf"stages\.{stage}\.(\d+)\.")
        for stage in range(count_of(shapes, r"stages\.(\d+)\."))
    )
    return next((name for name, blocks in variants.items() if blocks == depths), None)
