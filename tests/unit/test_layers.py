"""A convolution with its batch norm: what it computes, and that one convolution computes the same."""

from __future__ import annotations

import mindspore as ms
import mindspore.nn as nn
import numpy as np
import pytest
from mindspore.common.initializer import Normal

from mindlift.models.inception_v4.network import Concat, PooledConvNorm, after_pool
from mindlift.models.layers import ConvNorm, fold, refill

BLOCK = {"eps": 1e-3, "momentum": 0.9, "init": Normal(0.3)}


class Net(nn.Cell):
    """Every kind of ConvNorm that the networks have, and a layer without one."""

    def __init__(self):
        super().__init__()
        self.first = ConvNorm(3, 4, 3, 2, pad="same", relu=False, **BLOCK)
        self.parts = Concat(
            wide=ConvNorm(4, 5, (1, 7), **BLOCK),
            dilated=ConvNorm(4, 5, 3, dilation=2, **BLOCK),
            pooled=after_pool(PooledConvNorm(4, 2, 1, **BLOCK)),
        )
        self.last = ConvNorm(12, 6, 3, pad="valid", **BLOCK)
        self.head = nn.Dense(6, 2)

    def construct(self, x):
        return self.head(self.last(self.parts(self.first(x))).mean((2, 3)))


def with_statistics(network: nn.Cell) -> nn.Cell:
    rng = np.random.default_rng(0)
    for parameter in network.get_parameters():
        if parameter.name.endswith(("gamma", "moving_variance")):
            parameter.set_data(ms.Tensor(rng.uniform(0.2, 2, parameter.shape), ms.float32))
        if parameter.name.endswith(("beta", "moving_mean")):
            parameter.set_data(ms.Tensor(rng.normal(size=parameter.shape), ms.float32))
    return network


def images(*shape: int) -> ms.Tensor:
    return ms.Tensor(np.random.default_rng(1).normal(size=shape), ms.float32)


def test_a_folded_network_is_the_same_function_without_norms():
    source, folded = with_statistics(Net()).set_train(False), Net().set_train(False)
    fold(folded)
    refill(folded, source)
    assert not [name for name in folded.parameters_dict() if "norm" in name]
    x = images(2, 3, 18, 14)
    expected = source(x).asnumpy()
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(folded(x).asnumpy(), expected, rtol=1e-5, atol=1e-5)


def test_refilled_again_it_follows_other_weights():
    source, folded = with_statistics(Net()).set_train(False), Net().set_train(False)
    fold(folded)
    refill(folded, source)
    source.first.conv.weight.set_data(source.first.conv.weight * 2)
    source.head.bias.set_data(source.head.bias + 1)
    refill(folded, source)
    x = images(1, 3, 18, 14)
    np.testing.assert_allclose(folded(x).asnumpy(), source(x).asnumpy(), rtol=1e-5, atol=1e-5)


def test_norms_statistics_are_those_of_the_images_in_training():
    cell = ConvNorm(3, 4, 1, relu=False, **BLOCK).set_train()
    found = cell(images(8, 3, 6, 6)).asnumpy()
    np.testing.assert_allclose(found.mean((0, 2, 3)), 0, atol=1e-5)
    assert np.abs(cell.norm.moving_mean.asnumpy()).max() > 0


def test_averaging_behind_the_convolution_is_averaging_before_it():
    """Also at the border, where an average has fewer neighbours: the paper's order in numpy."""
    cell = with_statistics(PooledConvNorm(5, 3, 1, **BLOCK)).set_train(False)
    x = images(2, 5, 4, 6).asnumpy()
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    count = np.pad(np.ones((4, 6)), 1)
    windows = [(slice(i, i + 4), slice(j, j + 6)) for i in range(3) for j in range(3)]
    average = sum(padded[:, :, a, b] for a, b in windows) / sum(count[a, b] for a, b in windows)
    mixed = np.einsum("oc,nchw->nohw", cell.conv.weight.asnumpy()[:, :, 0, 0], average)
    norm = cell.norm
    gamma, beta, mean, variance = (
        p.asnumpy()[:, None, None] for p in (norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance)
    )
    expected = np.maximum(0, (mixed - mean) / np.sqrt(variance + norm.eps) * gamma + beta)
    np.testing.assert_allclose(cell(ms.Tensor(x)).asnumpy(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("pad", "side"), [("sym", 4), ("same", 4), ("valid", 3)])
def test_padding(pad, side):
    """A 3x3 convolution of stride 2 on 8 x 8, whose only weight is in the middle: `same` looks one further."""
    cell = ConvNorm(1, 1, 3, 2, pad=pad, relu=False, **BLOCK)
    middle = np.zeros((1, 1, 3, 3), np.float32)
    middle[0, 0, 1, 1] = 1
    cell.conv.weight.set_data(ms.Tensor(middle))
    found = cell.conv(ms.Tensor(np.arange(64, dtype=np.float32).reshape(1, 1, 8, 8))).asnumpy()
    assert found.shape == (1, 1, side, side)
    assert found[0, 0, 0, 0] == {"sym": 0, "same": 9, "valid": 9}[pad]
