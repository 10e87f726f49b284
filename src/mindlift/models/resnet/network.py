"""ResNet-50 and ResNet-101, version 1.5: the stride of a bottleneck is at its 3x3 convolution.

He et al., Deep Residual Learning for Image Recognition (CVPR 2016), section 4.1 and table 1; version 1.5 and the
last norm of a block that starts at zero: Goyal et al., Accurate, Large Minibatch SGD (2017), sections 5.1 and 5.3.
The defaults are those of torchvision's weights. The original MindSpore zoo's checkpoints need `conv_pad="same"`,
`stem_pool="same"` and `bn_eps=1e-4`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import mindspore as ms
import mindspore.nn as nn
from mindspore.common.initializer import (
    HeNormal,
    Initializer,
    TruncatedNormal,
    Uniform,
    XavierUniform,
    initializer,
)

from mindlift.models import layers
from mindlift.models.dropout import DropPath, drop_paths, dropout
from mindlift.models.features import FeatureInfo, FeatureStage
from mindlift.models.layers import ConvNorm

if TYPE_CHECKING:
    from mindlift.models.cpu.cells import Kernels

EXPANSION = 4
WIDTHS = (64, 128, 256, 512)
STRIDES = (1, 2, 2, 2)
BN_EPS = 1e-5
BN_MOMENTUM = 0.9  # MindSpore counts the share that is kept; PyTorch's 0.1

VARIANTS = {"resnet50": (3, 4, 6, 3), "resnet101": (3, 4, 23, 3)}


def build(
    variant: str,
    num_classes: int,
    on_cpu: bool,
    *,
    conv_pad: str,
    stem_pool: str,
    bn_eps: float | None,
    bn_momentum: float | None,
    zero_gamma: bool,
    weight_init: str,
    drop_path: float | None,
    head_dropout: float | None,
) -> ResNet:
    """ResNet with a `num_classes`-way head."""
    return ResNet(
        VARIANTS[variant],
        num_classes,
        TrunkOptions(
            conv_pad=conv_pad,
            stem_pool=stem_pool,
            bn_eps=bn_eps,
            bn_momentum=bn_momentum,
            zero_gamma=zero_gamma,
            weight_init=weight_init,
            drop_path=drop_path,
        ),
        on_cpu,
        head_dropout,
    )


def least_side(variant: str) -> int:
    """The smallest image height and width: one pixel behind the five halvings."""
    return 32


def initializer_of(weight_init: str) -> Initializer:
    """Of the convolutions: He et al. 2015 (eq. 14, fan-out) or Glorot and Bengio 2010 (eq. 16)."""
    return HeNormal(mode="fan_out", nonlinearity="relu") if weight_init == "he" else XavierUniform()


class Bottleneck(nn.Cell):
    """1x1, 3x3 and 1x1 convolution around a shortcut: (N, cin, H, W) -> (N, 4 * width, H/stride, W/stride)."""

    def __init__(
        self,
        cin: int,
        width: int,
        stride: int,
        block: dict,
        dilation: int = 1,
        is_zero: bool = False,
        drop_path: DropPath | None = None,
    ):
        super().__init__()
        cout = EXPANSION * width
        self.conv1 = ConvNorm(cin, width, 1, **block)
        self.conv2 = ConvNorm(width, width, 3, stride, dilation=dilation, **block)
        self.conv3 = ConvNorm(width, cout, 1, relu=False, **block)
        if is_zero:
            self.conv3.norm.gamma.set_data(initializer("zeros", (cout,)))
        self.has_shortcut = stride != 1 or cin != cout
        if self.has_shortcut:
            self.shortcut = ConvNorm(cin, cout, 1, stride, relu=False, **block)
        self.relu = nn.ReLU()
        self.is_fused, self.drops = False, drop_path is not None
        if drop_path is not None:
            self.drop_path = drop_path

    def fuse(self, kernels: Kernels) -> None:
        """Compute the last norm, or when folded all of conv3, the sum and the ReLU at once; see models/cpu/cells.py."""
        if self.drops:
            return
        if self.conv3.is_folded:
            self.is_fused, self.whole = True, kernels.convolution_bias(self.conv3.conv, True, adds=True)
        elif kernels.take(self.conv3.norm):
            self.is_fused, self.conv3.norm = True, kernels.norm_add_relu(self.conv3.norm)
            self.conv3.conv.conv2d = kernels.convolution(self.conv3.conv, in_blocks=True)

    def construct(self, x):
        shortcut = self.shortcut(x) if self.has_shortcut else x
        if self.is_fused:
            conv, y = self.conv3.conv, self.conv2(self.conv1(x))
            if self.conv3.is_folded:
                return self.whole(y, conv.weight, conv.bias, shortcut)
            return self.conv3.norm(conv(y), shortcut)
        y = self.conv3(self.conv2(self.conv1(x)))
        if self.drops:
            y = self.drop_path(y)
        return self.relu(y + shortcut)


def stage(
    cin: int,
    width: int,
    stride: int,
    dilations: Sequence[int],
    block: dict,
    is_zero: bool = False,
    drops: Sequence[DropPath | None] = (),
) -> nn.SequentialCell:
    """One bottleneck for each of `dilations`, the first with `stride`: (N, cin, H, W) -> (N, 4 * width, H/stride, W/stride).

    `drops` are what drops the residual branch of each, none if there are none.
    """
    cells = []
    for i, (dilation, drop) in enumerate(zip(dilations, drops or [None] * len(dilations))):
        cells.append(Bottleneck(cin, width, 1 if i else stride, block, dilation, is_zero, drop))
        cin = EXPANSION * width
    return nn.SequentialCell(cells)


@dataclass(frozen=True)
class TrunkOptions:
    """How its layers are made; `bn_eps` and `bn_momentum` None are BN_EPS and BN_MOMENTUM."""

    conv_pad: str = "sym"
    stem_pool: str = "sym"
    bn_eps: float | None = None
    bn_momentum: float | None = None
    weight_init: str = "he"
    zero_gamma: bool = False
    freeze_bn: bool = False
    drop_path: float | None = None


class Trunk(nn.Cell):
    """Stem and stages: `features` of (N, 3, H, W) images are (N, C, H/s, W/s) with s = 4 * the strides' product and
    C four times the last of `widths`, which are those of the stages; 2048 as published.

    `plan` has a (stride, dilations of the blocks) for every stage. With `freeze_bn` the norms use their moving
    statistics in training, too, and leave them as they are.
    """

    def __init__(
        self,
        plan: Sequence[tuple[int, Sequence[int]]],
        options: TrunkOptions,
        widths: Sequence[int] = WIDTHS,
        on_cpu: bool = False,
    ):
        super().__init__()
        self.block = {
            "pad": options.conv_pad,
            "eps": BN_EPS if options.bn_eps is None else options.bn_eps,
            "init": initializer_of(options.weight_init),
            "momentum": BN_MOMENTUM if options.bn_momentum is None else options.bn_momentum,
            "is_frozen": options.freeze_bn,
        }
        self.stem = ConvNorm(3, widths[0], 7, 2, **self.block)
        self.pool = layers.stem_pool(options.stem_pool, on_cpu)
        self.widths, self.strides = tuple(widths), tuple(stride for stride, _ in plan)
        stages, cin = [], widths[0]
        drops = drop_paths(options.drop_path, sum(len(dilations) for _, dilations in plan))
        for width, (stride, dilations) in zip(widths, plan):
            own, drops = drops[: len(dilations)], drops[len(dilations) :]
            stages.append(stage(cin, width, stride, dilations, self.block, options.zero_gamma, own))
            cin = EXPANSION * width
        self.stages = nn.SequentialCell(stages)

    def blocks(self) -> list[nn.Cell]:
        """What --recompute works on."""
        return [cell for stage in self.stages for cell in stage]

    def features(self, x):
        return self.stages(self.pool(self.stem(x)))

    def feature_stages(self) -> list[FeatureStage]:
        """The stem, and each stage; the first of these has the pool in front."""
        found, reduction = [FeatureStage(FeatureInfo("stem", self.widths[0], 2), [self.stem])], 4
        for i, (width, stride, cells) in enumerate(zip(self.widths, self.strides, self.stages)):
            reduction *= stride
            info = FeatureInfo(f"stages.{i}", EXPANSION * width, reduction)
            found.append(FeatureStage(info, [cells] if i else [self.pool, cells]))
        return found


class ResNet(Trunk):
    """(N, 3, H, W) images -> (N, num_classes) float32 logits. `head_dropout` is the share of the features
    in front of the classifier that is dropped in training, as timm's drop_rate.
    """

    takes_blocks = True  # models/cpu/blocks.py

    def __init__(
        self,
        blocks: tuple[int, ...],
        num_classes: int,
        options: TrunkOptions,
        on_cpu: bool = False,
        head_dropout: float | None = None,
    ):
        plan = [(stride, (1,) * depth) for stride, depth in zip(STRIDES, blocks)]
        super().__init__(plan, options, on_cpu=on_cpu)
        cin = EXPANSION * WIDTHS[-1]
        self.dropout = dropout(head_dropout)
        self.means = layers.Means()
        self.classifier = nn.Dense(cin, num_classes)
        spread = Uniform(1 / math.sqrt(cin)) if options.weight_init == "he" else TruncatedNormal(0.01)
        self.classifier.weight.set_data(initializer(spread, self.classifier.weight.shape))
        self.classifier.bias.set_data(initializer("zeros", self.classifier.bias.shape))

    def construct(self, x):
        x = self.means(self.features(x))
        return self.classifier(self.dropout(x)).astype(ms.float32)
