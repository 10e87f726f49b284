"""Inception-v4 in other people's files: timm (and Cadene's port before it), the MindSpore zoo, mindcv. Pure.

timm's `features` are numbered as here, its norms are called bn and its head last_linear. The zoo and mindcv have the
stem in features.0, so that their block i is features.(i + 5) here, and names of their own inside. A convolution and its
norm are `X.conv.conv` and `X.conv.batchnorm` in the zoo, `X.conv` and `X.bn` in mindcv.

The zoo has a norm before the head (bn0) and one behind it. Both are affine maps with fixed statistics at inference
(Ioffe and Szegedy, 2015, section 3.1), so `fold` works them into the head's weight and bias exactly.

Heads of 1001 rows, as TensorFlow trains them, have the background in row 0.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from mindlift.models.weights.layouts import MINDCV, OURS, ZOO, Layout, Shapes, Tensors

NETWORK = {"bn_eps": 1e-3}  # see layouts.py
TIMM = "timm"
BACKGROUND = 0
EPS = (1e-3, None)
BN0_EPS, HEAD_NORM_EPS = 1e-3, 1e-5
STEM = {
    "conv2d_1a_3x3": "0",
    "conv2d_2a_3x3": "1",
    "conv2d_2b_3x3": "2",
    "mixed_3a_branch_1": "3.conv",
    "mixed_4a_branch_0": "4.branch0",
    "mixed_4a_branch_1": "4.branch1",
    "mixed_5a_branch_0": "5.conv",
}
BLOCKS_C = {
    "branch_1": "branch1_0",
    "branch_1_1": "branch1_1a",
    "branch_1_2": "branch1_1b",
    "branch_2.0": "branch2_0",
    "branch_2.1": "branch2_1",
    "branch_2.2": "branch2_2",
    "branch_2_1": "branch2_3a",
    "branch_2_2": "branch2_3b",
}
CONV = re.compile(r"features\.(\d+)\.(.+?)\.(?:conv\.)?(conv|bn|batchnorm)\.(\w+)")
HEAD = re.compile(r"(?:last_linear|classifier|softmax\.dense)\.(weight|bias)")


def of_timm(name: str) -> str:
    """This network's name of a tensor of timm; names it does not know come back unchanged."""
    match = HEAD.fullmatch(name)
    if match:
        return f"classifier.{match[1]}"
    return re.sub(r"^(features\..+)\.bn\.(\w+)$", r"\1.norm.\2", name)


def of_mindspore(name: str) -> str:
    """This network's name of a tensor of the zoo or mindcv; names it does not know come back unchanged."""
    match = HEAD.fullmatch(name)
    if match:
        return f"classifier.{match[1]}"
    match = CONV.fullmatch(name)
    if not match:
        return name
    index, inside, kind, part = int(match[1]), match[2], match[3], match[4]
    owner = place_in_stem(inside) if index == 0 else f"{index + 5}.{place_in_block(index, inside)}"
    return f"features.{owner}.{'conv' if kind == 'conv' else 'norm'}.{part}"


def place_in_stem(inside: str) -> str:
    head, dot, rest = inside.partition(".")
    return STEM.get(head, head) + dot + rest


def place_in_block(index: int, inside: str) -> str:
    """Blocks 14 - 16 are the C blocks, whose branches part again."""
    if index >= 14 and inside in BLOCKS_C:
        return BLOCKS_C[inside]
    return inside.replace("branch_", "branch", 1)


def fold(tensors: Tensors) -> Tensors:
    """The head that does what the zoo's bn0, dense layer and its norm do. Without a head, what bn0 needs is left out."""
    tensors = dict(tensors)
    before = taken(tensors, "bn0", BN0_EPS)
    behind = taken(tensors, "softmax.batchnorm", HEAD_NORM_EPS)
    names = ("softmax.dense.weight", "softmax.dense.bias")
    if not all(name in tensors for name in names):
        return tensors
    weight, bias = (tensors[name].astype(np.float64) for name in names)
    if before:
        scale, shift = before
        bias, weight = bias + weight @ shift, weight * scale
    if behind:
        scale, shift = behind
        bias, weight = bias * scale + shift, weight * scale[:, None]
    tensors.update(zip(names, (weight.astype(np.float32), bias.astype(np.float32))))
    return tensors


def taken(tensors: Tensors, name: str, eps: float) -> tuple[np.ndarray, np.ndarray] | None:
    """Take a norm out of `tensors`, as scale and shift (channels,); None if it is not whole."""
    parts = [f"{name}.{part}" for part in ("gamma", "beta", "moving_mean", "moving_variance")]
    if not all(part in tensors for part in parts):
        return None
    gamma, beta, mean, variance = (tensors.pop(part).astype(np.float64) for part in parts)
    scale = gamma / np.sqrt(variance + eps)
    return scale, beta - mean * scale


def layout_of(shapes: Shapes) -> Layout | None:
    if any(re.match(r"features\.\d+\.(.+\.)?norm\.", name) for name in shapes):
        return Layout(OURS)
    if any(re.match(r"features\.\d+\..+\.conv\.batchnorm\.", name) for name in shapes):
        return Layout(ZOO, of_mindspore, {"bn_eps": (1e-5,)}, BACKGROUND, fold)
    if any(re.match(r"features\.0\.(conv2d|mixed)_", name) for name in shapes):
        return Layout(MINDCV, of_mindspore, {"bn_eps": EPS}, BACKGROUND)
    if any(re.match(r"features\.\d+\.(.+\.)?bn\.", name) for name in shapes):
        return Layout(TIMM, of_timm, {"bn_eps": EPS, "normalize": ("half",)}, BACKGROUND)
    return None


def variant_of(shapes: Shapes, variants: Mapping) -> str | None:
    """There is one variant."""
    return next(iter(variants)) if "features.21.branch2_3b.conv.weight" in shapes else None
