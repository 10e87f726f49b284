"""Maps in blocks of channels in training: gradients of each operator against its definition, in NumPy and float64, and whole networks."""

import ctypes

import mindspore as ms
import mindspore.nn as nn
import numpy as np
import pytest

from mindlift import models
from mindlift.checkout import ROOT
from mindlift.model_utils import cpu_kernels
from mindlift.model_utils.config import config
from mindlift.models import layers
from mindlift.models.bit.cells import GroupNormReLU
from mindlift.models.cpu import blocks, cells
from mindlift.models.dropout import Dropout, DropPath
from tests.unit.test_cpu_blocks import (
    BLOCKED,
    CIN,
    HIGH,
    POOLS,
    WIDE,
    assert_close,
    convolution,
    in_blocks,
    plain,
)
from tests.unit.test_cpu_convolutions import Definition, call
from tests.unit.test_cpu_kernels import Gradients, arrays, as_channels, gradient_of_normed, normed, tensors

EPS, SHARE = 1e-3, 0.25


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return str(cpu_kernels.library(tmp_path_factory.mktemp("kernels"), (2, 8)))


@pytest.fixture(params=[16, 8])
def kernels(request, library, monkeypatch):
    monkeypatch.setattr(blocks, "channels", lambda library: request.param)
    return cells.Kernels(library, block=request.param)


class Whole(nn.Cell):
    """`conv2d` with its weight as an input."""

    def __init__(self, conv2d):
        super().__init__()
        self.conv2d = conv2d

    def construct(self, x, weight):
        return self.conv2d(x, weight)


@pytest.mark.parametrize("is_blocked", [True, False], ids=["from blocks", "from plain maps"])
@pytest.mark.parametrize("name", BLOCKED)
def test_gradients_of_a_convolution_to_blocks(kernels, name, is_blocked):
    conv, weight = convolution(name)
    (x,) = arrays((3, CIN, HIGH, WIDE), seed=5)
    definition = Definition(conv, x)
    y = definition.output(weight)
    (dy,) = arrays(y.shape, seed=6)
    of_x, of_weight = definition.gradients(weight, dy)
    cell = Whole(kernels.convolution(conv, in_blocks=True))
    stays_plain = not is_blocked and conv.kernel_size == (1, 1)
    given = in_blocks(x, kernels.block) if is_blocked else x
    ((by_x, by_weight), _) = Gradients(cell, dy if stays_plain else in_blocks(dy, kernels.block))(
        *tensors(given, weight)
    )
    assert_close(plain(by_x.asnumpy()) if is_blocked else by_x.asnumpy(), of_x)
    np.testing.assert_allclose(by_weight.asnumpy(), of_weight, rtol=1e-4, atol=5e-3)


@pytest.mark.parametrize("kind", ["plain", "relu", "add"])
@pytest.mark.parametrize(
    "size", [(7, 6), (1, 1), (30, 21)]
)  # one pixel, and more than a float sum is made of
def test_batch_norm_is_that_of_its_paper(kernels, kind, size):
    """Ioffe and Szegedy, Batch Normalization (2015), algorithm 1; a mean far from 0 is where sums of squares would lose."""
    shape = (3, CIN, *size)
    x, other, dy, gamma, beta = arrays(shape, shape, shape, CIN, CIN)
    x += 20
    norm = nn.BatchNorm2d(CIN, eps=EPS, momentum=1 - SHARE)
    cell = kernels.norm_add_relu(norm) if kind == "add" else kernels.norm(norm, relu=kind == "relu")
    cell.set_train()
    cell.gamma.set_data(ms.Tensor(gamma, ms.float32))
    cell.beta.set_data(ms.Tensor(beta, ms.float32))
    inputs = tensors(*(in_blocks(each, kernels.block) for each in ([x, other] if kind == "add" else [x])))
    unit = normed(x, (0, 2, 3), EPS)
    y = unit * as_channels(gamma) + as_channels(beta) + (other if kind == "add" else 0)
    is_open = np.ones(shape, bool) if kind == "plain" else y > 0
    by_inputs, (by_gamma, by_beta) = Gradients(cell, in_blocks(dy, kernels.block))(*inputs)
    passed = dy * is_open
    expected = [gradient_of_normed(passed * as_channels(gamma), x, (0, 2, 3), EPS), passed]
    for found, wanted in zip(by_inputs, expected):
        np.testing.assert_allclose(plain(found.asnumpy()), wanted, rtol=3e-4, atol=1e-4)
    np.testing.assert_allclose(by_gamma.asnumpy(), (passed * unit).sum((0, 2, 3)), rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(by_beta.asnumpy(), passed.sum((0, 2, 3)), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(cell.moving_mean.asnumpy(), SHARE * x.mean((0, 2, 3)), rtol=1e-5)
    unbiased = (1 - SHARE) + SHARE * x.var((0, 2, 3), ddof=1)
    np.testing.assert_allclose(cell.moving_variance.asnumpy(), unbiased, rtol=1e-5)
    np.testing.assert_allclose(plain(cell(*inputs).asnumpy()), y * is_open, atol=5e-5)


@pytest.mark.parametrize("kind", ["plain", "relu", "add"])
@pytest.mark.parametrize("is_blocked", [True, False], ids=["in blocks", "plain"])
def test_while_it_is_frozen_a_norm_is_an_affine_map(kernels, kind, is_blocked):
    """Section 3.1: by the moving statistics, which stay; gamma and beta have gradients."""
    shape = (2, CIN, 9, 5)
    x, other, dy, gamma, beta, mean = arrays(shape, shape, shape, CIN, CIN, CIN)
    variance = np.random.default_rng(8).uniform(0.5, 2, CIN)
    norm = nn.BatchNorm2d(CIN, eps=EPS)
    cell = kernels.norm_add_relu(norm) if kind == "add" else kernels.norm(norm, relu=kind == "relu")
    cell.set_train().use_batch_statistics = False
    for parameter, values in zip(
        (cell.gamma, cell.beta, cell.moving_mean, cell.moving_variance), (gamma, beta, mean, variance)
    ):
        parameter.set_data(ms.Tensor(values, ms.float32))
    unit = (x - as_channels(mean)) / np.sqrt(as_channels(variance) + EPS)
    y = unit * as_channels(gamma) + as_channels(beta) + (other if kind == "add" else 0)
    passed = dy if kind == "plain" else dy * (y > 0)
    wanted = [passed * as_channels(gamma) / np.sqrt(as_channels(variance) + EPS), passed]
    as_held, back = (
        (lambda maps: in_blocks(maps, kernels.block), plain) if is_blocked else (np.array, np.array)
    )
    inputs = tensors(*map(as_held, [x, other] if kind == "add" else [x]))
    by_inputs, (by_gamma, by_beta) = Gradients(cell, as_held(dy))(*inputs)
    for found, expected in zip(by_inputs, wanted):
        np.testing.assert_allclose(back(found.asnumpy()), expected, atol=2e-5)
    np.testing.assert_allclose(by_gamma.asnumpy(), (passed * unit).sum((0, 2, 3)), rtol=2e-5, atol=1e-4)
    np.testing.assert_allclose(by_beta.asnumpy(), passed.sum((0, 2, 3)), rtol=2e-5, atol=1e-4)
    np.testing.assert_allclose(cell.moving_mean.asnumpy(), mean, rtol=1e-6)


@pytest.mark.parametrize(("channels", "side"), [(64, 20), (192, 3), (1024, 2)])  # groups of 2, 6 and 32
def test_gradients_of_group_norm(kernels, channels, side):
    """Wu and He, Group Normalization (2018), equations 1, 2, 6 and 7."""
    shape = (3, channels, side, side)
    x, dy, gamma, beta = arrays(shape, shape, channels, channels, seed=9)
    cell = GroupNormReLU(channels, on_cpu=True)
    cell.fuse(kernels)
    cell.gamma.set_data(ms.Tensor(gamma, ms.float32))
    cell.beta.set_data(ms.Tensor(beta, ms.float32))
    groups = x.reshape(3, 32, -1)
    unit = normed(groups, 2, 1e-5).reshape(shape)
    passed = dy * (unit * as_channels(gamma) + as_channels(beta) > 0)
    ((by_x,), (by_gamma, by_beta)) = Gradients(cell, in_blocks(dy, kernels.block))(
        *tensors(in_blocks(x, kernels.block))
    )
    wanted = gradient_of_normed((passed * as_channels(gamma)).reshape(groups.shape), groups, 2, 1e-5)
    np.testing.assert_allclose(plain(by_x.asnumpy()), wanted.reshape(shape), atol=1e-4)
    np.testing.assert_allclose(by_gamma.asnumpy(), (passed * unit).sum((0, 2, 3)), rtol=1e-4, atol=2e-4)
    np.testing.assert_allclose(by_beta.asnumpy(), passed.sum((0, 2, 3)), rtol=1e-4, atol=2e-4)


def test_gradients_of_means(kernels):
    x, dy = arrays((2, CIN, 13, 12), (2, CIN), seed=12)
    means = layers.Means()
    means.fuse(kernels)
    ((by_x,), _) = Gradients(means, dy)(*tensors(in_blocks(x, kernels.block)))
    wanted = np.broadcast_to(dy[:, :, None, None] / (13 * 12), x.shape)
    np.testing.assert_allclose(plain(by_x.asnumpy()), wanted, rtol=1e-6)


@pytest.mark.parametrize("name", POOLS)
def test_gradients_of_pools(kernels, name):
    """By the definition: of a window's gradient the greatest value has all, or each value the same share."""
    pool, shape = POOLS[name], (2, CIN, HIGH, WIDE)
    (x,) = arrays(shape, seed=6)
    size, stride = pool.kernel_size, pool.stride
    sides = (HIGH, WIDE)
    places = [
        -(-side // stride) if pool.pad_mode == "SAME" else (side - size) // stride + 1 for side in sides
    ]
    before = [
        max((count - 1) * stride + size - side, 0) // 2 * (pool.pad_mode == "SAME")
        for count, side in zip(places, sides)
    ]
    (dy,) = arrays((2, CIN, *places), seed=7)
    wanted = np.zeros(shape)
    for n, c, i, j in np.ndindex(*dy.shape):
        rows, columns = (
            slice(max(at * stride - pad, 0), at * stride - pad + size) for at, pad in zip((i, j), before)
        )
        window, part = x[n, c, rows, columns], wanted[n, c, rows, columns]
        is_max = isinstance(pool, nn.MaxPool2d)
        part += dy[n, c, i, j] * (window == window.max() if is_max else 1 / window.size)
    ((by_x,), _) = Gradients(kernels.in_place_of(pool), in_blocks(dy, kernels.block))(
        *tensors(in_blocks(x, kernels.block))
    )
    np.testing.assert_allclose(plain(by_x.asnumpy()), wanted, rtol=1e-5, atol=1e-5)


def test_a_pool_of_plain_maps_is_mindspores(kernels):
    pool = nn.AvgPool2d(2, 2)
    x, dy = arrays((2, 5, 8, 8), (2, 5, 4, 4))
    ((found,), _) = Gradients(kernels.in_place_of(pool), dy)(*tensors(x))
    np.testing.assert_allclose(found.asnumpy(), np.kron(dy, np.full((2, 2), 0.25)), rtol=1e-6)


@pytest.mark.parametrize(
    ("size", "border"), [((12, 13), 1), ((1, 2), 1), ((7, 7), 1), ((12, 13), 0), ((3, 4), 0)]
)
def test_gradients_of_a_pool_of_3x3(kernels, size, border):
    """Of values of both signs, so that zeros of the border win, which have none."""
    (x,) = arrays((2, CIN, *size), seed=10)
    x -= 0.7
    padded = np.pad(x, ((0, 0), (0, 0), *((border, border),) * 2))
    dx, places = np.zeros(padded.shape), [(side + 2 * border - 3) // 2 + 1 for side in size]
    (dy,) = arrays((2, CIN, *places), seed=11)
    for n, c, i, j in np.ndindex(*dy.shape):
        window = padded[n, c, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
        dx[n, c, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3] += dy[n, c, i, j] * (window == window.max())
    pool = blocks.Pool3x3(kernels.library, border)
    ((by_x,), _) = Gradients(pool, in_blocks(dy, kernels.block))(*tensors(in_blocks(x, kernels.block)))
    wanted = dx[:, :, border : size[0] + border, border : size[1] + border]
    np.testing.assert_allclose(plain(by_x.asnumpy()), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "make", [lambda: Dropout(0.4), lambda: DropPath(0.4, 1)], ids=["dropout", "drop path"]
)
def test_what_is_dropped_does_not_depend_on_the_format(kernels, make):
    (x,) = arrays((6, CIN, 5, 3))
    wanted, cell = make().set_train()(*tensors(x)).asnumpy(), make().set_train()
    found = cell(*tensors(in_blocks(x, kernels.block))).asnumpy()
    np.testing.assert_array_equal(plain(found), wanted)
    assert (wanted == 0).any()


def on_threads(library, name, inputs, outputs):
    """What a kernel makes of `inputs`, with 1, 2 and 3 threads."""
    openmp, found = ctypes.CDLL("libgomp.so.1"), []
    before = openmp.omp_get_max_threads()
    try:
        for threads in (1, 2, 3):
            openmp.omp_set_num_threads(threads)
            found.append([np.full(shape, np.nan, np.float32) for shape in outputs])
            own = [np.array(each, np.float32) for each in inputs]  # moving statistics are moved
            assert call(library, name, [*own, *found[-1]]) == 0
    finally:
        openmp.omp_set_num_threads(before)
    return found


@pytest.mark.parametrize(
    "name",
    [
        "norm_relu",
        "norm_relu_gradient",
        "group_norm_relu",
        "group_norm_relu_gradient",
        "convolution_of_weights",
    ],
)
def test_the_number_of_threads_changes_no_bit(library, name):
    maps, channels = (3, 4, 30, 20, 16), (64,)
    x, dy, gamma, beta, mean = arrays(maps, maps, channels, channels, channels, seed=3)
    of_groups = arrays((3, 32), (3, 32), seed=4)
    inputs, outputs = {
        "norm_relu": ([x, gamma, beta, mean, mean, [EPS, SHARE]], [maps, channels, channels]),
        "norm_relu_gradient": ([dy, x, gamma, beta, mean, gamma], [maps, channels, channels]),
        "group_norm_relu": ([x, gamma, beta, [EPS]], [maps, (3, 32), (3, 32)]),
        "group_norm_relu_gradient": ([dy, x, gamma, beta, *of_groups], [maps, channels, channels]),
        "convolution_of_weights": (
            [dy, x, np.zeros((64, 64, 3, 3)), [1, 1, 1, 1, 1, 1, 1, 1, 1]],
            [(64, 64, 3, 3)],
        ),
    }[name]
    found = on_threads(library, name, inputs, outputs)
    for one, two, three in zip(*found):
        assert np.isfinite(one).all()
        np.testing.assert_array_equal(one, two)
        np.testing.assert_array_equal(one, three)


SMALL = {
    "densenet22": (32, {"dropout": 0.2}),
    "densenet121": (32, {"dropout": 0.2}),
    "resnet50": (64, {}),
    "inception_v4": (107, {}),
    "bit_r50x1": (32, {"drop_path": 0.3}),
    "deeplab_v3_r26_s16": (97, {}),
    "deeplab_v3_r26_s8": (33, {"drop_path": 0.3, "stem_pool": "same"}),
}


def trained(net, library, noise=0.0):
    """Outputs and gradients of a network in training, and its moving statistics; `library` "" is without kernels."""
    side, options = SMALL[net]
    values = {
        option.name: option.default for option in config.read_schema(ROOT / config.DEFAULTS).options.values()
    }
    ms.set_seed(2)
    network = models.build(net, 16, {**values, **options}, on_cpu=True).set_train()
    rng = np.random.default_rng(3)
    for name, parameter in network.parameters_and_names():
        if name.startswith("classifier"):
            parameter.set_data(ms.Tensor(rng.normal(0, 0.1, parameter.shape), ms.float32))
    if library:
        cells.apply(network, library)
    x = np.random.default_rng(1).standard_normal((8, 3, side, side))
    x *= 1 + noise * np.random.default_rng(5).standard_normal(x.shape)
    y = network(*tensors(x)).asnumpy()
    ((by_x,), by_weights) = Gradients(network, np.random.default_rng(4).standard_normal(y.shape))(*tensors(x))
    moved = [p.asnumpy().ravel() for p in network.get_parameters() if "moving" in p.name] or [np.ones(1)]
    named = {p.name: each.asnumpy() for p, each in zip(network.trainable_params(), by_weights)}
    whole = np.concatenate([each.ravel() for each in named.values()])
    return {
        "output": y,
        "by images": by_x.asnumpy(),
        "by weights": whole,
        "moving": np.concatenate(moved),
        **named,
    }


def distance(found, wanted):
    return np.linalg.norm(found - wanted) / (np.linalg.norm(wanted) + 1e-12)


@pytest.mark.parametrize("net", SMALL)
def test_a_network_has_the_same_function_and_gradients(library, net):
    """No farther from MindSpore's operators than these get by a change of 1e-6 in each pixel.

    A ReLU that opens by such a change moves a single weight's gradient by a hundredth; an error would by more.
    """
    assert blocks.channels(library)
    wanted, changed, found = trained(net, ""), trained(net, "", noise=1e-6), trained(net, library)
    for name, value in wanted.items():
        assert distance(found[name], value) < max(0.1, 3 * distance(changed[name], value)), name
    for name in ("output", "by images", "by weights", "moving"):
        assert distance(found[name], wanted[name]) <= 3 * max(
            1e-5, distance(changed[name], wanted[name])
        ), name
