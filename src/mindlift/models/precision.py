"""Mixed precision by casting cells: what is computed in 16 bits at which level, the same in every version of MindSpore.

| level | convolutions, dense layers | norms | pools, activations, dropout |
|---|---|---|---|
| O0 | float32 | float32 | float32 |
| O1 | float16 | float32 | float32 |
| O2 | float16 | float32 | float16 |
| O3 | float16 | float16 maps, float32 statistics and weights | float16 |

With --amp_dtype bfloat16 it is bfloat16 in place of float16, but norms are float32 at O3 too: ops.BatchNorm takes no
bfloat16 (2.8: "must be a type of {Tensor[Float16], Tensor[Float32]}"), on no device.

The levels are those of mindspore.amp.auto_mixed_precision, but cells keep their names and places, and at O3 the
statistics of batch norms stay float32 (MindSpore casts them in evaluation: a variance above 65,504 is infinite there).

What stays float32 at every level, by family:

| family | stays float32 |
|---|---|
| all | weights and their update, means over whole maps, logits, losses, the figures of an evaluation |
| BiT | standardisation of weights (an epsilon of 1e-10 is 0 in float16), statistics of group norms |
| DeepLabV3 | enlarging of the logits |

A cell that has to treat its parts differently has `compute_in(matrices, maps)`: the types of what it multiplies and of
what it returns; it is asked instead of being cast.
"""

from __future__ import annotations

import mindspore as ms
import mindspore.nn as nn

from mindlift.backports import Protocol

LEVELS = ("O0", "O1", "O2", "O3")
NORMS = (nn.BatchNorm2d, nn.BatchNorm1d, nn.BatchNorm3d)
OTHER_NORMS = (
    nn.LayerNorm,
    nn.GroupNorm,
)  # of other packages' networks; their kernels take weights of the maps' type
MATRICES = (nn.Conv2d, nn.Dense)


class Mixed(Protocol):
    """A cell that casts by itself."""

    def compute_in(self, matrices: ms.Type, maps: ms.Type) -> None: ...


def apply(network: nn.Cell, level: str, dtype: str = "float16") -> nn.Cell:
    """`network`, computing at `level` (see LEVELS) in `dtype`; call it last, after cells were replaced.

    ValueError for no level.
    """
    if level not in LEVELS:
        raise ValueError(f"level {level}: expected one of {', '.join(LEVELS)}")
    if level == "O0":
        return network
    half = getattr(ms, dtype)
    maps = ms.float32 if level == "O1" else half
    casts_norms = level == "O3" and dtype == "float16"
    for _, cell in network.cells_and_names():
        if hasattr(type(cell), "compute_in"):
            cell.compute_in(half, maps)
        elif cell.name_cells():
            continue
        elif isinstance(cell, MATRICES):
            cell.to_float(half)
        elif isinstance(cell, OTHER_NORMS):
            cell.to_float(maps if casts_norms else ms.float32)
        elif not isinstance(cell, NORMS):
            cell.to_float(maps)
        elif not casts_norms:
            cell.to_float(ms.float32)
    return network
