"""Recomputed blocks: the same loss, gradients and statistics of batch norms, in every family."""

from __future__ import annotations

import mindspore as ms
import mindspore.nn as nn
import numpy as np
import pytest

from mindlift import models
from mindlift.errors import ConfigError
from mindlift.models import recompute
from mindlift.models.batch_norms import Moving
from mindlift.models.external.cells import Logits
from mindlift.models.recompute import numbered
from mindlift.training.masks import Masks
from tests.contract.test_families import DEFAULTS
from tests.support.place import Place

# network -> side of the images, what is dropped, blocks
FAMILIES = {
    "densenet22": (16, {"dropout": 0.2, "head_dropout": 0.1}, 9 + 2),
    "deeplab_v3_r26_s16": (33, {"drop_path": 0.2}, 8),
    "resnet50": (32, {"drop_path": 0.2}, 16),
    "bit_r50x1": (32, {"drop_path": 0.2}, 16),
    "inception_v4": (75, {}, 22),
}


class Step(nn.Cell):
    """(images, weights of the outputs) -> the weighted sum, and its gradients."""

    def __init__(self, network: nn.Cell):
        super().__init__(auto_prefix=False)
        self.network = network
        self.both = ms.value_and_grad(self.weighted, None, network.trainable_params())
        self.moving = Moving(network)

    def weighted(self, images, weights):
        return (self.network(images) * weights).mean()

    def construct(self, images, weights):
        loss, gradients = self.both(images, weights)
        if self.moving.is_needed:
            loss = ms.ops.depend(loss, self.moving(loss))
        return loss, gradients


def step(net: str, recomputed: bool) -> tuple[int, dict[str, np.ndarray]]:
    """The number of blocks; the loss, the gradients and what the network holds after a step."""
    side, options, _ = FAMILIES[net]
    ms.set_seed(3)
    network = models.build(net, 3, {**DEFAULTS, **options}, on_cpu=True).set_train()
    if net.startswith("bit"):
        network.classifier.weight.set_data(ms.ops.ones_like(network.classifier.weight))
    Masks(network, 1, Place()).draw()
    if recomputed:
        recompute.apply(network, net)
    rng = np.random.default_rng(4)
    images = ms.Tensor(rng.normal(size=(2, 3, side, side)), ms.float32)
    maps = (side, side) if net.startswith("deeplab") else ()
    loss, gradients = Step(network)(images, ms.Tensor(rng.normal(size=(2, 3, *maps)), ms.float32))
    names = [each.name for each in network.trainable_params()]
    found = {f"gradient of {name}": each.asnumpy() for name, each in zip(names, gradients)}
    held = {each.name: each.asnumpy() for each in network.get_parameters()}
    return len(network.blocks()), {"loss": loss.asnumpy(), **found, **held}


@pytest.mark.parametrize("net", FAMILIES)
def test_gradients_and_statistics_are_the_same(net):
    """Loss and gradients bit by bit; a batch norm moves its statistics once, by sums in another order."""
    blocks, plain = step(net, recomputed=False)
    assert blocks == FAMILIES[net][2]
    _, again = step(net, recomputed=True)
    moving = [name for name in plain if name.endswith(("moving_mean", "moving_variance"))]
    assert net.startswith("bit") or len(moving) > 20
    for name, value in plain.items():
        if name in moving:
            np.testing.assert_allclose(again[name], value, rtol=2e-5, atol=1e-6, err_msg=name)
        else:
            np.testing.assert_array_equal(again[name], value, err_msg=name)


class Block(nn.Cell):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.SequentialCell([nn.Dense(3, 3), nn.ReLU()])

    def construct(self, x):
        return x + self.body(x)


class Stage(nn.Cell):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.CellList([Block(), Block()])

    def construct(self, x):
        for block in self.blocks:
            x = block(x)
        return x


class Stranger(nn.Cell):
    """Stages in a list, blocks in the stages, lists of layers in the blocks, as Swin and others are made."""

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.SequentialCell([Stage(), Stage()])
        self.head = nn.Dense(3, 2)

    def construct(self, x):
        return self.head(self.stages(x))


def test_the_blocks_of_a_network_of_another_package():
    network = Stranger()
    wanted = [block for stage in network.stages for block in stage.blocks]
    assert numbered(Logits(network)) == wanted
    with pytest.raises(
        ConfigError, match="--recompute true has no effect on mine:Plain, which has no blocks"
    ):
        recompute.apply(Logits(nn.SequentialCell([nn.Dense(3, 3), nn.ReLU()])), "mine:Plain")
