"""Feature maps of a network's stages, for what is trained or searched on top of them: detectors, retrieval, probes.

A network says by `feature_stages()` which of its cells follow each other between the image and the classifier. The names
are those of timm's features_only (`feature_info` has module, channels and reduction there too), and a stage ends where it
ends there: behind the stem, and in front of each halving. The last map is the one whose mean the classifier sees.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import NamedTuple

import mindspore as ms
import mindspore.nn as nn
import mindspore.ops as ops

from mindlift.errors import ConfigError
from mindlift.models.cpu.blocks import plain


class FeatureInfo(NamedTuple):
    """A feature map of (N, 3, H, W) images: (N, channels, about H / reduction, about W / reduction), behind `module`."""

    module: str
    channels: int
    reduction: int


class FeatureStage(NamedTuple):
    """Cells of a network that make its next feature map of the one before, in their order."""

    info: FeatureInfo
    cells: Sequence[nn.Cell]


class Chain(nn.Cell):
    """Cells of another network, one after the other; their parameters keep their names."""

    def __init__(self, cells: Sequence[nn.Cell]):
        super().__init__(auto_prefix=False)
        self.cells_in_order = nn.CellList(list(cells), auto_prefix=False)

    def construct(self, x):
        for cell in self.cells_in_order:
            x = cell(x)
        return x


class FeatureMaps(nn.Cell):
    """(N, 3, H, W) images -> a tuple of float32 feature maps, those of `feature_info`, the largest first.

    It has the parameters of the network up to the last map, by their names in checkpoints, and not its classifier.
    `out_indices` chooses maps by their number among all of the network, from 0 on or from -1 back; None: all.
    ConfigError for a number that there is not, or for a network that does not say what its stages are.
    """

    def __init__(self, network: nn.Cell, out_indices: Sequence[int] | None = None):
        super().__init__(auto_prefix=False)
        stages = stages_of(network)
        self.out_indices = chosen(len(stages), out_indices)
        used = stages[: max(self.out_indices) + 1]
        self.feature_info = tuple(used[index].info for index in self.out_indices)
        self.stages = nn.CellList([Chain(stage.cells) for stage in used], auto_prefix=False)

    def construct(self, x):
        maps = ()  # type: tuple
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index in self.out_indices:
                maps += (plain(x).astype(ms.float32),)
        return maps


class Pooled(nn.Cell):
    """(N, 3, H, W) images -> (N, channels) float32: the mean of the last map of `maps` over height and width."""

    def __init__(self, maps: FeatureMaps):
        super().__init__(auto_prefix=False)
        self.maps = maps

    def construct(self, x):
        return ops.mean(self.maps(x)[-1], (2, 3))


def stages_of(network: nn.Cell) -> Sequence[FeatureStage]:
    if not hasattr(network, "feature_stages"):
        raise ConfigError(
            f"{type(network).__name__} does not say what its feature maps are: it has no feature_stages"
            " (docs/adding.md)"
        )
    return network.feature_stages()


def chosen(count: int, out_indices: Sequence[int] | None) -> tuple[int, ...]:
    """Numbers from 0 on, in ascending order."""
    try:
        wanted = range(count) if out_indices is None else [operator.index(index) for index in out_indices]
    except TypeError:
        raise ConfigError(f"out_indices {out_indices!r}: expected whole numbers, such as (1, 3)") from None
    wrong = [index for index in wanted if not -count <= index < count]
    if wrong or not wanted:
        raise ConfigError(
            f"no feature map {', '.join(map(str, wrong)) or 'is chosen'}: the network has {count}; choose some of 0 .."
            f" {count - 1}, or -1 for the last"
        )
    return tuple(sorted({index % count for index in wanted}))
