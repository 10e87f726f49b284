"""Maps in blocks of channels at inference: each operator against its definition, in NumPy and float64, and whole networks.

The formats are those of oneDNN's document "Understanding Memory Formats", section "Blocked Layout" (nChw16c, nChw8c).
"""

import os
import subprocess
import sys

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
from mindlift.models.features import FeatureMaps
from mindlift.models.resnet import network as resnet
from tests.unit.test_cpu_convolutions import GEOMETRIES, Definition
from tests.unit.test_cpu_kernels import Gradients, arrays, as_channels, normed, tensors

CIN, COUT, HIGH, WIDE = 32, 48, 13, 12
SMALL = {
    "densenet22": 32,
    "densenet121": 32,
    "resnet50": 32,
    "inception_v4": 75,
    "bit_r50x1": 32,
    "bit_r50x3": 32,
    "deeplab_v3_r26_s16": 97,
    "deeplab_v3_r26_s8": 65,
}
BLOCKED = [name for name in GEOMETRIES if name not in ("groups", "depthwise")]


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return str(cpu_kernels.library(tmp_path_factory.mktemp("kernels"), (2, 8)))


@pytest.fixture(params=[16, 8])
def kernels(request, library, monkeypatch):
    monkeypatch.setattr(blocks, "channels", lambda library: request.param)
    return cells.Kernels(library, is_folded=True, block=request.param)


def in_blocks(x, block):
    """(N, C, H, W) -> (N, C / block, H, W, block)."""
    n, c, height, width = x.shape
    return x.reshape(n, c // block, block, height, width).transpose(0, 1, 3, 4, 2)


def plain(x):
    n, c, height, width, block = x.shape
    return x.transpose(0, 1, 4, 2, 3).reshape(n, c * block, height, width)


def convolution(name, **more):
    conv = nn.Conv2d(CIN, COUT, **{**GEOMETRIES[name], **more})
    weight = np.random.default_rng(4).standard_normal(conv.weight.shape)
    conv.weight.set_data(ms.Tensor(weight, ms.float32))
    return conv, weight


def assert_close(found, wanted):
    """To the rounding of a sum of some hundred products in float32."""
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("name", BLOCKED)
def test_a_convolution_from_blocks_to_blocks(kernels, name):
    conv, weight = convolution(name)
    (x,) = arrays((3, CIN, HIGH, WIDE), seed=5)
    y = Definition(conv, x).output(weight)
    bias, other = arrays(COUT, y.shape, seed=7)
    wanted = np.maximum(y + as_channels(bias) + other, 0)
    given = tensors(in_blocks(x, kernels.block), weight, bias, in_blocks(other, kernels.block))
    found = kernels.convolution_bias(conv, relu=True, adds=True)(*given).asnumpy()
    assert found.shape == in_blocks(wanted, kernels.block).shape
    assert_close(plain(found), wanted)
    assert_close(plain(kernels.convolution_add(conv)(given[0], given[1], given[3]).asnumpy()), y + other)
    assert_close(plain(kernels.convolution(conv, in_blocks=True)(*given[:2]).asnumpy()), y)
    for tensor, value in zip(given, (x, weight, bias, other)):  # inputs stay
        kept = tensor.asnumpy()
        np.testing.assert_array_equal(plain(kept) if kept.ndim == 5 else kept, np.asarray(value, np.float32))


@pytest.mark.parametrize("channels", [20, 24])  # 24: three blocks of 8, plain all the same, as on every CPU
@pytest.mark.parametrize("name", ["3x3", "1x1", "far"])
def test_the_sum_behind_a_convolution_of_maps_that_fill_no_blocks(kernels, name, channels):
    conv = nn.Conv2d(CIN, channels, **GEOMETRIES[name])
    weight, x = arrays(conv.weight.shape, (2, CIN, HIGH, WIDE), seed=4)
    y = Definition(conv, x).output(weight)
    (other,) = arrays(y.shape, seed=8)
    found = kernels.convolution_add(conv)(*tensors(x, weight, other)).asnumpy()
    assert_close(found, y + other)
    assert_close(kernels.convolution(conv)(*tensors(in_blocks(x, kernels.block), weight)).asnumpy(), y)


@pytest.mark.parametrize("name", ["3x3", "1x1", "far"])
def test_what_is_added_may_have_the_other_format(kernels, name):
    conv, weight = convolution(name)
    (x,) = arrays((2, CIN, HIGH, WIDE), seed=5)
    y = Definition(conv, x).output(weight)
    bias, other = arrays(COUT, y.shape, seed=7)
    blocked = in_blocks(x, kernels.block)
    found = kernels.convolution_add(conv)(*tensors(blocked, weight, other)).asnumpy()
    assert_close(plain(found), y + other)
    whole = kernels.convolution_bias(conv, relu=True, adds=True)
    found = whole(*tensors(blocked, weight, bias, other)).asnumpy()
    assert_close(plain(found), np.maximum(y + as_channels(bias) + other, 0))
    if name == "1x1":  # whose output is plain if its input is
        found = kernels.convolution_add(conv)(*tensors(x, weight, in_blocks(other, kernels.block))).asnumpy()
        assert_close(found, y + other)


def test_what_is_added_has_the_size_of_the_output(kernels):
    conv, weight = convolution("3x3")
    x, other = arrays((1, CIN, 8, 8), (1, COUT, 8, 7), seed=5)
    with pytest.raises(RuntimeError):
        kernels.convolution_add(conv)(*tensors(x, weight, in_blocks(other, kernels.block))).asnumpy()


def test_images_come_plain_and_leave_in_blocks(kernels):
    conv = nn.Conv2d(3, COUT, **GEOMETRIES["stem"])
    weight, x, bias = arrays(conv.weight.shape, (2, 3, HIGH, WIDE), COUT, seed=4)
    found = kernels.convolution_bias(conv, relu=False)(*tensors(x, weight, bias)).asnumpy()
    assert_close(plain(found), Definition(conv, x).output(weight) + as_channels(bias))


POOLS = {
    "max, 3x3 of stride 2": nn.MaxPool2d(3, 2),
    "max, same": nn.MaxPool2d(3, 2, pad_mode="same"),
    "mean, 2x2": nn.AvgPool2d(2, 2),
    "mean of neighbours, same": nn.AvgPool2d(3, 1, pad_mode="same"),
}


def pooled(x, size, stride, before, after, reduce):
    """Of each window what is no padding: NaN pads."""
    pads = ((before[0], after[0]), (before[1], after[1]))
    x = np.pad(x, ((0, 0), (0, 0), *pads), constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), (2, 3))
    return reduce(windows[:, :, ::stride, ::stride], (4, 5))


@pytest.mark.parametrize("is_blocked", [True, False])
@pytest.mark.parametrize("name", POOLS)
def test_pools(kernels, name, is_blocked):
    """Padding of "same" as TensorFlow's documents have it; nn.AvgPool2d's counts none of it."""
    pool = POOLS[name]
    (x,) = arrays((2, CIN, HIGH, WIDE), seed=6)
    size, stride, before, after = pool.kernel_size, pool.stride, (0, 0), (0, 0)
    if pool.pad_mode == "SAME":
        total = [max((-(-side // stride) - 1) * stride + size - side, 0) for side in (HIGH, WIDE)]
        before, after = [each // 2 for each in total], [each - each // 2 for each in total]
    reduce = np.nanmax if isinstance(pool, nn.MaxPool2d) else np.nanmean
    wanted = pooled(x, size, stride, before, after, reduce)
    given = in_blocks(x, kernels.block) if is_blocked else x
    found = kernels.in_place_of(pool)(*tensors(given)).asnumpy()
    np.testing.assert_allclose(plain(found) if is_blocked else found, wanted, atol=1e-5)
    np.testing.assert_allclose(pool(*tensors(x)).asnumpy(), wanted, atol=1e-5)  # MindSpore agrees


@pytest.mark.parametrize(
    "other", [nn.MaxPool2d(3, 2, pad_mode="pad", padding=1), nn.AvgPool2d(3, 2, ceil_mode=True), nn.ReLU()]
)
def test_other_pools_stay(kernels, other):
    assert kernels.in_place_of(other) is None


@pytest.mark.parametrize(
    ("size", "border"), [((12, 13), 1), ((1, 2), 1), ((7, 7), 1), ((12, 13), 0), ((3, 4), 0)]
)
def test_a_pool_of_3x3(kernels, size, border):
    """Of values of both signs, so that zeros of the border win. The gradient goes to the greatest value."""
    (x,) = arrays((2, CIN, *size), seed=10)
    x -= 0.7
    pads = ((border, border),) * 2
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(x, ((0, 0), (0, 0), *pads)), (3, 3), (2, 3))[
        :, :, ::2, ::2
    ]
    wanted = windows.max((4, 5))
    pool = blocks.Pool3x3(kernels.library, border)
    np.testing.assert_allclose(pool(*tensors(x)).asnumpy(), wanted, rtol=1e-6)
    found = pool(*tensors(in_blocks(x, kernels.block))).asnumpy()
    np.testing.assert_allclose(plain(found), wanted, rtol=1e-6)
    (dy,) = arrays(wanted.shape, seed=11)
    dx = np.zeros((2, CIN, size[0] + 2, size[1] + 2))
    for place in np.ndindex(*wanted.shape):
        row, column = np.unravel_index(windows[place].argmax(), (3, 3))
        dx[(*place[:2], 2 * place[2] + row, 2 * place[3] + column)] += dy[place]
    ((by_x,), _) = Gradients(pool, dy)(*tensors(x))
    wanted = dx[:, :, border : size[0] + border, border : size[1] + border]
    np.testing.assert_allclose(by_x.asnumpy(), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("pool", [nn.MaxPool2d(3, 2), layers.ZeroPaddedPool()])
def test_pools_of_a_training_compute_as_before(library, pool):
    x, dy = (
        arrays((2, 5, 9, 8), seed=13),
        arrays((2, 5, *pool(ms.ops.zeros((2, 5, 9, 8))).shape[2:]), seed=14),
    )
    network = nn.SequentialCell(pool)
    wanted, ((by_x,), _) = network(*tensors(*x)).asnumpy(), Gradients(network, *dy)(*tensors(*x))
    cells.apply(network, library)
    np.testing.assert_allclose(network(*tensors(*x)).asnumpy(), wanted, rtol=1e-6)
    ((found,), _) = Gradients(network, *dy)(*tensors(*x))
    np.testing.assert_allclose(found.asnumpy(), by_x.asnumpy(), rtol=1e-6)


@pytest.mark.parametrize("pool", [nn.MaxPool2d(3, 2), nn.AvgPool2d(3, 1)])
def test_maps_that_are_smaller_than_a_pool_are_refused(kernels, pool):
    with pytest.raises(ValueError, match="does not fit into maps of 2"):
        kernels.in_place_of(pool)(ms.ops.zeros((1, CIN, 2, 4)))


def test_a_pool_passes_on_what_is_no_number(kernels):
    x = np.zeros((1, CIN, 4, 4))
    x[0, 3, 2, 2] = np.nan
    pool = layers.ZeroPaddedPool()
    pool.fuse(kernels)
    for found in (pool(*tensors(x)).asnumpy(), plain(pool(*tensors(in_blocks(x, kernels.block))).asnumpy())):
        assert np.isnan(found[0, 3, 1, 1])
        assert np.isnan(found).sum() == 1


@pytest.mark.parametrize("size", [(13, 12), (1, 1), (40, 30)])
def test_means_of_maps(kernels, size):
    x, dy = arrays((2, CIN, *size), (2, CIN), seed=12)
    means = layers.Means()
    means.fuse(kernels)
    np.testing.assert_allclose(means(*tensors(x)).asnumpy(), x.mean((2, 3)), atol=1e-5)
    np.testing.assert_allclose(
        means(*tensors(in_blocks(x, kernels.block))).asnumpy(), x.mean((2, 3)), atol=1e-5
    )
    ((by_x,), _) = Gradients(means, dy)(*tensors(x))
    wanted = np.broadcast_to(dy[:, :, None, None], x.shape)
    np.testing.assert_allclose(by_x.asnumpy(), wanted / (size[0] * size[1]), rtol=1e-6)


def test_batch_norm_at_inference(kernels):
    """Ioffe and Szegedy 2015, algorithm 2."""
    x, gamma, beta, mean = arrays((2, CIN, 5, 3), CIN, CIN, CIN, seed=7)
    variance = np.random.default_rng(8).uniform(0.5, 2, CIN)
    for relu in (False, True):
        norm = nn.BatchNorm2d(CIN, eps=1e-3)
        for parameter, values in zip(
            (norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance), (gamma, beta, mean, variance)
        ):
            parameter.set_data(ms.Tensor(values, ms.float32))
        y = (x - as_channels(mean)) / np.sqrt(as_channels(variance) + 1e-3)
        y = y * as_channels(gamma) + as_channels(beta)
        found = kernels.norm(norm, relu).set_train(False)(*tensors(in_blocks(x, kernels.block))).asnumpy()
        np.testing.assert_allclose(plain(found), np.maximum(y, 0) if relu else y, atol=1e-5)


@pytest.mark.parametrize(("channels", "side"), [(64, 20), (192, 3), (1024, 2)])  # groups of 2, 6 and 32
def test_group_norm_at_inference(kernels, channels, side):
    """Wu and He, Group Normalization (2018), equations 1, 2, 6 and 7."""
    x, gamma, beta = arrays((2, channels, side, side), channels, channels, seed=9)
    x += 30  # a mean far from 0 is where sums of squares would lose
    cell = GroupNormReLU(channels, on_cpu=True)
    cell.fuse(kernels)
    cell.gamma.set_data(ms.Tensor(gamma, ms.float32))
    cell.beta.set_data(ms.Tensor(beta, ms.float32))
    unit = normed(x.reshape(2, 32, -1), 2, 1e-5).reshape(x.shape)
    wanted = np.maximum(unit * as_channels(gamma) + as_channels(beta), 0)
    found = cell(*tensors(in_blocks(x, kernels.block))).asnumpy()
    np.testing.assert_allclose(plain(found), wanted, atol=1e-4)


def as_at_the_end_of_a_training(network):
    rng = np.random.default_rng(3)
    for name, parameter in network.parameters_and_names():
        if name.endswith("moving_variance"):
            values = rng.uniform(0.5, 2, parameter.shape)
        elif name.endswith(("moving_mean", "beta", "classifier.weight", "classifier.bias")):
            values = rng.normal(0, 0.3, parameter.shape)
        else:
            continue
        parameter.set_data(ms.Tensor(values, ms.float32))
    return network.set_train(False)


def networks(net, library, wrap=lambda network: network):
    """A network as it trains, as it evaluates with the kernels, and images."""
    values = {
        option.name: option.default for option in config.read_schema(ROOT / config.DEFAULTS).options.values()
    }
    ms.set_seed(2)
    source = as_at_the_end_of_a_training(wrap(models.build(net, 16, values, on_cpu=True)))
    folded = wrap(models.build(net, 16, values, on_cpu=True))
    layers.fold(folded)
    cells.apply(folded, library)
    layers.refill(folded, source)
    x = np.random.default_rng(1).standard_normal((2, 3, SMALL[net], SMALL[net] + 4))
    return source.set_train(False), folded.set_train(False), x


def both(net, library):
    """The outputs of a network as it trains, and as it evaluates with the kernels."""
    *found, x = networks(net, library)
    return [cell(*tensors(x)).asnumpy() for cell in found]


@pytest.mark.parametrize("net", SMALL)
def test_a_network_has_the_same_function(library, net):
    wanted, found = both(net, library)
    assert np.abs(found - wanted).max() < 5e-5 * np.abs(wanted).max()


def test_on_a_cpu_with_avx2_blocks_have_8_channels(library):
    """DNNL_MAX_CPU_ISA is of oneDNN's document "CPU Dispatcher Control"."""
    program = (
        "import sys; from mindlift.models.cpu import blocks; from tests.unit.test_cpu_blocks import both;"
        "assert blocks.channels(sys.argv[1]) == 8, blocks.channels(sys.argv[1]);"
        "wanted, found = both('deeplab_v3_r26_s16', sys.argv[1]); print(abs(found - wanted).max() / abs(wanted).max())"
    )
    env = {**os.environ, "DNNL_MAX_CPU_ISA": "AVX2", "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    done = subprocess.run(
        [sys.executable, "-c", program, library], env=env, check=True, stdout=subprocess.PIPE, text=True
    )
    assert float(done.stdout) < 5e-5


def test_where_onednn_chooses_no_blocks_maps_stay_plain(library, monkeypatch):
    monkeypatch.setattr(blocks, "channels", lambda library: 0)
    wanted, found = both("deeplab_v3_r26_s16", library)
    assert np.abs(found - wanted).max() < 5e-5 * np.abs(wanted).max()


@pytest.mark.parametrize("net", ["resnet50", "densenet22"])
def test_feature_maps_are_plain(library, net):
    """Of (N, channels, H, W), as `feature_info` has the channels."""
    source, folded, x = networks(net, library)
    maps = FeatureMaps(source)
    for info, wanted, found in zip(maps.feature_info, maps(*tensors(x)), FeatureMaps(folded)(*tensors(x))):
        assert found.shape == wanted.shape
        assert found.shape[:2] == (2, info.channels)
        assert np.abs(found.asnumpy() - wanted.asnumpy()).max() < 5e-5 * np.abs(wanted.asnumpy()).max()


class Derived(resnet.ResNet):
    """As somebody derives one, whose own operators know plain maps alone."""

    def construct(self, x):
        return self.classifier(ms.ops.mean(self.features(x), (2, 3)))


def test_maps_are_plain_in_networks_that_somebody_derives(library):
    def derived(network):
        network.__class__ = Derived
        return network

    source, folded, x = networks("resnet50", library, derived)
    wanted = source(*tensors(x)).asnumpy()
    assert np.abs(folded(*tensors(x)).asnumpy() - wanted).max() < 5e-5 * np.abs(wanted).max()
    cells.apply(source, library)
    assert np.abs(source(*tensors(x)).asnumpy() - wanted).max() < 5e-5 * np.abs(wanted).max()
