"""DenseNet-BC: DenseNet-121 for ImageNet and DenseNet-100 (k=12) for CIFAR.

Huang et al., Densely Connected Convolutional Networks (CVPR 2017), sections 3 and 4.2, table 1.
The defaults follow the paper and its published weights: average pooling in the transitions and a
stem max-pool padded by one on each side. The original MindSpore zoo differs; its checkpoints need
`transition_pool="max"`, `stem_pool="same"` (121) and `stem_norm=True` (100).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import mindspore as ms
import mindspore.nn as nn
import mindspore.ops as ops
import numpy as np
from mindspore.common.initializer import HeNormal, Uniform, initializer

from mindlift.models import layers
from mindlift.models.dropout import dropout as dropping
from mindlift.models.features import FeatureInfo, FeatureStage

if TYPE_CHECKING:
    from mindlift.models.cpu.cells import Kernels

BOTTLENECK = 4  # the 1x1 convolution of a dense layer makes 4k maps (paper, section 3, "bottleneck layers")
BN_EPS = 1e-5
BN_MOMENTUM = 0.9  # MindSpore counts the share that is kept; PyTorch's 0.1


class Variant(NamedTuple):
    growth: int
    blocks: tuple[int, ...]
    stem: str  # "imagenet": 7x7/2 and a max-pool; "cifar": 3x3


VARIANTS = {
    "densenet121": Variant(32, (6, 12, 24, 16), "imagenet"),
    "densenet100": Variant(12, (16, 16, 16), "cifar"),
    "densenet22": Variant(12, (3, 3, 3), "cifar"),  # too small to be good, quick to compile: for a first look
}


def build(
    variant: str,
    num_classes: int,
    on_cpu: bool,
    *,
    transition_pool: str,
    stem_pool: str,
    stem_norm: bool,
    dropout: float | None,
    head_dropout: float | None,
) -> DenseNet:
    """DenseNet with a `num_classes`-way head."""
    return DenseNet(
        VARIANTS[variant],
        num_classes,
        on_cpu=on_cpu,
        transition_pool=transition_pool,
        stem_pool=stem_pool,
        stem_norm=stem_norm,
        dropout=dropout,
        head_dropout=head_dropout,
    )


def least_side(variant: str) -> int:
    """The smallest image height and width that leave a pixel behind the last transition."""
    return 32 if VARIANTS[variant].stem == "imagenet" else 2 ** (len(VARIANTS[variant].blocks) - 1)


def conv(cin: int, cout: int, kernel: int, stride: int = 1, has_bias: bool = False) -> nn.Conv2d:
    """Convolution, zero padding of kernel//2 on each side, He initialised on fan-in."""
    return nn.Conv2d(
        cin,
        cout,
        kernel,
        stride,
        pad_mode="pad",
        padding=kernel // 2,
        has_bias=has_bias,
        weight_init=HeNormal(),
    )


def batch_norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=BN_EPS, momentum=BN_MOMENTUM)


class NormsBeforeReLU(nn.Cell):
    """A cell with a `relu` behind each of its batch norms, whose names are in `norms`."""

    norms: tuple[str, ...] = ("norm",)

    def fuse(self, kernels: Kernels) -> None:
        """Compute norms and ReLU at once; see models/cpu/cells.py."""
        found = [name for name in self.norms if kernels.take(getattr(self, name))]
        if found == list(self.norms):
            for name in found:
                setattr(self, name, kernels.norm(getattr(self, name), relu=True))
            self.relu = nn.Identity()


class Folding(NormsBeforeReLU):
    """A cell in which a convolution, `conv`, has the last of its norms behind it. `fold` makes one of the two; see layers.fold."""

    conv: str
    is_folded = False

    def fold(self) -> None:
        found = getattr(self, self.conv)
        side, stride = found.kernel_size[0], found.stride[0]
        setattr(self, self.conv, conv(found.in_channels, found.out_channels, side, stride, has_bias=True))
        setattr(self, self.norms[-1], nn.Identity())
        self.is_folded, self.norms = True, self.norms[:-1]

    def folded(self) -> dict[str, np.ndarray]:
        """All values of the cell as it is at inference."""
        norm = self.norms[-1]
        values = {
            name: value.asnumpy()
            for name, value in self.parameters_and_names()
            if not name.startswith(f"{norm}.")
        }
        weight, bias = layers.merged(getattr(self, self.conv).weight, getattr(self, norm))
        return {**values, f"{self.conv}.weight": weight, f"{self.conv}.bias": bias}

    def fuse(self, kernels: Kernels) -> None:
        super().fuse(kernels)
        found = getattr(self, self.conv)
        if self.is_folded:
            setattr(self, self.conv, kernels.folded(found))
        else:
            found.conv2d = kernels.convolution(found, in_blocks=True)


class NarrowingConv(nn.Cell):
    """Conv3x3 to fewer channels, computed as the transposed convolution of the mirrored kernel.

    The same sums and the same `weight` (cout, cin, 3, 3). A CPU unfolds the images into a matrix first:
    the transposed form unfolds the cout channels that come out instead of the cin that go in, four times
    fewer in a dense layer, which makes it about twice as fast, forward and backward.
    """

    def __init__(self, cin: int, cout: int):
        super().__init__()
        self.weight = ms.Parameter(initializer(HeNormal(), (cout, cin, 3, 3), ms.float32), name="weight")
        self.cout = cout
        self.transposed = ops.Conv2DTranspose(cin, 3, pad_mode="pad", pad=1)
        self.mirror = ops.ReverseV2([2, 3])
        self.matrices = ms.float32
        self.has_kernel = False

    def compute_in(self, matrices: ms.Type, maps: ms.Type) -> None:
        self.matrices = matrices

    def fuse(self, kernels: Kernels) -> None:
        """Compute it as it is, without the detour; see models/cpu/cells.py."""
        cout, cin = self.weight.shape[:2]
        self.kernel, self.has_kernel = kernels.convolution(conv(cin, cout, 3), in_blocks=True), True

    def construct(self, x):
        if self.has_kernel:
            return self.kernel(x, self.weight)
        n, _, h, w = x.shape
        kernel = self.mirror(self.weight.astype(self.matrices).transpose(1, 0, 2, 3))
        return self.transposed(x.astype(self.matrices), kernel, (n, self.cout, h, w))


class DenseLayer(Folding):
    """BN-ReLU-Conv1x1(4k)-BN-ReLU-Conv3x3(k)-`dropout`: (N, cin, H, W) -> (N, k, H, W)."""

    norms, conv = ("norm1", "norm2"), "conv1"

    def __init__(self, cin: int, growth: int, on_cpu: bool, dropout: nn.Cell):
        super().__init__()
        self.norm1 = batch_norm(cin)
        self.conv1 = conv(cin, BOTTLENECK * growth, 1)
        self.norm2 = batch_norm(BOTTLENECK * growth)
        wide = BOTTLENECK * growth
        self.conv2 = NarrowingConv(wide, growth) if on_cpu else conv(wide, growth, 3)
        self.relu = nn.ReLU()
        self.dropout = dropout

    def construct(self, x):
        x = self.conv1(self.relu(self.norm1(x)))
        return self.dropout(self.conv2(self.relu(self.norm2(x))))


class DenseBlock(nn.Cell):
    """Layers that each see all earlier maps: (N, cin, H, W) -> (N, cin + depth * k, H, W).

    There is one for each of `dropouts`, behind its convolutions.
    """

    def __init__(self, cin: int, growth: int, dropouts: Sequence[nn.Cell], on_cpu: bool):
        super().__init__()
        layers = [DenseLayer(cin + i * growth, growth, on_cpu, each) for i, each in enumerate(dropouts)]
        self.layers = nn.CellList(layers)

    def construct(self, x):
        for layer in self.layers:
            x = ops.cat((x, layer(x).astype(x.dtype)), 1)
        return x


class Transition(NormsBeforeReLU):
    """BN-ReLU-Conv1x1-Pool2x2: (N, cin, H, W) -> (N, cout, H/2, W/2)."""

    def __init__(self, cin: int, cout: int, pool: str):
        super().__init__()
        self.norm = batch_norm(cin)
        self.relu = nn.ReLU()
        self.conv = conv(cin, cout, 1)
        self.pool = nn.MaxPool2d(2, 2) if pool == "max" else nn.AvgPool2d(2, 2)

    def fuse(self, kernels: Kernels) -> None:
        super().fuse(kernels)
        self.conv.conv2d = kernels.convolution(self.conv, in_blocks=True)

    def construct(self, x):
        return self.pool(self.conv(self.relu(self.norm(x))))


class CifarStem(nn.Cell):
    """Conv3x3 to 2k maps, with BN-ReLU behind it in the zoo's variant: (N, 3, H, W) -> (N, 2k, H, W)."""

    def __init__(self, growth: int, with_norm: bool):
        super().__init__()
        self.conv0 = conv(3, 2 * growth, 3)
        self.with_norm = with_norm
        if with_norm:
            self.norm0 = batch_norm(2 * growth)
            self.relu = nn.ReLU()

    def construct(self, x):
        x = self.conv0(x)
        return self.relu(self.norm0(x)) if self.with_norm else x


class ImageNetStem(Folding):
    """Conv7x7/2-BN-ReLU-MaxPool3x3/2: (N, 3, H, W) -> (N, 2k, H/4, W/4)."""

    norms, conv = ("norm0",), "conv0"

    def __init__(self, growth: int, pool: str, on_cpu: bool):
        super().__init__()
        self.conv0 = conv(3, 2 * growth, 7, 2)
        self.norm0 = batch_norm(2 * growth)
        self.relu = nn.ReLU()
        self.pool = layers.stem_pool(pool, on_cpu)

    def construct(self, x):
        return self.pool(self.relu(self.norm0(self.conv0(x))))


class DenseNet(NormsBeforeReLU):
    """(N, 3, H, W) images -> (N, num_classes) float32 logits. `on_cpu` only chooses how they are computed.

    In training a share `dropout` of the maps of each dense layer is dropped (paper, section 3, as in torchvision), and
    `head_dropout` of the features in front of the classifier.
    """

    takes_blocks = True  # models/cpu/blocks.py

    def __init__(
        self,
        variant: Variant,
        num_classes: int,
        transition_pool: str = "avg",
        stem_pool: str = "sym",
        stem_norm: bool = False,
        on_cpu: bool = False,
        dropout: float | None = None,
        head_dropout: float | None = None,
    ):
        super().__init__()
        self.variant = variant
        growth, channels = variant.growth, 2 * variant.growth
        is_imagenet = variant.stem == "imagenet"
        self.stem = ImageNetStem(growth, stem_pool, on_cpu) if is_imagenet else CifarStem(growth, stem_norm)
        stages: list[nn.Cell] = []
        for i, depth in enumerate(variant.blocks):
            before = 1 + sum(variant.blocks[:i])  # 0 is the number of the head's
            dropouts = [dropping(dropout, before + layer) for layer in range(depth)]
            stages.append(DenseBlock(channels, growth, dropouts, on_cpu))
            channels += depth * growth
            if i + 1 < len(variant.blocks):
                stages.append(Transition(channels, channels // 2, transition_pool))
                channels //= 2
        self.stages = nn.SequentialCell(stages)
        self.norm = batch_norm(channels)
        self.relu = nn.ReLU()
        self.dropout = dropping(head_dropout)
        self.means = layers.Means()
        self.classifier = nn.Dense(channels, num_classes)
        bound = 1 / math.sqrt(channels)
        self.classifier.weight.set_data(initializer(Uniform(bound), self.classifier.weight.shape))
        self.classifier.bias.set_data(initializer("zeros", self.classifier.bias.shape))

    def blocks(self) -> list[nn.Cell]:
        """What --recompute works on."""
        stages = (cell.layers if isinstance(cell, DenseBlock) else [cell] for cell in self.stages)
        return [cell for cells in stages for cell in cells]

    def feature_stages(self) -> list[FeatureStage]:
        """The stem in front of its pool, and each block; the last one with the norm behind it."""
        growth, depths, cells = self.variant.growth, self.variant.blocks, list(self.stages)
        channels, reduction, before = 2 * growth, 1, []
        stem = [self.stem]
        if self.variant.stem == "imagenet":
            stem, before, reduction = [self.stem.conv0, self.stem.norm0, self.stem.relu], [self.stem.pool], 2
        found = [FeatureStage(FeatureInfo("stem", channels, reduction), stem)]
        reduction *= len(before) + 1
        for i, depth in enumerate(depths):  # of `cells` every second one is a transition
            channels += depth * growth
            is_last = i + 1 == len(depths)
            info = FeatureInfo("norm" if is_last else f"stages.{2 * i}", channels, reduction)
            behind = [self.norm, self.relu] if is_last else []
            found.append(FeatureStage(info, [*before, cells[2 * i], *behind]))
            before, channels, reduction = cells[2 * i + 1 : 2 * i + 2], channels // 2, 2 * reduction
        return found

    def construct(self, x):
        x = self.relu(self.norm(self.stages(self.stem(x))))
        return self.classifier(self.dropout(self.means(x))).astype(ms.float32)
