"""The objective of a training: the loss of a network on a batch."""

from __future__ import annotations

from mindspore import nn


class Objective(nn.Cell):
    """(images, *targets) -> loss(network(images), *targets), a scalar."""

    def __init__(self, network: nn.Cell, loss: nn.Cell):
        super().__init__(auto_prefix=False)
        self.network, self.loss = network, loss

    def construct(self, images, *targets):
        return self.loss(self.network(images), *targets)
