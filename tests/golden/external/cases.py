"""Networks of timm and torchvision that mindcv has too, and how they are called here."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tests.golden.weights import seeded

HERE = Path(__file__).parent
LAYOUTS = HERE / "layouts.json.gz"  # case, and net of mindcv -> name -> shape
LOGITS = HERE / "logits.json"  # case -> what the source's network computes of two images
CLASSES = 10
VIT = "mindcv.models.vit:VisionTransformer"
VIT_TINY = "embed_dim=192,num_heads=3"


class Case(NamedTuple):
    """`theirs` of `source` is `net` with `net_args`, which say the source's conventions; images are `side` high and wide."""

    source: str
    theirs: str
    net: str
    net_args: str
    side: int

    @property
    def name(self) -> str:
        return f"{self.source} {self.theirs}"

    @property
    def mindcvs(self) -> str:
        """The layout of mindcv's network."""
        return f"{self.net} {self.net_args.replace('conventions=', '').partition(',')[2]} {self.side}"


def of_both(theirs: str, torchvisions: str, net: str, side: int) -> list[Case]:
    return [
        Case("timm", theirs, net, "conventions=timm", side),
        Case("torchvision", torchvisions, net, "conventions=torchvision", side),
    ]


CASES = [
    *of_both("resnet18", "resnet18", "mindcv:resnet18", 64),
    *of_both("resnet34", "resnet34", "mindcv:resnet34", 64),
    *of_both("mobilenetv3_small_100", "mobilenet_v3_small", "mindcv:mobilenet_v3_small_100", 64),
    *of_both("mobilenetv3_large_100", "mobilenet_v3_large", "mindcv:mobilenet_v3_large_100", 64),
    *of_both("efficientnet_b0", "efficientnet_b0", "mindcv:efficientnet_b0", 64),
    *of_both("efficientnetv2_s", "efficientnet_v2_s", "mindcv:efficientnet_v2_s", 64),
    *of_both("convnext_tiny", "convnext_tiny", "mindcv:convnext_tiny", 72),
    *of_both("swin_tiny_patch4_window7_224", "swin_t", "mindcv:swin_tiny", 224),
    Case("timm", "tf_mobilenetv3_small_100", "mindcv:mobilenet_v3_small_100", "conventions=timm_tf", 64),
    Case("timm", "tf_efficientnet_b0", "mindcv:efficientnet_b0", "conventions=timm_tf", 64),
    Case("timm", "vit_tiny_patch16_224", VIT, f"conventions=timm,{VIT_TINY}", 64),
    Case("torchvision", "vit_tiny", VIT, f"conventions=torchvision,{VIT_TINY}", 64),
]
DEEP = ("efficientnetv2_s", "efficientnet_v2_s")  # whose values would outgrow what float32 can tell apart


def tensor(case: Case, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """As seeded.tensor; norms of very deep networks have small weights."""
    value = seeded.tensor(name, shape)
    is_norm = len(shape) == 1 and name.endswith(".weight")
    return value * np.float32(0.4) if is_norm and case.theirs in DEEP else value


BY_NAME = {case.name: case for case in CASES}


def layouts() -> dict[str, dict[str, tuple[int, ...]]]:
    found = json.loads(gzip.decompress(LAYOUTS.read_bytes()))
    return {case: {name: tuple(shape) for name, shape in shapes.items()} for case, shapes in found.items()}


def logits() -> dict[str, list[list[float]]]:
    return json.loads(LOGITS.read_text(encoding="utf-8"))
