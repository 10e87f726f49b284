"""The random numbers of a training's dropouts: of batch n from (seed, n) alone, as its images are."""

from __future__ import annotations

import mindspore as ms
import mindspore.nn as nn
import numpy as np

from mindlift.model_utils.collectives import Peers
from mindlift.models.dropout import KEYS, Dropout, P

STREAM = 0x64726F70  # apart from the streams of images, which begin with the same seed


class Masks:
    """Draws new keys for the dropouts of `network` before each batch; make it before the network is compiled."""

    def __init__(self, network: nn.Cell, seed: int, ranks: Peers):
        self.seed, self.batch = seed, 0
        self.cells = [cell for _, cell in network.cells_and_names() if isinstance(cell, Dropout)]
        self.keys = ms.Parameter(ms.Tensor(np.zeros(KEYS), ms.float32), "dropout_keys", requires_grad=False)
        for cell in self.cells:
            cell.rank, cell.size = ranks.rank, ranks.size
            cell.read_keys(self.keys)

    def begin_at(self, batch: int) -> None:
        """The next batch is this one, counted from the beginning of the training."""
        self.batch = batch

    def draw(self) -> None:
        """Set the keys of the next batch, the same on all ranks."""
        if self.cells:
            keys = np.random.default_rng([self.seed, STREAM, self.batch]).integers(0, P, KEYS)
            self.keys.set_data(ms.Tensor(keys, ms.float32))
        self.batch += 1
