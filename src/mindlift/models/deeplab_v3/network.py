"""DeepLabV3 on ResNet: dilated stages, and a pyramid of dilations (ASPP) in front of the classifier of every pixel.

Chen et al., Rethinking Atrous Convolution for Semantic Image Segmentation (2017): output stride and multi-grid
(1, 2, 4) in section 3.2 and 4.2, the pyramid with image pooling in section 3.3. As in the original MindSpore zoo the rates
of the pyramid stay 6, 12, 18 at an output stride of 8 (the paper doubles them there), and 70 % of the features in front
of the classifier are dropped in training.

`deeplab_v3_tv` and `deeplab_v3_r50_tv` are torchvision's deeplabv3_resnet101 and 50 without their auxiliary head: no
multi-grid, rates 12, 24, 36, one more convolution in front of the classifier, and logits that are enlarged without
aligned corners.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import mindspore as ms
import mindspore.nn as nn
import mindspore.ops as ops
import numpy as np
from mindspore.common.initializer import Uniform, XavierUniform, initializer

from mindlift.models import layers
from mindlift.models.deeplab_v3.weights import RATES, TORCHVISION_RATES
from mindlift.models.dropout import Dropout
from mindlift.models.layers import ConvNorm
from mindlift.models.resnet.network import EXPANSION, WIDTHS, Trunk, TrunkOptions

if TYPE_CHECKING:
    from mindlift.models.cpu.cells import Kernels

TASK = "segmentation"
MULTI_GRID = (1, 2, 4)
PYRAMID = 256  # channels of each of its branches, and behind it, as published


class Variant(NamedTuple):
    blocks: tuple[int, ...]
    output_stride: int
    is_torchvision: bool = False
    narrow: int = 1  # all channels are divided by it


R26, R50, R101 = (2, 2, 2, 2), (3, 4, 6, 3), (3, 4, 23, 3)
VARIANTS = {
    "deeplab_v3_s16": Variant(R101, 16),
    "deeplab_v3_s8": Variant(R101, 8),
    "deeplab_v3_tv": Variant(R101, 8, is_torchvision=True),
    "deeplab_v3_r50_s16": Variant(R50, 16),
    "deeplab_v3_r50_s8": Variant(R50, 8),
    "deeplab_v3_r50_tv": Variant(R50, 8, is_torchvision=True),
    # two bottlenecks a stage and a quarter of the channels, for a first look on a laptop
    "deeplab_v3_r26_s16": Variant(R26, 16, narrow=4),
    "deeplab_v3_r26_s8": Variant(R26, 8, narrow=4),
}


def build(
    variant: str,
    num_classes: int,
    on_cpu: bool,
    *,
    conv_pad: str,
    stem_pool: str,
    bn_eps: float | None,
    bn_momentum: float | None,
    weight_init: str,
    dropout: float | None,
    aspp_rates: str | None,
    freeze_bn: bool,
    drop_path: float | None,
) -> DeepLabV3:
    """DeepLabV3 for `num_classes` classes. KeyError for rates that are none."""
    return DeepLabV3(
        VARIANTS[variant],
        num_classes,
        DeepLabOptions(
            conv_pad=conv_pad,
            stem_pool=stem_pool,
            bn_eps=bn_eps,
            bn_momentum=bn_momentum,
            weight_init=weight_init,
            dropout=dropout,
            aspp_rates=aspp_rates,
            freeze_bn=freeze_bn,
            drop_path=drop_path,
        ),
        on_cpu,
    )


def least_side(variant: str) -> int:
    """The smallest image height and width: one pixel behind the halvings of the unchanged ResNet."""
    return 32


def rates_of(text: str | None, variant: Variant) -> tuple[int, ...]:
    """The three dilations that the option aspp_rates asks for; KeyError if it is none of its forms."""
    if text is None:
        text = TORCHVISION_RATES if variant.is_torchvision else RATES
    if text == "paper":
        return tuple(rate * 16 // variant.output_stride for rate in (6, 12, 18))
    if not re.fullmatch(r"\s*[1-9]\d*\s*(,\s*[1-9]\d*\s*){2}", text):
        raise KeyError(f"--aspp_rates {text}: expected three numbers from 1 on, such as 6,12,18, or paper")
    return tuple(int(rate) for rate in text.split(","))


def plan_of(variant: Variant) -> list[tuple[int, tuple[int, ...]]]:
    """(stride, dilations of the blocks) of every stage.

    A stage that does not halve has twice the dilation of the one before it. In torchvision its first block, which the
    halving would have come after, has still that of the stage before.
    """
    plan, stride, dilation = [], 4, 1
    for stage, depth in enumerate(variant.blocks):
        before, halves = dilation, stage > 0 and stride < variant.output_stride
        if stage and not halves:
            dilation *= 2
        stride *= 2 if halves else 1
        dilations = [dilation] * depth
        if variant.is_torchvision:
            dilations[0] = before
        elif stage == len(variant.blocks) - 1:
            dilations = [dilation * grid for grid in MULTI_GRID[:depth]]
        plan.append((2 if halves else 1, tuple(dilations)))
    return plan


class FarConvNorm(ConvNorm):
    """A dilated 3x3 ConvNorm that does not multiply by padding where its outer weights see nothing else.

    On a map that is no larger than the dilation only the middle weight sees the map (section 3.3): a ninth of the work.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.matrices = ms.float32
        self.has_kernel = False

    def fuse(self, kernels: Kernels) -> None:
        super().fuse(kernels)
        self.has_kernel = True  # which does not multiply by padding

    def compute_in(self, matrices: ms.Type, maps: ms.Type) -> None:
        """Of the middle weight; the cells inside are cast by themselves."""
        self.matrices = matrices

    def convolved(self, x):
        if self.has_kernel or self.conv.dilation[0] < max(x.shape[2:]):
            return self.conv(x)
        weight = self.conv.weight[:, :, 1:2, 1:2]
        bias = self.conv.bias.astype(self.matrices) if self.conv.has_bias else None
        return ops.conv2d(x.astype(self.matrices), weight.astype(self.matrices), bias)


class Pyramid(nn.Cell):
    """ASPP, section 3.3: (N, cin, H, W) -> (N, cout, H, W), of any height and width."""

    def __init__(self, cin: int, cout: int, rates: tuple[int, ...], block: dict, on_cpu: bool):
        super().__init__()
        far = FarConvNorm if on_cpu else ConvNorm
        branches = [ConvNorm(cin, cout, 1, **block)]
        branches += [far(cin, cout, 3, dilation=rate, **block) for rate in rates]
        self.branches = nn.CellList(branches)
        self.means = layers.Means()
        self.pooled = ConvNorm(cin, cout, 1, **block)
        self.project = ConvNorm((len(branches) + 1) * cout, cout, 1, **block)

    def construct(self, x):
        found = ()  # type: tuple
        for branch in self.branches:
            found += (branch(x),)
        whole = self.pooled(self.means(x).reshape((*x.shape[:2], 1, 1, *x.shape[4:])))
        # its gradient is a sum over the whole map
        found += (ops.broadcast_to(whole.astype(ms.float32), found[0].shape).astype(whole.dtype),)
        return self.project(ops.cat(found, 1))


@ops.constexpr
def enlarging(size: int, new: int, is_aligned: bool) -> ms.Tensor:
    """The matrix (new, size) of linear interpolation between `size` values.

    `is_aligned`: the first and last values stay at the ends (align_corners); otherwise values are middles of pixels.
    """
    if is_aligned:
        places = np.arange(new) * ((size - 1) / max(new - 1, 1))
    else:
        places = np.clip((np.arange(new) + 0.5) * (size / new) - 0.5, 0, None)
    low = np.minimum(places.astype(int), size - 1)
    high = np.minimum(low + 1, size - 1)
    matrix = np.zeros((new, size))
    np.add.at(matrix, (np.arange(new), low), 1 - (places - low))
    np.add.at(matrix, (np.arange(new), high), places - low)
    return ms.Tensor(matrix, ms.float32)


def enlarged(x: ms.Tensor, height: int, width: int, is_aligned: bool) -> ms.Tensor:
    """(N, K, h, w) -> float32 (N, K, height, width), bilinear, as two products of matrices."""
    n, k, h, w = x.shape
    wide = ops.matmul(x.astype(ms.float32).reshape(n * k * h, w), enlarging(w, width, is_aligned).T)
    wide = wide.reshape(n * k, h, width)
    return ops.matmul(enlarging(h, height, is_aligned), wide).reshape(n, k, height, width)


@dataclass(frozen=True)
class DeepLabOptions(TrunkOptions):
    """Also of what is behind the trunk; `dropout` and `aspp_rates` None are the variant's own."""

    dropout: float | None = None
    aspp_rates: str | None = None


class DeepLabV3(Trunk):
    """(N, 3, H, W) RGB images of any size -> (N, num_classes, H, W) float32 logits."""

    takes_blocks = True  # models/cpu/blocks.py

    def __init__(
        self,
        variant: Variant,
        num_classes: int,
        options: DeepLabOptions,
        on_cpu: bool = False,
    ):
        widths = [width // variant.narrow for width in WIDTHS]
        super().__init__(plan_of(variant), options, widths, on_cpu)
        self.is_aligned = not variant.is_torchvision
        channels = PYRAMID // variant.narrow
        rates = rates_of(options.aspp_rates, variant)
        self.aspp = Pyramid(EXPANSION * widths[-1], channels, rates, self.block, on_cpu)
        share = 0.5 if variant.is_torchvision else 0.7
        self.dropout = Dropout(share if options.dropout is None else options.dropout)
        self.last = ConvNorm(channels, channels, 3, **self.block) if variant.is_torchvision else nn.Identity()
        spread = Uniform(1 / math.sqrt(channels)) if options.weight_init == "he" else XavierUniform()
        self.classifier = nn.Conv2d(channels, num_classes, 1, has_bias=True, weight_init=spread)
        self.classifier.bias.set_data(initializer("zeros", (num_classes,)))

    def construct(self, x):
        logits = self.classifier(self.last(self.dropout(self.aspp(self.features(x)))))
        return enlarged(logits, x.shape[2], x.shape[3], self.is_aligned)
