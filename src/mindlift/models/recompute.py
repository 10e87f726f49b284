"""Blocks whose maps are computed again in the backward pass in place of being kept: less memory, more time.

Chen et al., Training Deep Nets with Sublinear Memory Cost (2016), section 4: what is kept is what goes from block to block.
"""

from __future__ import annotations

import mindspore.nn as nn

from mindlift.errors import ConfigError
from mindlift.models.batch_norms import make_repeatable

LISTS = (nn.SequentialCell, nn.CellList)


def apply(network: nn.Cell, net: str) -> None:
    """Make every block of `network` compute its inner maps again, those of its `blocks()` if it has that method.

    Call it before cells are cast. ConfigError for a network without blocks.
    """
    blocks = network.blocks() if hasattr(type(network), "blocks") else numbered(network)
    if not blocks:
        raise ConfigError(f"--recompute true has no effect on {net}, which has no blocks; leave it out")
    make_repeatable(network)
    for block in blocks:
        block.recompute()


def numbered(network: nn.Cell) -> list[nn.Cell]:
    """The blocks of a network of another package: the innermost cells with cells of their own that a list numbers."""
    found: list[nn.Cell] = []
    for _, cell in network.cells_and_names():
        if isinstance(cell, LISTS):
            found += [each for each in cell if is_block(each) and not holds_blocks(each)]
    return list(dict.fromkeys(found))


def is_block(cell: nn.Cell) -> bool:
    return bool(cell.name_cells()) and not isinstance(cell, LISTS)


def holds_blocks(cell: nn.Cell) -> bool:
    lists = [each for _, each in cell.cells_and_names() if isinstance(each, LISTS)]
    return any(is_block(item) for each in lists for item in each)
