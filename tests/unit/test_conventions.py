"""Layers of other packages' networks that compute as PyTorch's do; what PyTorch computes is written out in NumPy."""

from __future__ import annotations

import math

import mindspore as ms
import mindspore.nn as nn
import numpy as np
import pytest

from mindlift.models.external import conventions
from mindlift.models.external.peers import Conventions

RNG = np.random.default_rng(5)


class Parts(nn.Cell):
    """One layer of each kind, as MindSpore makes them."""

    def __init__(self, kernel: int = 3, stride: int = 2):
        super().__init__()
        self.conv = nn.Conv2d(2, 3, kernel, stride, has_bias=True)
        self.body = nn.SequentialCell(nn.BatchNorm2d(3), nn.GELU())
        self.pool = nn.MaxPool2d(3, 2, pad_mode="same")
        self.norm = nn.LayerNorm((4,))


def changed(**values: object) -> Parts:
    network = Parts()
    conventions.apply(network, Conventions(**values))
    return network.set_train(False)


def tensor(array: np.ndarray) -> ms.Tensor:
    return ms.Tensor(array, ms.float32)


def convolved(images: np.ndarray, weight: np.ndarray, bias: np.ndarray, stride: int, pad: int) -> np.ndarray:
    """torch.nn.Conv2d: a sum over windows, whose first one begins `pad` in front of the image."""
    padded = np.pad(images, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    side = weight.shape[-1]
    count = (padded.shape[-1] - side) // stride + 1
    found = np.zeros((len(images), len(weight), count, count))
    for y in range(count):
        for x in range(count):
            window = padded[:, :, stride * y : stride * y + side, stride * x : stride * x + side]
            found[:, :, y, x] = np.einsum("nchw,ochw->no", window, weight) + bias
    return found


@pytest.mark.parametrize(("kernel", "stride", "pad"), [(3, 2, 1), (5, 2, 2), (3, 1, 1), (2, 2, 0), (4, 4, 0)])
@pytest.mark.parametrize("side", [8, 9])
def test_convolutions_are_padded_as_pytorchs_networks_are(kernel, stride, pad, side):
    network = Parts(kernel, stride)
    conventions.apply(network, Conventions(padding="sym"))
    images = RNG.normal(size=(2, 2, side, side))
    weight, bias = network.conv.weight.asnumpy(), network.conv.bias.asnumpy()
    wanted = convolved(images, weight, bias, stride, pad)
    np.testing.assert_allclose(network.conv(tensor(images)).asnumpy(), wanted, atol=1e-5)


def test_pools_are_padded_on_both_sides():
    """torch.nn.MaxPool2d(3, 2, padding=1)"""
    images = RNG.normal(size=(1, 3, 8, 8)) - 5
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    wanted = [
        [padded[0, :, y : y + 3, x : x + 3].max((1, 2)) for x in range(0, 8, 2)] for y in range(0, 8, 2)
    ]
    found = changed(padding="sym").pool(tensor(images)).asnumpy()
    np.testing.assert_allclose(found[0], np.transpose(wanted, (2, 0, 1)), rtol=1e-6)


def test_tensorflows_padding_is_mindspores():
    """https://www.tensorflow.org/api_docs/python/tf/nn#notes_on_padding_2: with stride 2 one at the end alone."""
    network = changed(padding="sym")
    conventions.apply(network, Conventions(padding="same"))
    images = RNG.normal(size=(2, 2, 8, 8))
    shifted = np.pad(images, ((0, 0), (0, 0), (0, 1), (0, 1)))
    wanted = convolved(shifted, network.conv.weight.asnumpy(), network.conv.bias.asnumpy(), 2, 0)
    np.testing.assert_allclose(network.conv(tensor(images)).asnumpy(), wanted, atol=1e-5)


def test_gelu_is_by_the_error_function():
    values = np.linspace(-4, 4, 101)
    wanted = [x * 0.5 * (1 + math.erf(x / math.sqrt(2))) for x in values]
    np.testing.assert_allclose(changed(exact_gelu=True).body[1](tensor(values)).asnumpy(), wanted, atol=1e-6)


def test_epsilons_are_those_of_the_source():
    network = changed(bn_eps=1e-3, ln_eps=1e-2)
    images = RNG.normal(size=(2, 3, 4, 4)) * 0.1
    network.body[0].moving_variance.set_data(tensor(np.full(3, 0.01)))
    found = network.body[0](tensor(images)).asnumpy()
    np.testing.assert_allclose(found, images / math.sqrt(0.01 + 1e-3), rtol=1e-4)
    wanted = (images - images.mean(-1, keepdims=True)) / np.sqrt(images.var(-1, keepdims=True) + 1e-2)
    np.testing.assert_allclose(network.norm(tensor(images)).asnumpy(), wanted, atol=1e-5)


def test_tensors_and_their_names_stay():
    before = Parts()
    names, values = list(before.parameters_dict()), [each.asnumpy() for each in before.get_parameters()]
    conventions.apply(before, Conventions("sym", True, 1e-3, 1e-6))
    assert list(before.parameters_dict()) == names
    assert [name for name, _ in before.parameters_and_names()] == names
    assert all(np.array_equal(one, each.asnumpy()) for one, each in zip(values, before.get_parameters()))


def test_nothing_changes_without_a_word():
    network = Parts()
    cells = [cell for _, cell in network.cells_and_names()]
    conventions.apply(network, Conventions())
    assert [cell for _, cell in network.cells_and_names()] == cells
