"""BigTransfer in other people's files: Google's .npz, timm, mindcv, and the MindSpore port. Pure.

| source | names of the stem and of block 1 | its shortcut | head |
|---|---|---|---|
| Google | root_block/standardized_conv2d/kernel, block1/unit01/a/standardized_conv2d/kernel, .../a/group_norm/gamma | a/proj/standardized_conv2d/kernel | head/conv2d/kernel |
| timm | stem.conv.weight, stages.0.blocks.0.conv1.weight, .norm1.weight | downsample.conv.weight | head.fc.weight |
| mindcv | conv1.weight, layer1.0.conv1.weight, .gn1.gamma | down_sample.0.weight | classifier.weight |
| the port (hw666666666666/BigTransfer) | root.conv.weight, body.block1.unit01.conv1.weight, .gn1.gamma | downsample.weight | head.conv.weight |
| this project | stem.weight, stages.0.0.conv1.weight, .norm1.gamma | shortcut.weight | classifier.weight |

Google's names begin with resnet/, its kernels are (height, width, in, out), and its heads, like those of all but this
project, are 1x1 convolutions. The port pads its 3x3 convolutions as TensorFlow does, although it starts from Google's
weights, which were trained with symmetric padding. timm standardises with an epsilon of 1e-8.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from mindlift.models.weights.layouts import MINDCV, OURS, Layout, Shapes, Tensors, count_of

GOOGLE, TIMM, PORT = "Google", "timm", "the MindSpore port of BigTransfer"
NETWORK = {"conv_pad": None, "std_eps": 1e-10}  # see layouts.py
EPS = (1e-10, None)
LETTERS = {"a": 1, "b": 2, "c": 3}
GOOGLE_UNIT = re.compile(r"resnet/block(\d)/unit(\d+)/([abc])/(proj/)?(standardized_conv2d|group_norm)/(\w+)")
TIMM_BLOCK = re.compile(r"stages\.(\d+)\.blocks\.(\d+)\.(?:(conv|norm)(\d)|downsample\.conv)\.(\w+)")
MINDCV_BLOCK = re.compile(r"layer(\d)\.(\d+)\.(?:(conv|gn)(\d)|down_sample\.0)\.(\w+)")
PORT_BLOCK = re.compile(r"body\.block(\d)\.unit(\d+)\.(?:(conv|gn)(\d)|downsample)\.(\w+)")
OUTSIDE = {
    "resnet/root_block/standardized_conv2d/kernel": "stem.weight",
    "resnet/group_norm/gamma": "norm.gamma",
    "resnet/group_norm/beta": "norm.beta",
    "resnet/head/conv2d/kernel": "classifier.weight",
    "resnet/head/conv2d/bias": "classifier.bias",
    "stem.conv.weight": "stem.weight",
    "norm.weight": "norm.gamma",
    "norm.bias": "norm.beta",
    "head.fc.weight": "classifier.weight",
    "head.fc.bias": "classifier.bias",
    "conv1.weight": "stem.weight",
    "gn.gamma": "norm.gamma",
    "gn.beta": "norm.beta",
    "root.conv.weight": "stem.weight",
    "head.gn.gamma": "norm.gamma",
    "head.gn.beta": "norm.beta",
    "head.conv.weight": "classifier.weight",
    "head.conv.bias": "classifier.bias",
}
PARTS = {"weight": "gamma", "bias": "beta"}  # of PyTorch's group norms


def canonical(name: str) -> str:
    """This network's name of a tensor; names it does not know come back unchanged."""
    if name in OUTSIDE:
        return OUTSIDE[name]
    match = GOOGLE_UNIT.fullmatch(name)
    if match:
        stage, unit, letter, projection, kind, part = match.groups()
        block = f"stages.{int(stage) - 1}.{int(unit) - 1}"
        if kind == "group_norm":
            return f"{block}.norm{LETTERS[letter]}.{part}"
        return f"{block}.shortcut.weight" if projection else f"{block}.conv{LETTERS[letter]}.weight"
    for pattern, first_block in ((TIMM_BLOCK, 0), (MINDCV_BLOCK, 0), (PORT_BLOCK, 1)):
        match = pattern.fullmatch(name)
        if match:
            stage, unit, kind, number, part = match.groups()
            first_stage = 0 if pattern is TIMM_BLOCK else 1
            block = f"stages.{int(stage) - first_stage}.{int(unit) - first_block}"
            if kind is None:
                return f"{block}.shortcut.{part}"
            norm = kind in ("gn", "norm")
            return f"{block}.{'norm' if norm else 'conv'}{number}.{PARTS.get(part, part) if norm else part}"
    return name


def as_ours(tensors: Mapping[str, np.ndarray]) -> Tensors:
    """Kernels as (out, in, height, width), and the head's as (classes, features)."""
    found = {}
    for name, array in tensors.items():
        if name.startswith("resnet/") and array.ndim == 4:
            array = array.transpose(3, 2, 0, 1)
        if canonical(name) == "classifier.weight" and array.shape[2:] == (1, 1):
            array = array[:, :, 0, 0]
        found[name] = array
    return found


def layout_of(shapes: Shapes) -> Layout | None:
    if any(re.match(r"stages\.\d+\.\d+\.norm1\.gamma", name) for name in shapes):
        return Layout(OURS)
    for source, pattern, conv_pad, eps in (
        (GOOGLE, GOOGLE_UNIT, "sym", EPS),
        (TIMM, TIMM_BLOCK, "sym", (1e-8,)),
        (MINDCV, MINDCV_BLOCK, "sym", EPS),
        (PORT, PORT_BLOCK, "same", EPS),
    ):
        kinds = {match[3] for match in map(pattern.fullmatch, shapes) if match}
        if kinds & {"gn", "norm", "a"}:
            return Layout(source, canonical, {"conv_pad": (conv_pad,), "std_eps": eps}, fold=as_ours)
    return None


def variant_of(shapes: Shapes, variants: Mapping) -> str | None:
    """The variant with these numbers of blocks and this width."""
    depths = tuple(count_of(shapes, rf"stages\.{stage}\.(\d+)\.") for stage in range(4))
    factor = shapes.get("stem.weight", (0,))[0] // 64
    return next((name for name, known in variants.items() if known == (depths, factor)), None)
