"""Drop path and dropout by family: the papers' formulas, the shares of the blocks, and that nothing drops in evaluation."""

from __future__ import annotations

import mindspore as ms
import mindspore.nn as nn
import numpy as np
import pytest

from mindlift.models.bit.network import BigTransfer
from mindlift.models.bit.network import Block as BitBlock
from mindlift.models.bit.network import Options as BitOptions
from mindlift.models.deeplab_v3 import network as deeplab
from mindlift.models.densenet.network import DenseNet, Variant
from mindlift.models.dropout import Dropout, DropPath, P, drop_paths
from mindlift.models.resnet.network import Bottleneck, ResNet, TrunkOptions
from mindlift.training.masks import Masks
from tests.support.place import Place

RNG = np.random.default_rng(7)
BLOCK = {"eps": 1e-5, "momentum": 0.9, "init": "normal"}
SMALL = (1, 1, 1, 1)


def images(*shape: int) -> ms.Tensor:
    return ms.Tensor(RNG.normal(size=shape), ms.float32)


def drawn(network: nn.Cell, place: Place | None = None) -> nn.Cell:
    """In training, with the masks of a batch."""
    Masks(network, 3, place or Place()).draw()
    return network.set_train()


def deeplab_of(**options) -> nn.Cell:
    variant = deeplab.VARIANTS["deeplab_v3_r26_s16"]
    return deeplab.DeepLabV3(variant, 3, deeplab.DeepLabOptions(**options))


@pytest.mark.parametrize(("share", "blocks"), [(0.3, 16), (0.1, 2), (0.5, 1)])
def test_the_shares_are_those_that_timm_counts(share, blocks):
    """timm 1.0's ResNet: drop_path_rate * block / (blocks - 1); its ResNetV2: linspace(0, rate, blocks)."""
    found = [0.0 if cell is None else cell.dropout.p for cell in drop_paths(share, blocks)]
    np.testing.assert_allclose(found, np.linspace(0, share, blocks), atol=1e-12)
    numbers = [cell.dropout.number for cell in drop_paths(share, blocks) if cell is not None]
    assert numbers == list(range(2, blocks + 1))
    assert drop_paths(None, blocks) == drop_paths(0.0, blocks) == [None] * blocks


NETWORKS = {
    "resnet": lambda share: ResNet((2, 1, 1, 1), 3, TrunkOptions(drop_path=share)),
    "bit": lambda share: BigTransfer((2, 1, 1, 1), 1, 3, BitOptions(drop_path=share)),
    "deeplab": lambda share: deeplab_of(drop_path=share),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_last_block_drops_the_whole_share(name):
    network = NETWORKS[name](0.3)
    cells = [cell for _, cell in network.cells_and_names() if isinstance(cell, DropPath)]
    blocks = 8 if name == "deeplab" else 5
    np.testing.assert_allclose([cell.dropout.p for cell in cells], np.linspace(0, 0.3, blocks)[1:])
    others = [
        cell.number
        for _, cell in network.cells_and_names()
        if isinstance(cell, Dropout) and cell not in [each.dropout for each in cells]
    ]
    assert not {cell.dropout.number for cell in cells} & set(others), "masks of their own"
    plain = NETWORKS[name](None)
    assert not [cell for _, cell in plain.cells_and_names() if isinstance(cell, DropPath)]


def branch_of(block: nn.Cell, x: ms.Tensor, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """(residual branch, shortcut) of a block."""
    if kind == "bit":
        y = block.norm1(x)
        branch = block.conv3(block.norm3(block.conv2(block.norm2(block.conv1(y)))))
        return branch.asnumpy(), block.shortcut(y).asnumpy()
    return block.conv3(block.conv2(block.conv1(x))).asnumpy(), block.shortcut(x).asnumpy()


@pytest.mark.parametrize("kind", ["resnet", "bit"])
def test_a_dropped_branch_leaves_the_shortcut_and_the_others_are_enlarged(kind):
    """Huang et al. 2016, equation 2: H = ReLU(b * f(H) + id(H)), with b / (1 - p) in training as in timm's drop_path."""
    share, count = 0.4, 24
    if kind == "bit":
        block = BitBlock(32, 128, 1, {"eps": 1e-10}, DropPath(share, 1), on_cpu=False)
    else:
        block = Bottleneck(8, 8, 1, BLOCK, drop_path=DropPath(share, 1))
    x = images(count, 32 if kind == "bit" else 8, 4, 4)
    drawn(block)
    branch, shortcut = branch_of(block, x, kind)
    found = block(x).asnumpy()
    kept = block.drop_path(ms.ops.ones((count, 1, 1, 1), ms.float32)).asnumpy() > 0
    assert 0 < kept.sum() < count
    part = round((1 - share) * P) / P  # the share that is kept is a whole number of 1 / P
    expected = np.where(kept, branch / part, 0) + shortcut
    expected = expected if kind == "bit" else np.maximum(expected, 0)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    block.set_train(False)
    branch, shortcut = branch_of(block, x, kind)
    plain = branch + shortcut if kind == "bit" else np.maximum(branch + shortcut, 0)
    np.testing.assert_allclose(block(x).asnumpy(), plain, rtol=1e-4, atol=1e-5)


def test_two_ranks_drop_the_images_that_one_drops():
    ones, found = ms.ops.ones((6, 1, 1, 1), ms.float32), {}
    for rank, size in ((0, 1), (0, 2), (1, 2)):
        cell = drawn(DropPath(0.5, 4), Place(rank, size))
        found[rank, size] = cell(ones[rank::size]).asnumpy().ravel()
    np.testing.assert_array_equal(found[0, 1][::2], found[0, 2])
    np.testing.assert_array_equal(found[0, 1][1::2], found[1, 2])


HEADS = {
    "resnet": lambda share: ResNet(SMALL, 3, TrunkOptions(), head_dropout=share),
    "bit": lambda share: BigTransfer(SMALL, 1, 3, BitOptions(head_dropout=share)),
    "densenet": lambda share: DenseNet(Variant(4, (1, 1), "cifar"), 3, head_dropout=share),
}


@pytest.mark.parametrize("name", HEADS)
def test_without_features_the_head_has_its_bias_alone(name):
    network = HEADS[name](1.0)
    network.classifier.weight.set_data(images(*network.classifier.weight.shape))
    network.classifier.bias.set_data(ms.Tensor([1.0, 2.0, 3.0], ms.float32))
    x = images(2, 3, 32, 32)
    dropped = drawn(network)(x).asnumpy()
    np.testing.assert_array_equal(dropped, [[1, 2, 3]] * 2)
    assert np.abs(network.set_train(False)(x).asnumpy() - dropped).max() > 1e-3
    assert not [cell for _, cell in HEADS[name](None).cells_and_names() if isinstance(cell, Dropout)]


def test_dense_layers_drop_what_they_add():
    """Huang et al. 2017, section 3, and torchvision's _DenseLayer: behind the 3x3 convolution, so not what is handed on."""
    network = drawn(DenseNet(Variant(4, (2, 2), "cifar"), 3, dropout=0.5))
    cells = [cell for _, cell in network.cells_and_names() if isinstance(cell, Dropout)]
    assert [(cell.p, cell.number) for cell in cells] == [(0.5, 1), (0.5, 2), (0.5, 3), (0.5, 4)]
    x = images(3, 8, 16, 16)
    found = network.stages[0](x).asnumpy()
    np.testing.assert_array_equal(found[:, :8], x.asnumpy())
    assert 0.4 < (found[:, 8:] == 0).mean() < 0.6
