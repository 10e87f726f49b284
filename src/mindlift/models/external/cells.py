"""A network of another package as this project needs it: logits in float32, dropout that continues bit-identically."""

from __future__ import annotations

import mindspore as ms
import mindspore.nn as nn
import numpy as np

from mindlift.errors import ConfigError
from mindlift.models.dropout import Dropout

AUXILIARY = "aux_logits"  # whether classifiers beside the one that counts are computed in training, e.g. of InceptionV3
BY_CHANNEL = (nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)


class Logits(nn.Cell):
    """(N, 3, H, W) images -> (N, num_classes) float32 logits of `network`, whose tensors keep their names.

    Of several outputs, which networks with auxiliary classifiers may have in training, the first counts.
    """

    def __init__(self, network: nn.Cell):
        super().__init__(auto_prefix=False)
        self.network = network

    def construct(self, images):
        logits = self.network(images)
        if isinstance(logits, tuple):
            logits = logits[0]
        return logits.astype(ms.float32)

    def cells_and_names(self, cells=None, name_prefix=""):
        """Those of the network, by their names in it."""
        return self.network.cells_and_names(cells, name_prefix)

    def parameters_and_names(self, name_prefix="", expand=True):
        return self.network.parameters_and_names(name_prefix, expand)


def adapt(network: object, net: str) -> Logits:
    """`network` with this project's dropout in place of MindSpore's, whose masks depend on what the process did before."""
    if not isinstance(network, nn.Cell):
        raise ConfigError(
            f"--net {net} makes a value of type {type(network).__name__}; expected a mindspore.nn.Cell"
        )
    replace_dropouts(network)
    if getattr(network, AUXILIARY, False) is True:
        setattr(network, AUXILIARY, False)  # its tensors stay, so that files of weights fit
    return Logits(network)


def replace_dropouts(network: nn.Cell) -> None:
    """Of cells that are in several places, every place gets the same new one."""
    made: dict[int, nn.Cell] = {}
    for _, cell in list(network.cells_and_names()):
        for position, (name, inner) in enumerate(list(cell.name_cells().items())):
            if not isinstance(inner, (nn.Dropout, *BY_CHANNEL)):
                continue
            if id(inner) not in made:
                made[id(inner)] = seeded(inner, len(made))
            put(cell, name, position, made[id(inner)])


def seeded(cell: nn.Cell, number: int) -> nn.Cell:
    new = Dropout(share_of(cell), number)
    return WholeChannels(new) if isinstance(cell, BY_CHANNEL) else new


class WholeChannels(nn.Cell):
    """(N, C, ...) -> the same shape: in training `dropout` drops or keeps all of a channel."""

    def __init__(self, dropout: Dropout):
        super().__init__()
        self.dropout = dropout

    def construct(self, x):
        rest = (1,) * (x.ndim - 2)
        ones = ms.ops.ones((*x.shape[:2], *rest), x.dtype)
        return x * self.dropout(ones)


def share_of(cell: nn.Cell) -> float:
    """What a dropout of MindSpore drops; versions differ in how it is told."""
    p = getattr(cell, "p", None)
    return float(1 - cell.keep_prob if p is None else p)


def put(parent: nn.Cell, name: str, position: int, cell: nn.Cell) -> None:
    """In place of the inner cell that has this name and position."""
    if isinstance(parent, (nn.SequentialCell, nn.CellList)):
        parent[position] = cell  # which also keeps the order in which they are called
    else:
        setattr(parent, name, cell)


def check(network: Logits, net: str, num_classes: int, sizes: list[tuple[int, int]]) -> None:
    """ConfigError unless images of each of the `sizes` become logits; one image is computed, without a graph."""
    mode = ms.get_context("mode")
    ms.set_context(mode=ms.PYNATIVE_MODE)
    try:
        for size in sizes:
            found = outcome(network, net, size)
            if found != (1, num_classes):
                raise ConfigError(
                    f"--net {net} makes {found} of an image; to be trained as a classifier it must make one array"
                    f" (1, {num_classes}) of logits"
                )
    finally:
        ms.set_context(mode=mode)


def outcome(network: Logits, net: str, size: tuple[int, int]) -> object:
    """The shape of what is made of one black image, or what it is if it is no array."""
    image = ms.Tensor(np.zeros((1, 3, *size), np.float32))
    try:
        found = network.set_train(False).network(image)
    except Exception as err:  # whatever a stranger's program raises for images that it can't take
        height, width = size
        raise ConfigError(
            f"--net {net} can't compute an image of --image_size {height},{width}: {reason(err)}"
        ) from err
    return tuple(found.shape) if isinstance(found, ms.Tensor) else f"a value of type {type(found).__name__}"


def reason(err: Exception) -> str:
    """What an error says, in one line of bearable length."""
    text = " ".join(line.strip() for line in str(err).splitlines() if line.strip(" -"))
    return f"{type(err).__name__}: {text[:200] or 'no message'}"
