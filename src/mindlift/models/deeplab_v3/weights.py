"""DeepLabV3 in other people's files: torchvision, the original MindSpore zoo, mindcv; and ResNets as its backbone. Pure.

| source | backbone | branch 2 of the pyramid | image pooling | behind them | head |
|---|---|---|---|---|---|
| torchvision | backbone.layer1.0.conv1 | classifier.0.convs.1.0, .1 | classifier.0.convs.4.1, .2 | classifier.0.project.0, .1 | classifier.4 |
| zoo | weights.layer1.0.conv1 | aspp.aspp2.aspp_conv.0, .1 | aspp.aspp_pooling.conv.0, .1 | aspp.conv1, aspp.bn1 | aspp.conv2 |
| mindcv | backbone.net.layer1.0.conv1 | aspp.aspp_convs.1._aspp_conv.0, .1 | aspp.aspp_convs.4.conv.0, .1 | aspp.conv1, aspp.bn1 | conv |
| this project | stages.0.0.conv1 | aspp.branches.1.conv, .norm | aspp.pooled | aspp.project | classifier |

torchvision has one more convolution (classifier.1, .2) and an auxiliary head, which is left out. The zoo's and mindcv's
were trained on images in the order blue, green, red, and with the stem's pool padded as TensorFlow does. The zoo's
names begin with network., some with network.resnet.network. because its training renames what it continues from.

The tensors of a ResNet, of whatever source, fill the backbone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from mindlift.models.resnet import weights
from mindlift.models.weights.layouts import MINDCV, OURS, ZOO, Layout, Shapes, count_of

TORCHVISION = "torchvision"
RATES, TORCHVISION_RATES = "6,12,18", "12,24,36"  # of the pyramid, where aspp_rates is not set
EPS = (1e-5, None)
PARTS = ("conv", "norm")
BRANCH = re.compile(
    r"(?:classifier\.0\.convs\.([0-3])|aspp\.aspp([1-4])\.aspp_conv|aspp\.aspp_convs\.([0-3])\._aspp_conv)\.([01])\.(\w+)"
)
POOLED = re.compile(
    r"(?:classifier\.0\.convs\.4\.([12])|aspp\.(?:aspp_pooling|aspp_convs\.4)\.conv\.([01]))\.(\w+)"
)
PROJECT = re.compile(r"(?:classifier\.0\.project\.([01])|aspp\.(conv1|bn1))\.(\w+)")
LAST = re.compile(r"classifier\.([12])\.(\w+)")
HEAD = re.compile(r"(?:classifier\.4|aspp\.conv2|conv)\.(weight|bias)")


def rates_of(values: Mapping[str, object]) -> str:
    """The option aspp_rates, also where it is not set; without blanks."""
    if values["aspp_rates"] is None:
        return TORCHVISION_RATES if str(values["net"]).endswith("_tv") else RATES
    return "".join(str(values["aspp_rates"]).split())


NETWORK = {"conv_pad": None, "stem_pool": None, "bn_eps": 1e-5, "aspp_rates": rates_of}  # see layouts.py


def canonical(name: str) -> str:
    """This network's name of a tensor; names it does not know come back unchanged."""
    name = re.sub(r"^(?:network\.|resnet\.(?=network\.))+", "", name)
    match = BRANCH.fullmatch(name)
    if match:
        here, in_zoo, in_mindcv, part, rest = match.groups()
        branch = int(in_zoo) - 1 if in_zoo else int(here or in_mindcv)
        return f"aspp.branches.{branch}.{PARTS[int(part)]}.{rest}"
    match = POOLED.fullmatch(name)
    if match:
        part = int(match[1]) - 1 if match[1] else int(match[2])
        return f"aspp.pooled.{PARTS[part]}.{match[3]}"
    match = PROJECT.fullmatch(name)
    if match:
        return f"aspp.project.{'conv' if match[1] == '0' or match[2] == 'conv1' else 'norm'}.{match[3]}"
    match = HEAD.fullmatch(name)
    if match:
        return f"classifier.{match[1]}"
    match = LAST.fullmatch(name)
    if match:
        return f"last.{PARTS[int(match[1]) - 1]}.{match[2]}"
    owner, _, rest = name.partition(".")
    return weights.canonical(re.sub(r"^net\.", "", rest)) if owner in ("backbone", "resnet") else name


def layout_of(shapes: Shapes) -> Layout | None:
    def has(pattern: str) -> bool:
        return any(re.search(pattern, name) for name in shapes)

    if has(r"^aspp\.branches\.\d\.(conv|norm)\."):
        return Layout(OURS)
    needs = {"conv_pad": ("sym",), "stem_pool": ("same",), "bn_eps": EPS, "aspp_rates": (RATES, None)}
    if has(r"^(.*\.)?aspp\.aspp\d\.aspp_conv\."):
        return Layout(ZOO, canonical, needs, channels="bgr")
    if has(r"^aspp\.aspp_convs\.\d\._aspp_conv\."):
        return Layout(MINDCV, canonical, needs, channels="bgr")
    if has(r"^classifier\.0\.convs\.\d\."):
        needs.update(stem_pool=("sym",), aspp_rates=(TORCHVISION_RATES, None))
        return Layout(TORCHVISION, canonical, needs, unused=("aux_classifier.",))
    backbone = weights.layout_of(shapes)
    if backbone is None:
        return None
    return replace(backbone, unused=("classifier.",), lacks=("aspp.", "last.", "classifier."))


def variant_of(shapes: Shapes, variants: Mapping) -> str | None:
    """The first variant with these numbers of blocks: the output stride can't be seen."""
    depths = tuple(count_of(shapes, rf"stages\.{stage}\.(\d+)\.") for stage in range(4))
    shape = (depths, "last.conv.weight" in shapes)
    return next(
        (name for name, found in variants.items() if (found.blocks, found.is_torchvision) == shape), None
    )
