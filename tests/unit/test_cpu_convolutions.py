"""Convolutions by oneDNN's formats against their definition, in NumPy and float64."""

import ctypes
import threading

import mindspore as ms
import mindspore.nn as nn
import numpy as np
import pytest

from mindlift.model_utils import cpu_kernels
from mindlift.model_utils.compiler import NotCompiled
from mindlift.models.bit.cells import StandardisedConv
from mindlift.models.cpu import cells
from mindlift.models.densenet.network import NarrowingConv
from tests.unit.test_cpu_kernels import Gradients, arrays, as_channels, tensors

PAD = {"pad_mode": "pad"}
GEOMETRIES = {
    "3x3": {"kernel_size": 3, "padding": 1, **PAD},
    "3x3 of stride 2": {"kernel_size": 3, "stride": 2, "padding": 1, **PAD},
    "3x3 same": {"kernel_size": 3, "stride": 2, "pad_mode": "same"},
    "3x3 valid": {"kernel_size": 3, "stride": 2, "pad_mode": "valid"},
    "1x7": {"kernel_size": (1, 7), "pad_mode": "same"},
    "uneven": {"kernel_size": 3, "padding": (0, 1, 2, 1), **PAD},
    "stem": {"kernel_size": 7, "stride": 2, "padding": 3, **PAD},
    "1x1": {"kernel_size": 1},
    "1x1 of stride 2": {"kernel_size": 1, "stride": 2},
    "dilated": {"kernel_size": 3, "dilation": 2, "padding": 2, **PAD},
    "far": {"kernel_size": 3, "dilation": 6, "padding": 6, **PAD},  # rectangles, from here on
    "the middle only": {"kernel_size": 3, "dilation": 13, "pad_mode": "same"},
    "far and uneven": {"kernel_size": 3, "dilation": 5, "padding": (3, 9, 4, 2), **PAD},
    "dilated in height": {"kernel_size": (3, 1), "dilation": (12, 1), "padding": (12, 12, 0, 0), **PAD},
    "groups": {"kernel_size": 3, "padding": 1, "group": 4, **PAD},
    "depthwise": {"kernel_size": 3, "stride": 2, "padding": 1, "group": 12, **PAD},
}
WIDE, HIGH = 13, 12


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return str(cpu_kernels.library(tmp_path_factory.mktemp("kernels"), (2, 8)))


def sides(conv, shape):
    """(before, after) of height and width; "same" as TensorFlow's documents have it (tf.nn.convolution, notes on padding)."""
    if conv.pad_mode == "valid":
        return (0, 0), (0, 0)
    if conv.pad_mode == "pad":
        top, bottom, left, right = conv.padding if isinstance(conv.padding, tuple) else (conv.padding,) * 4
        return (top, bottom), (left, right)
    found = []
    for size, kernel, stride, dilation in zip(
        shape, conv.kernel_size, cells.pair(conv.stride), cells.pair(conv.dilation)
    ):
        total = max((-(-size // stride) - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
        found.append((total // 2, total - total // 2))
    return tuple(found)


class Definition:
    """y[n, o, h, w] = sum of weight[o, c, i, j] * x[n, c, h * stride + i * dilation - pad, ...] (Goodfellow et al. 2016, (9.8))."""

    def __init__(self, conv, x):
        (self.top, self.bottom), (self.left, self.right) = sides(conv, x.shape[2:])
        self.conv, self.shape = conv, x.shape
        self.padded = np.pad(x, ((0, 0), (0, 0), (self.top, self.bottom), (self.left, self.right)))
        strides, dilations = cells.pair(conv.stride), cells.pair(conv.dilation)
        spans = [(k - 1) * d + 1 for k, d in zip(conv.kernel_size, dilations)]
        self.size = [(s - span) // t + 1 for s, span, t in zip(self.padded.shape[2:], spans, strides)]
        self.strides, self.dilations = strides, dilations

    def seen(self, i, j):
        """Where the weight (i, j) looks, in the padded images."""
        places = []
        for k, size, stride, dilation in zip((i, j), self.size, self.strides, self.dilations):
            places.append(slice(k * dilation, k * dilation + (size - 1) * stride + 1, stride))
        return (slice(None), slice(None), *places)

    def grouped(self, values, axis):
        g = self.conv.group
        return np.stack(np.split(values, g, axis), 0)

    def each(self):
        height, width = self.conv.kernel_size
        return [(i, j) for i in range(height) for j in range(width)]

    def output(self, weight):
        total = 0
        for i, j in self.each():
            x, w = self.grouped(self.padded[self.seen(i, j)], 1), self.grouped(weight[:, :, i, j], 0)
            total = total + np.concatenate(np.einsum("gnchw,goc->gnohw", x, w), 1)
        return total

    def gradients(self, weight, dy):
        """By the images and by the weight, of sum(y * dy)."""
        dx, dweight = np.zeros_like(self.padded), np.zeros_like(weight)
        dys = self.grouped(dy, 1)
        for i, j in self.each():
            x, w = self.grouped(self.padded[self.seen(i, j)], 1), self.grouped(weight[:, :, i, j], 0)
            dx[self.seen(i, j)] += np.concatenate(np.einsum("gnohw,goc->gnchw", dys, w), 1)
            dweight[:, :, i, j] = np.concatenate(np.einsum("gnohw,gnchw->goc", dys, x), 0)
        height, width = self.shape[2:]
        return dx[:, :, self.top : self.top + height, self.left : self.left + width], dweight


def assert_close(found, wanted):
    """To the rounding of a sum of some hundred products in float32."""
    np.testing.assert_allclose(found.asnumpy(), wanted, rtol=1e-5, atol=3e-4)


def convolution(name, has_bias=False):
    made = nn.Conv2d(12, 12 if name == "depthwise" else 20, **GEOMETRIES[name], has_bias=has_bias)
    rng = np.random.default_rng(4)
    weight = rng.standard_normal(made.weight.shape)
    made.weight.set_data(ms.Tensor(weight, ms.float32))
    return made, weight


@pytest.mark.parametrize("name", GEOMETRIES)
def test_a_convolution_and_its_gradients_are_those_of_the_definition(library, name):
    conv, weight = convolution(name)
    (x,) = arrays((3, 12, HIGH, WIDE), seed=5)
    wanted = Definition(conv, x)
    cells.apply(nn.SequentialCell(conv), library)
    assert isinstance(conv.conv2d, cells.Convolution)
    y = conv(*tensors(x))
    assert_close(y, wanted.output(weight))
    (dy,) = arrays(y.shape, seed=6)
    (by_x,), (by_weight,) = Gradients(conv, dy)(*tensors(x))
    dx, dweight = wanted.gradients(weight, dy)
    assert_close(by_x, dx)
    assert_close(by_weight, dweight)


@pytest.mark.parametrize("kind", ["bias", "relu", "add"])
@pytest.mark.parametrize("name", ["3x3", "1x1", "1x1 of stride 2", "far", "depthwise"])
def test_bias_sum_and_relu_behind_a_convolution(library, name, kind):
    conv, weight = convolution(name)
    (x,) = arrays((3, 12, HIGH, WIDE), seed=5)
    y = Definition(conv, x).output(weight)
    bias, other = arrays(y.shape[1], y.shape, seed=7)
    more = [other] if kind == "add" else []
    operator = cells.Kernels(library).convolution_bias(conv, relu=kind != "bias", adds=kind == "add")
    before = [ms.Tensor(value, ms.float32) for value in (x, weight, bias, *more)]
    found = operator(*before)
    wanted = y + as_channels(bias) + (other if kind == "add" else 0)
    assert_close(found, wanted if kind == "bias" else np.maximum(wanted, 0))
    for tensor, value in zip(before, (x, weight, bias, *more)):
        np.testing.assert_array_equal(tensor.asnumpy(), np.asarray(value, np.float32))


def test_maps_of_more_than_100_pixels_and_of_fewer_are_the_same_to_a_1x1_convolution(library):
    conv, weight = convolution("1x1")
    cells.apply(nn.SequentialCell(conv), library)
    for height in (5, 40):
        (x,) = arrays((2, 12, height, 7), seed=8)
        np.testing.assert_allclose(conv(*tensors(x)).asnumpy(), Definition(conv, x).output(weight), atol=1e-4)


def test_a_bias_stays(library):
    conv, weight = convolution("3x3", has_bias=True)
    (x, bias) = arrays((2, 12, 9, 9), 20, seed=9)
    conv.bias.set_data(ms.Tensor(bias, ms.float32))
    cells.apply(nn.SequentialCell(conv), library)
    wanted = Definition(conv, x).output(weight) + as_channels(bias)
    assert_close(conv(*tensors(x)), wanted)


def test_the_convolutions_of_bit_and_densenet_are_replaced(library):
    standardised = StandardisedConv(12, 8, 3, eps=1e-10, on_cpu=True)
    narrowing = NarrowingConv(12, 4)
    (x,) = arrays((2, 12, 9, 9), seed=10)
    before = [cell(*tensors(x)).asnumpy() for cell in (standardised, narrowing)]
    cells.apply(nn.SequentialCell(standardised, narrowing), library)
    assert isinstance(standardised.conv2d, cells.Convolution)
    assert isinstance(narrowing.kernel, cells.Convolution)
    for cell, wanted in zip((standardised, narrowing), before):
        assert_close(cell(*tensors(x)), wanted)


def call(library, name, arrays_of):
    """A kernel by the interface of MindSpore's ops.Custom, type "aot" (its API document)."""
    count = len(arrays_of)
    shapes = [(ctypes.c_int64 * array.ndim)(*array.shape) for array in arrays_of]
    pointers = (ctypes.c_void_p * count)(*(array.ctypes.data for array in arrays_of))
    sizes = (ctypes.c_void_p * count)(*(ctypes.addressof(shape) for shape in shapes))
    dimensions = (ctypes.c_int * count)(*(array.ndim for array in arrays_of))
    return getattr(ctypes.CDLL(library), name)(count, pointers, dimensions, sizes, None, None, None)


def test_several_threads_compute_at_once(library):
    conv, weight = convolution("3x3")
    (x,) = arrays((2, 12, 9, 9), seed=11)
    wanted = Definition(conv, x).output(weight)
    numbers = np.array([1, 1, 1, 1, 1, 1, 1, 1, 1], np.float32)
    found = [np.zeros(wanted.shape, np.float32) for _ in range(16)]
    inputs = [np.asarray(value, np.float32) for value in (x, weight)]
    codes = []
    threads = [
        threading.Thread(
            target=lambda y: codes.append(call(library, "convolution", [*inputs, numbers, y])), args=(y,)
        )
        for y in found
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == [0] * 16
    for y in found:
        np.testing.assert_allclose(y, wanted, atol=1e-4)


def test_what_can_not_be_computed_is_a_code(library):
    x, weight, y = (np.zeros(shape, np.float32) for shape in ((1, 12, 9, 9), (20, 12, 3, 3), (1, 20, 4, 4)))
    numbers = np.array([1, 1, 1, 1, 0, 0, 0, 0, 1], np.float32)  # of 7 x 7 outputs
    assert call(library, "convolution", [x, weight, numbers, y]) == 1


@pytest.mark.parametrize("name", ["3x3", "1x1", "far"])
def test_the_same_bits_on_one_thread_and_on_two(library, name):
    conv, weight = convolution(name)
    (x,) = arrays((4, 12, HIGH, WIDE), seed=12)
    dy = Definition(conv, x).output(weight)
    numbers = cells.Geometry(conv).numbers.asnumpy()
    inputs = [np.asarray(value, np.float32) for value in (dy, x, weight)]
    openmp, found = ctypes.CDLL("libgomp.so.1"), []
    before = openmp.omp_get_max_threads()
    try:
        for threads in (1, 2):
            openmp.omp_set_num_threads(threads)
            found.append(np.zeros(weight.shape, np.float32))
            assert call(library, "convolution_of_weights", [*inputs, numbers, found[-1]]) == 0
    finally:
        openmp.omp_set_num_threads(before)
    np.testing.assert_array_equal(*found)


def test_another_onednn_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setattr(cpu_kernels, "INTERFACE", (3, 10))
    with pytest.raises(NotCompiled, match=r"this MindSpore's oneDNN is 2\.2, not 3\.10"):
        cpu_kernels.library(tmp_path, (2, 8))


def test_without_onednn_there_are_no_kernels(tmp_path, monkeypatch):
    monkeypatch.setattr(cpu_kernels, "ONEDNN", "lib/libdnnl.so.9")
    with pytest.raises(NotCompiled, match=r"this MindSpore has no lib/libdnnl\.so\.9"):
        cpu_kernels.library(tmp_path, (2, 8))
