"""Inception-v4 without its auxiliary head.

Szegedy et al., Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning (AAAI 2017), figures
3 - 9 (the stem is figure 3, blocks A, B and C figures 4 - 6, reductions figures 7 and 8 with k, l, m, n = 192, 224, 256,
384). TensorFlow's slim, timm and mindcv agree on it. `features` is numbered as in timm.

The branches that average 3x3 neighbours and then mix channels do it in the other order here: both are linear, an
average counts no padding, so the function is the same, and three to eight times fewer channels are averaged.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import mindspore as ms
import mindspore.nn as nn
import mindspore.ops as ops
from mindspore.common.initializer import XavierUniform, initializer

from mindlift.models import layers
from mindlift.models.dropout import Dropout
from mindlift.models.features import FeatureInfo, FeatureStage
from mindlift.models.layers import ConvNorm

if TYPE_CHECKING:
    from mindlift.models.cpu.cells import Kernels

BN_EPS = 1e-3
BN_MOMENTUM = 0.9997  # slim's decay; averages over some 3,300 steps, so short trainings need a smaller one
DROPOUT = 0.2  # the share that is dropped (paper, section 3.4 keeps 0.8)
FEATURES = 1536

VARIANTS = {"inception_v4": None}

# (last cell of `features`, its channels, reduction) of each feature map: in front of what halves next, as in timm.
STAGES = ((2, 64, 2), (3, 160, 4), (9, 384, 8), (17, 1024, 16), (21, FEATURES, 32))


def build(
    variant: str,
    num_classes: int,
    on_cpu: bool,
    *,
    bn_eps: float | None,
    bn_momentum: float | None,
    dropout: float | None,
) -> InceptionV4:
    """Inception-v4 with a `num_classes`-way head. `on_cpu` changes nothing."""
    return InceptionV4(num_classes, bn_eps=bn_eps, bn_momentum=bn_momentum, dropout=dropout)


def least_side(variant: str) -> int:
    """The smallest image height and width that leave a pixel behind the second reduction."""
    return 75


class PooledConvNorm(ConvNorm):
    """Average of 3x3 neighbours, 1x1 convolution, norm, ReLU; averaged behind the convolution."""

    def __init__(self, *args, **block):
        super().__init__(*args, **block)
        self.pool = nn.AvgPool2d(3, 1, pad_mode="same")  # "same" counts no padding

    def between(self, x):
        return self.pool(x)

    def fused(self, x):
        return self.relu(self.between(super().fused(x)))

    def fuse(self, kernels: Kernels) -> None:
        super().fuse(kernels)
        if self.is_folded:
            self.whole = kernels.convolution_bias(self.conv, relu=False)


class Concat(nn.Cell):
    """The outputs of cells that see the same input, side by side: (N, cin, H, W) -> (N, sum of couts, H', W')."""

    def __init__(self, **cells):
        super().__init__()
        for name, cell in cells.items():
            setattr(self, name, cell)
        self.order = tuple(cells)

    def construct(self, x):
        found = ()  # type: tuple
        for name in self.order:
            found += (getattr(self, name)(x),)
        return ops.cat(found, 1)


class BlockC(nn.Cell):
    """Figure 6: (N, 1536, H, W) -> (N, 1536, H, W). Two of its branches part again into 1x3 and 3x1."""

    def __init__(self, conv, pooled):
        super().__init__()
        self.branch0 = conv(FEATURES, 256, 1)
        self.branch1_0 = conv(FEATURES, 384, 1)
        self.branch1_1a = conv(384, 256, (1, 3))
        self.branch1_1b = conv(384, 256, (3, 1))
        self.branch2_0 = conv(FEATURES, 384, 1)
        self.branch2_1 = conv(384, 448, (3, 1))
        self.branch2_2 = conv(448, 512, (1, 3))
        self.branch2_3a = conv(512, 256, (1, 3))
        self.branch2_3b = conv(512, 256, (3, 1))
        self.branch3 = after_pool(pooled(FEATURES, 256, 1))

    def construct(self, x):
        one = self.branch1_0(x)
        two = self.branch2_2(self.branch2_1(self.branch2_0(x)))
        parts = (
            self.branch0(x),
            self.branch1_1a(one),
            self.branch1_1b(one),
            self.branch2_3a(two),
            self.branch2_3b(two),
            self.branch3(x),
        )
        return ops.cat(parts, 1)


def chain(*cells: nn.Cell) -> nn.SequentialCell:
    return nn.SequentialCell(list(cells))


def after_pool(cell: nn.Cell) -> nn.SequentialCell:
    """Named as in timm, where entry 0 is the pool, which `cell` has inside here."""
    return nn.SequentialCell([nn.Identity(), cell])


def stem(conv) -> list[nn.Cell]:
    """Figure 3: (N, 3, 299, 299) -> (N, 384, 35, 35)."""
    pool = partial(nn.MaxPool2d, 3, 2)
    return [
        conv(3, 32, 3, 2, pad="valid"),
        conv(32, 32, 3, pad="valid"),
        conv(32, 64, 3),
        Concat(pool=pool(), conv=conv(64, 96, 3, 2, pad="valid")),
        Concat(
            branch0=chain(conv(160, 64, 1), conv(64, 96, 3, pad="valid")),
            branch1=chain(
                conv(160, 64, 1), conv(64, 64, (1, 7)), conv(64, 64, (7, 1)), conv(64, 96, 3, pad="valid")
            ),
        ),
        Concat(conv=conv(192, 192, 3, 2, pad="valid"), pool=pool()),
    ]


def block_a(conv, pooled) -> nn.Cell:
    """Figure 4: (N, 384, H, W) -> (N, 384, H, W)."""
    return Concat(
        branch0=conv(384, 96, 1),
        branch1=chain(conv(384, 64, 1), conv(64, 96, 3)),
        branch2=chain(conv(384, 64, 1), conv(64, 96, 3), conv(96, 96, 3)),
        branch3=after_pool(pooled(384, 96, 1)),
    )


def reduction_a(conv) -> nn.Cell:
    """Figure 7: (N, 384, 35, 35) -> (N, 1024, 17, 17)."""
    return Concat(
        branch0=conv(384, 384, 3, 2, pad="valid"),
        branch1=chain(conv(384, 192, 1), conv(192, 224, 3), conv(224, 256, 3, 2, pad="valid")),
        branch2=nn.MaxPool2d(3, 2),
    )


def block_b(conv, pooled) -> nn.Cell:
    """Figure 5: (N, 1024, H, W) -> (N, 1024, H, W)."""
    return Concat(
        branch0=conv(1024, 384, 1),
        branch1=chain(conv(1024, 192, 1), conv(192, 224, (1, 7)), conv(224, 256, (7, 1))),
        branch2=chain(
            conv(1024, 192, 1),
            conv(192, 192, (7, 1)),
            conv(192, 224, (1, 7)),
            conv(224, 224, (7, 1)),
            conv(224, 256, (1, 7)),
        ),
        branch3=after_pool(pooled(1024, 128, 1)),
    )


def reduction_b(conv) -> nn.Cell:
    """Figure 8: (N, 1024, 17, 17) -> (N, 1536, 8, 8)."""
    return Concat(
        branch0=chain(conv(1024, 192, 1), conv(192, 192, 3, 2, pad="valid")),
        branch1=chain(
            conv(1024, 256, 1),
            conv(256, 256, (1, 7)),
            conv(256, 320, (7, 1)),
            conv(320, 320, 3, 2, pad="valid"),
        ),
        branch2=nn.MaxPool2d(3, 2),
    )


class InceptionV4(nn.Cell):
    """(N, 3, H, W) images -> (N, num_classes) float32 logits."""

    takes_blocks = True  # models/cpu/blocks.py

    def __init__(
        self,
        num_classes: int,
        bn_eps: float | None = None,
        bn_momentum: float | None = None,
        dropout: float | None = None,
    ):
        super().__init__()
        block = {
            "eps": BN_EPS if bn_eps is None else bn_eps,
            "init": XavierUniform(),
            "momentum": BN_MOMENTUM if bn_momentum is None else bn_momentum,
        }
        conv, pooled = partial(ConvNorm, **block), partial(PooledConvNorm, **block)
        cells = stem(conv)
        cells += [block_a(conv, pooled) for _ in range(4)] + [reduction_a(conv)]
        cells += [block_b(conv, pooled) for _ in range(7)] + [reduction_b(conv)]
        cells += [BlockC(conv, pooled) for _ in range(3)]
        self.features = nn.SequentialCell(cells)
        self.dropout = Dropout(DROPOUT if dropout is None else dropout)
        self.means = layers.Means()
        self.classifier = nn.Dense(FEATURES, num_classes)
        self.classifier.weight.set_data(initializer(XavierUniform(), self.classifier.weight.shape))
        self.classifier.bias.set_data(initializer("zeros", self.classifier.bias.shape))

    def blocks(self) -> list[nn.Cell]:
        """What --recompute works on."""
        return list(self.features)

    def feature_stages(self) -> list[FeatureStage]:
        cells, found, first = list(self.features), [], 0
        for last, channels, reduction in STAGES:
            info = FeatureInfo(f"features.{last}", channels, reduction)
            found.append(FeatureStage(info, cells[first : last + 1]))
            first = last + 1
        return found

    def construct(self, x):
        return self.classifier(self.dropout(self.means(self.features(x)))).astype(ms.float32)
