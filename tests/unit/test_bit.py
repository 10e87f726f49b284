"""BigTransfer's cells against the published formulas in float64, and the network's structure."""

from __future__ import annotations

import mindspore as ms
import numpy as np
import pytest

from mindlift import models
from mindlift.models import layers
from mindlift.models.bit.cells import GroupNormReLU, StandardisedConv
from mindlift.models.bit.network import BigTransfer, Options


def small(**options) -> BigTransfer:
    """A network of one block per stage; its head does not start at zero."""
    ms.set_seed(1)
    net = BigTransfer((1, 1, 1, 1), 1, 4, Options(**options))
    net.classifier.weight.set_data(ms.Tensor(np.random.default_rng(0).normal(size=(4, 2048)), ms.float32))
    return net.set_train(False)


def images(*shape: int) -> ms.Tensor:
    return ms.Tensor(np.random.default_rng(1).normal(size=shape), ms.float32)


def standardised(weight: np.ndarray, eps: float) -> np.ndarray:
    rows = weight.astype(np.float64).reshape(len(weight), -1)
    rows = (rows - rows.mean(1, keepdims=True)) / np.sqrt(rows.var(1, keepdims=True) + eps)
    return rows.reshape(weight.shape)


@pytest.mark.parametrize("eps", [1e-10, 1e-2])
@pytest.mark.parametrize("on_cpu", [False, True])
def test_weights_are_standardised_over_each_output_channel(eps, on_cpu):
    conv = StandardisedConv(6, 5, 3, eps=eps, on_cpu=on_cpu)
    weight = conv.weight.asnumpy()
    wanted = standardised(weight, eps)
    np.testing.assert_allclose(conv.standardised(conv.weight).asnumpy(), wanted, atol=2e-5)
    np.testing.assert_allclose(conv.folded()["weight"], wanted, atol=1e-6)


@pytest.mark.parametrize("on_cpu", [False, True])
def test_the_gradient_of_standardised_weights_is_that_of_the_formula(on_cpu):
    """dw = (g - mean g - w^ mean(g w^)) / deviation, over each output channel."""
    conv = StandardisedConv(6, 5, 3, eps=1e-10, on_cpu=on_cpu)
    upstream = np.random.default_rng(2).normal(size=conv.weight.shape)
    found = ms.grad(lambda w: (conv.standardised(w) * ms.Tensor(upstream, ms.float32)).sum())(conv.weight)
    rows = conv.weight.asnumpy().astype(np.float64).reshape(5, -1)
    unit, g = standardised(rows, 1e-10), upstream.reshape(5, -1)
    wanted = (g - g.mean(1, keepdims=True) - unit * (g * unit).mean(1, keepdims=True)) / rows.std(
        1, keepdims=True
    )
    np.testing.assert_allclose(
        found.asnumpy().reshape(5, -1), wanted, rtol=1e-3, atol=1e-3 * np.abs(wanted).max()
    )


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("on_cpu", [False, True])
def test_groups_of_channels_are_normalised_per_image(training, on_cpu):
    norm = GroupNormReLU(64, on_cpu=on_cpu).set_train(training)
    rng = np.random.default_rng(0)
    gamma, beta = rng.uniform(0.5, 2, 64), rng.normal(size=64)
    norm.gamma.set_data(ms.Tensor(gamma, ms.float32))
    norm.beta.set_data(ms.Tensor(beta, ms.float32))
    x = rng.normal(1, 3, (3, 64, 5, 4))
    groups = x.reshape(3, 32, -1)
    unit = (groups - groups.mean(2, keepdims=True)) / np.sqrt(groups.var(2, keepdims=True) + 1e-5)
    wanted = np.maximum(0, unit.reshape(x.shape) * gamma[:, None, None] + beta[:, None, None])
    np.testing.assert_allclose(norm(ms.Tensor(x, ms.float32)).asnumpy(), wanted, atol=2e-5)


def test_the_fast_norm_has_the_gradients_of_the_librarys():
    """Three times, since its kernels overwrite some of what they are given."""
    rng = np.random.default_rng(0)
    x, upstream = (ms.Tensor(rng.normal(1, 3, (3, 64, 5, 4)), ms.float32) for _ in range(2))
    found = []
    for on_cpu in (False, True):
        norm = GroupNormReLU(64, on_cpu=on_cpu).set_train(True)
        norm.gamma.set_data(ms.Tensor(np.linspace(0.5, 2, 64), ms.float32))
        run = ms.value_and_grad(lambda x, norm=norm: (norm(x) * upstream).sum(), 0, norm.trainable_params())
        for _ in range(3):
            value, (dx, (dgamma, dbeta)) = run(x)
        found.append([tensor.asnumpy() for tensor in (value, dx, dgamma, dbeta)])
    for one, two in zip(*found):
        np.testing.assert_allclose(two, one, rtol=1e-4, atol=1e-4 * np.abs(one).max())


def test_a_folded_network_is_the_same_function():
    source, folded = small(), small()
    layers.fold(folded)
    layers.refill(folded, source)
    x = images(2, 3, 40, 33)
    expected = source(x).asnumpy()
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(folded(x).asnumpy(), expected, rtol=1e-4, atol=1e-4)
    assert np.abs(folded.stem.weight.asnumpy() - source.stem.weight.asnumpy()).max() > 0.1


def test_the_head_starts_at_zero_whatever_its_size():
    net = BigTransfer((1, 1, 1, 1), 1, 7, Options())
    assert not net.classifier.weight.asnumpy().any()
    assert not net.classifier.bias.asnumpy().any()
    assert not net(images(1, 3, 32, 32)).asnumpy().any()


def test_the_stems_pool_takes_zeros_around_the_map():
    """Where the map is negative, zeros win: a max-pool that pads by itself would not see them."""
    net = small()
    below_zero = ms.Tensor(-np.ones((1, 1, 4, 4)), ms.float32)
    pooled = net.pool(below_zero).asnumpy()[0, 0]
    np.testing.assert_array_equal(pooled, [[0, 0], [0, -1]])


def test_strides_and_shortcuts():
    """Stride at the 3x3 convolution, projection from the normed input, in the first block of each stage only."""
    ms.set_seed(1)
    net = BigTransfer((2, 2, 1, 1), 1, 4, Options())
    strides = [[block.conv2.stride for block in stage] for stage in net.stages]
    assert strides == [[(1, 1), (1, 1)], [(2, 2), (1, 1)], [(2, 2)], [(2, 2)]]
    assert [[block.has_shortcut for block in stage] for stage in net.stages] == [
        [True, False],
        [True, False],
        [True],
        [True],
    ]
    block, x = net.stages[0][0], images(1, 64, 6, 6)
    for cell in (block.conv3,):
        cell.weight.set_data(ms.ops.zeros_like(cell.weight))
    np.testing.assert_array_equal(block(x).asnumpy(), block.shortcut(block.norm1(x)).asnumpy())


def test_options_of_the_network():
    x = images(1, 3, 64, 64)
    plain = small()(x).asnumpy()
    for options in ({"conv_pad": "same"}, {"std_eps": 1e-2}):
        assert np.abs(small(**options)(x).asnumpy() - plain).max() > 1e-3, options


@pytest.mark.parametrize(
    ("net", "blocks", "width"),
    [("bit_r50x3", 16, 3), ("bit_r101x1", 33, 1), ("bit_r152x2", 50, 2), ("bit_r152x4", 50, 4)],
)
def test_sizes(net, blocks, width):
    depths, factor = models.family_of(net).VARIANTS[net]
    assert (sum(depths), factor) == (blocks, width)
