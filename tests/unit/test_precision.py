"""Levels of mixed precision: what they cast, that names stay, and that folded networks are the networks."""

from __future__ import annotations

import mindspore as ms
import numpy as np
import pytest

from mindlift import models
from mindlift.model_utils.config import config
from mindlift.models import layers, precision
from mindlift.models.bit.cells import GroupNormReLU, StandardisedConv
from mindlift.models.bit.network import BigTransfer, Options
from mindlift.models.layers import ConvNorm

RNG = np.random.default_rng(5)
BLOCK = {"eps": 1e-5, "momentum": 0.9, "init": "normal"}
HALF_PRECISION = 0.02  # of the largest logit: some tens of roundings to 11 bits
OF_BIT = 0.06  # group norms enlarge what differs in networks that were not trained


def small_bit(on_cpu: bool) -> ms.nn.Cell:
    network = BigTransfer((1, 1, 1, 1), 1, 5, Options(), on_cpu)
    network.classifier.weight.set_data(
        ms.Tensor(RNG.normal(size=network.classifier.weight.shape), ms.float32)
    )
    return network


def built(net: str, on_cpu: bool) -> ms.nn.Cell:
    if net == "bit":
        return small_bit(on_cpu)
    options = config.load(
        ["--net", "densenet22", "--dataset", "digits"]
    ).to_dict()  # defaults, of all families
    return models.build(net, 5, options, on_cpu=on_cpu)


def with_statistics(network: ms.nn.Cell) -> ms.nn.Cell:
    """Batch norms as after a training: with statistics that are not 0 and 1."""
    rng = np.random.default_rng(1)
    for parameter in network.get_parameters():
        if parameter.name.endswith("moving_variance"):
            parameter.set_data(ms.Tensor(rng.uniform(0.5, 2, parameter.shape), ms.float32))
        elif parameter.name.endswith(("moving_mean", "beta")):
            parameter.set_data(ms.Tensor(0.1 * rng.normal(size=parameter.shape), ms.float32))
    return network


def logits(network: ms.nn.Cell, images: np.ndarray) -> np.ndarray:
    found = network.set_train(False)(ms.Tensor(images, ms.float32))
    assert found.dtype == ms.float32
    return found.asnumpy()


def difference(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


SIDES = {
    "densenet22": 16,
    "deeplab_v3_r26_s16": 33,
    "bit": 32,
    "resnet50": 32,
    "densenet121": 32,
    "inception_v4": 75,
}
QUICK = (("densenet22", True), ("deeplab_v3_r26_s16", False), ("bit", False))
FAMILIES = [
    pytest.param(net, side, on_cpu, marks=[] if (net, on_cpu) in QUICK else pytest.mark.heavy)
    for net, side in SIDES.items()
    for on_cpu in (True, False)
]


@pytest.mark.parametrize(("net", "side", "on_cpu"), FAMILIES)
def test_folded_is_plain_at_every_level(net, side, on_cpu):
    """And every level computes what float32 does, within half precision."""
    images = RNG.normal(size=(1, 3, side, side)).astype(np.float32)
    source = with_statistics(built(net, on_cpu))
    exact, names = logits(source, images), list(source.parameters_dict())
    for level in precision.LEVELS:
        plain, folded = (built(net, on_cpu) for _ in range(2))
        if any(layers.foldable(folded)):
            layers.fold(folded)
            precision.apply(folded, level)
        else:
            folded = plain
        precision.apply(plain, level)
        assert list(plain.parameters_dict()) == names
        for parameter, value in zip(plain.get_parameters(), source.get_parameters()):
            parameter.set_data(ms.Tensor(value.asnumpy()))
        layers.refill(folded, plain)
        found = logits(plain, images)
        allowed = OF_BIT if net == "bit" else HALF_PRECISION
        if level == "O0":
            assert (found == exact).all()
        else:
            assert 0 < difference(found, exact) < allowed
        assert difference(logits(folded, images), found) < (1e-5 if level == "O0" else allowed)


@pytest.mark.parametrize(
    ("level", "conv", "norm", "relu"),
    [
        ("O0", "", "", ""),
        ("O1", "fp16", "fp32", "fp32"),
        ("O2", "fp16", "fp32", "fp16"),
        ("O3", "fp16", "", "fp16"),
    ],
)
def test_what_a_level_casts(level, conv, norm, relu):
    cell = precision.apply(ConvNorm(3, 4, 3, **BLOCK), level)

    def flag(part: ms.nn.Cell) -> str:
        return next((name for name in ("fp16", "fp32") if part.get_flags().get(name)), "")

    assert (flag(cell.conv), flag(cell.norm), flag(cell.relu)) == (conv, norm, relu)


@pytest.mark.parametrize(
    ("level", "conv", "norm", "relu"),
    [("O1", "bf16", "fp32", "fp32"), ("O2", "bf16", "fp32", "bf16"), ("O3", "bf16", "fp32", "bf16")],
)
def test_bfloat16_takes_the_place_of_float16(level, conv, norm, relu):
    """As the dtype of mindspore.amp.auto_mixed_precision does; what computes by itself is told the same type.

    But batch norms stay float32 at O3: ops.BatchNorm refuses bfloat16 when its types are inferred, on every device.
    """
    cell = precision.apply(ConvNorm(3, 4, 3, **BLOCK), level, "bfloat16")
    parts = [cell.conv, cell.norm, cell.relu]
    flags = [[name for name in ("fp16", "fp32", "bf16") if part.get_flags().get(name)] for part in parts]
    assert ["".join(each) for each in flags] == [conv, norm, relu]
    own = precision.apply(StandardisedConv(4, 6, 3, eps=1e-10), level, "bfloat16")
    assert (own.matrices, own.maps) == (ms.bfloat16, ms.float32 if level == "O1" else ms.bfloat16)


def test_a_level_that_is_none():
    with pytest.raises(ValueError, match="O4"):
        precision.apply(ConvNorm(3, 4, 3, **BLOCK), "O4")


def test_large_statistics_stay_float32_at_o3():
    """A moving variance of 1e6, beyond float16, as of a net that sees values from 0 to 255."""
    cell = ConvNorm(3, 4, 3, **BLOCK)
    cell.norm.moving_variance.set_data(ms.Tensor(np.full(4, 1e6), ms.float32))
    images = RNG.uniform(0, 255, (1, 3, 8, 8)).astype(np.float32)
    exact = cell.set_train(False)(ms.Tensor(images)).asnumpy()
    half = precision.apply(ConvNorm(3, 4, 3, **BLOCK), "O3")
    for parameter, value in zip(half.get_parameters(), cell.get_parameters()):
        parameter.set_data(ms.Tensor(value.asnumpy()))
    found = half.set_train(False)(ms.Tensor(images)).asnumpy()
    assert exact.max() > 0
    assert difference(found.astype(np.float32), exact) < HALF_PRECISION


@pytest.mark.parametrize("on_cpu", [True, False])
def test_small_weights_are_standardised_in_float32(on_cpu):
    """Weights around 1e-5, whose squares are 0 in float16 (Qiao et al. 2019, equation 1, in NumPy)."""
    cell = StandardisedConv(4, 6, 3, eps=1e-10, on_cpu=on_cpu)
    weight = RNG.normal(scale=1e-3, size=(6, 4, 3, 3)).astype(np.float32)
    cell.weight.set_data(ms.Tensor(weight))
    precision.apply(cell, "O3")
    images = RNG.normal(size=(1, 4, 5, 5)).astype(np.float32)
    rows = weight.reshape(6, -1).astype(np.float64)
    unit = (rows - rows.mean(1, keepdims=True)) / np.sqrt(rows.var(1, keepdims=True) + 1e-10)
    padded = np.pad(images[0], ((0, 0), (1, 1), (1, 1)))
    expected = np.array([[(unit[k].reshape(4, 3, 3) * padded[:, 1:4, 2:5]).sum()] for k in range(6)]).ravel()
    found = cell.set_train(False)(ms.Tensor(images)).asnumpy()[0, :, 1, 2]
    np.testing.assert_allclose(found, expected, rtol=0.01, atol=0.02)


@pytest.mark.parametrize("on_cpu", [True, False])
def test_statistics_of_group_norms_are_float32(on_cpu):
    """Values of 300, whose squares are beyond float16 (Wu and He 2018, equation 1, in NumPy)."""
    cell = precision.apply(GroupNormReLU(32, on_cpu=on_cpu), "O3")
    images = (300 + RNG.normal(size=(1, 32, 16, 16))).astype(np.float16)
    rows = images.astype(np.float64).reshape(32, -1)
    expected = (rows - rows.mean(1, keepdims=True)) / np.sqrt(rows.var(1, keepdims=True) + 1e-5)
    found = cell.set_train(False)(ms.Tensor(images))
    assert found.dtype == ms.float16
    np.testing.assert_allclose(found.asnumpy().reshape(32, -1), np.maximum(expected, 0), rtol=0.01, atol=0.02)


def test_refill_wants_every_value_and_uses_every_value():
    source, folded = ConvNorm(3, 4, 3, **BLOCK), ConvNorm(3, 4, 3, **BLOCK)
    whole = ms.nn.SequentialCell(source)
    lacking, more = (
        ms.nn.SequentialCell(folded),
        ms.nn.SequentialCell(ConvNorm(3, 4, 3, **BLOCK), ms.nn.Dense(4, 4)),
    )
    layers.fold(lacking)
    layers.fold(more)
    layers.refill(lacking, whole)
    with pytest.raises(KeyError, match=r"differ in 1\.bias, 1\.weight"):
        layers.refill(more, whole)
    with pytest.raises(KeyError, match=r"differ in 1\.bias, 1\.weight"):
        layers.refill(lacking, ms.nn.SequentialCell(source, ms.nn.Dense(4, 4)))


@pytest.mark.parametrize("size", [(8, 8), (7, 10), (33, 12)])
def test_a_border_of_zeros_is_the_padding_of_a_pool_behind_a_relu(size):
    images = ms.Tensor(np.maximum(RNG.normal(size=(2, 4, *size)), 0), ms.float32)
    gradients = []
    for on_cpu in (True, False):
        pool = layers.stem_pool("sym", on_cpu)
        outputs, gradient = ms.value_and_grad(pool, 0)(images)
        gradients.append((outputs.asnumpy(), gradient.asnumpy()))
    np.testing.assert_array_equal(gradients[0][0], gradients[1][0])
    moved = np.abs(gradients[0][1] - gradients[1][1]) > 0
    assert not images.asnumpy()[moved].any(), "only where a window holds nothing but zeros"


@pytest.mark.parametrize(
    ("level", "of_norm", "of_pool"),
    [
        ("O0", ms.float16, ms.float16),  # as they come
        ("O1", ms.float32, ms.float32),
        ("O2", ms.float32, ms.float16),
        ("O3", ms.float16, ms.float16),
    ],
)
def test_layer_norms_are_computed_as_batch_norms_are(level, of_norm, of_pool):
    """mindspore.amp's O2 leaves both in float32 (train/amp.py, AMP_BLACK_LIST)."""
    norms = [ms.nn.LayerNorm((4,)), ms.nn.ReLU()]
    for cell in norms:
        precision.apply(cell, level)
    x = ms.Tensor(RNG.normal(size=(2, 3, 4)), ms.float16)
    if level == "O0":
        norms[0] = norms[0].to_float(ms.float16)  # its kernel does not mix types
    found = [cell(x).dtype for cell in norms]
    assert found == [of_norm, of_pool]
