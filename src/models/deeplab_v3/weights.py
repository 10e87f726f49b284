"""DeepLabV3 in other people's files. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from src.models.layouts import OURS, Layout, Shapes, count_of

NETWORK = {"conv_pad": None, "stem_pool": None, "bn_eps": 1e-5, "aspp_rates": None}  # see layouts.py


def layout_of(shapes: Shapes) -> Layout | None:
    if any(re.match(r"aspp\.branches\.\d\.(conv|norm)\.", name) for name in shapes):
        return Layout(OURS)
    return None


def variant_of(shapes: Shapes, variants: Mapping) -> str | None:
    """The first variant with these numbers of blocks: the output stride can't be seen."""
    depths = tuple(count_of(shapes, rf"stages\.{stage}\.(\d+)\.") for stage in range(4))
    has_last = "last.conv.weight" in shapes
    return next(
        (name for name, known in variants.items() if (known[0], known[2]) == (depths, has_last)), None
    )
