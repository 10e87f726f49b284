"""BigTransfer's ResNets (BiT): version 2 with group norm and standardised convolutions, in six sizes.

Kolesnikov et al., Big Transfer: General Visual Representation Learning (ECCV 2020), section 2.1; the pre-activated
block is He et al., Identity Mappings in Deep Residual Networks (2016), figure 4 (e), with the stride at its 3x3
convolution; weight standardisation is Qiao et al., Micro-Batch Training with Batch-Channel Normalization (2019),
section 3.1; group norm is Wu and He (2018). The defaults are those of Google's weights. Checkpoints of the MindSpore
port (hw666666666666/BigTransfer) need `conv_pad="same"`, timm's weights `std_eps=1e-8`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import mindspore as ms
import mindspore.nn as nn

from mindlift.models import layers
from mindlift.models.bit.cells import GroupNormReLU, StandardisedConv
from mindlift.models.dropout import DropPath, drop_paths, dropout
from mindlift.models.features import FeatureInfo, FeatureStage

if TYPE_CHECKING:
    from mindlift.models.cpu.cells import Kernels

EXPANSION = 4
WIDTHS = (64, 128, 256, 512)

# Blocks of the four stages, and the factor of all widths.
VARIANTS = {
    "bit_r50x1": ((3, 4, 6, 3), 1),
    "bit_r50x3": ((3, 4, 6, 3), 3),
    "bit_r101x1": ((3, 4, 23, 3), 1),
    "bit_r101x3": ((3, 4, 23, 3), 3),
    "bit_r152x2": ((3, 8, 36, 3), 2),
    "bit_r152x4": ((3, 8, 36, 3), 4),
}
STD_EPS = 1e-10


def build(
    variant: str,
    num_classes: int,
    on_cpu: bool,
    *,
    conv_pad: str,
    std_eps: float | None,
    drop_path: float | None,
    head_dropout: float | None,
) -> BigTransfer:
    """A network with a `num_classes`-way head that is zero."""
    return BigTransfer(
        *VARIANTS[variant],
        num_classes,
        Options(conv_pad=conv_pad, std_eps=std_eps, drop_path=drop_path, head_dropout=head_dropout),
        on_cpu,
    )


def least_side(variant: str) -> int:
    """The smallest image height and width: one pixel behind the five halvings."""
    return 32


class Block(nn.Cell):
    """norm, ReLU, 1x1, norm, ReLU, 3x3, norm, ReLU, 1x1: (N, cin, H, W) -> (N, cout, H/stride, W/stride), plus a shortcut.

    Where the shape changes, the shortcut is a 1x1 convolution of the first norm's output, not of the input.
    """

    def __init__(
        self, cin: int, cout: int, stride: int, conv: dict, drop_path: DropPath | None, on_cpu: bool
    ):
        super().__init__()
        width = cout // EXPANSION
        self.norm1 = GroupNormReLU(cin, on_cpu)
        self.conv1 = StandardisedConv(cin, width, 1, **conv)
        self.norm2 = GroupNormReLU(width, on_cpu)
        self.conv2 = StandardisedConv(width, width, 3, stride, **conv)
        self.norm3 = GroupNormReLU(width, on_cpu)
        self.conv3 = StandardisedConv(width, cout, 1, **conv)
        self.has_shortcut = stride != 1 or cin != cout
        if self.has_shortcut:
            self.shortcut = StandardisedConv(cin, cout, 1, stride, **conv)
        self.drops, self.is_fused = drop_path is not None, False
        if drop_path is not None:
            self.drop_path = drop_path

    def fuse(self, kernels: Kernels) -> None:
        """Compute the last convolution and the sum at once at inference; see models/cpu/cells.py."""
        if kernels.is_folded and not self.drops:
            self.is_fused, self.whole = True, kernels.convolution_add(self.conv3)

    def construct(self, x):
        y = self.norm1(x)
        shortcut = self.shortcut(y) if self.has_shortcut else x
        y = self.norm3(self.conv2(self.norm2(self.conv1(y))))
        if self.is_fused:
            return self.whole(y, self.conv3.weight, shortcut)
        y = self.conv3(y)
        if self.drops:
            y = self.drop_path(y)
        return y + shortcut


@dataclass(frozen=True)
class Options:
    """`conv_pad` "same" pads as TensorFlow does, at stride 2 not symmetrically; it is meant for checkpoints of the
    MindSpore port. `drop_path` is the share of the last block's residual branches that is dropped in training, and
    `head_dropout` that of the features in front of the classifier, as timm has both.
    """

    conv_pad: str = "sym"
    std_eps: float | None = None
    drop_path: float | None = None
    head_dropout: float | None = None


class BigTransfer(nn.Cell):
    """(N, 3, H, W) images -> (N, num_classes) float32 logits.

    The stem is always padded symmetrically, its pool with zeros (the map may be negative there, so this is not what a
    max-pool's own padding does).
    """

    takes_blocks = True  # models/cpu/blocks.py

    def __init__(
        self,
        blocks: tuple[int, ...],
        factor: int,
        num_classes: int,
        options: Options,
        on_cpu: bool = False,
    ):
        super().__init__()
        eps = STD_EPS if options.std_eps is None else options.std_eps
        conv: dict[str, Any] = {"pad": options.conv_pad, "eps": eps, "on_cpu": on_cpu}
        cin, self.factor = WIDTHS[0] * factor, factor
        self.stem = StandardisedConv(3, cin, 7, 2, **{**conv, "pad": "sym"})
        self.pool = layers.ZeroPaddedPool()
        stages, drops = [], iter(drop_paths(options.drop_path, sum(blocks)))
        for stage, (depth, width) in enumerate(zip(blocks, WIDTHS)):
            cells, cout = [], EXPANSION * width * factor
            for i in range(depth):
                cells.append(Block(cin, cout, 2 if stage and not i else 1, conv, next(drops), on_cpu))
                cin = cout
            stages.append(nn.SequentialCell(cells))
        self.stages = nn.SequentialCell(stages)
        self.norm = GroupNormReLU(cin, on_cpu)
        self.dropout = dropout(options.head_dropout)
        self.means = layers.Means()
        self.classifier = nn.Dense(cin, num_classes, weight_init="zeros", bias_init="zeros")

    def blocks(self) -> list[nn.Cell]:
        """What --recompute works on."""
        return [cell for stage in self.stages for cell in stage]

    def feature_stages(self) -> list[FeatureStage]:
        """The stem, and each stage; the last one with the norm behind it."""
        found = [FeatureStage(FeatureInfo("stem", WIDTHS[0] * self.factor, 2), [self.stem])]
        for i, (width, cells) in enumerate(zip(WIDTHS, self.stages)):
            is_last = i + 1 == len(WIDTHS)
            info = FeatureInfo(
                "norm" if is_last else f"stages.{i}", EXPANSION * width * self.factor, 4 * 2**i
            )
            before, behind = ([] if i else [self.pool]), ([self.norm] if is_last else [])
            found.append(FeatureStage(info, [*before, cells, *behind]))
        return found

    def construct(self, x):
        x = self.stages(self.pool(self.stem(x)))
        return self.classifier(self.dropout(self.means(self.norm(x)))).astype(ms.float32)
