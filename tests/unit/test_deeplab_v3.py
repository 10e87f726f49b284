"""DeepLabV3 against a reference in NumPy that knows nothing of it but the paper, and its options."""

from __future__ import annotations

import mindspore as ms
import numpy as np
import pytest
from mindspore.common.initializer import Normal

from mindlift import models
from mindlift.errors import CheckpointError, ConfigError
from mindlift.model_utils import devices
from mindlift.model_utils.config import config
from mindlift.models import layers
from mindlift.models.deeplab_v3 import network as deeplab
from mindlift.models.layers import ConvNorm
from mindlift.runs import checkpoint
from mindlift.tasks import network as build
from tests.golden.weights import seeded
from tests.unit.test_layers import with_statistics
from tests.unit.test_models import DEFAULTS

SMALL = "deeplab_v3_r26_s16"
BLOCK = {"eps": 1e-5, "momentum": 0.9, "init": Normal(0.3)}


def conv(x: np.ndarray, weight: np.ndarray, stride: int = 1, dilation: int = 1) -> np.ndarray:
    """Zero-padded by as much as an odd kernel needs, one product of matrices for each of its weights' places."""
    pad, (n, _, height, width) = weight.shape[2] // 2 * dilation, x.shape
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    high, wide = (height - 1) // stride + 1, (width - 1) // stride + 1
    found = np.zeros((n, len(weight), high, wide), np.float32)
    for i in range(weight.shape[2]):
        for j in range(weight.shape[3]):
            seen = padded[:, :, i * dilation :: stride, j * dilation :: stride][:, :, :high, :wide]
            found += np.einsum("oc,nchw->nohw", weight[:, :, i, j], seen, optimize=True)
    return found


def max_pool(x: np.ndarray) -> np.ndarray:
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    high, wide = (x.shape[2] - 1) // 2 + 1, (x.shape[3] - 1) // 2 + 1
    places = [(i, j) for i in range(3) for j in range(3)]
    return np.max([padded[:, :, i::2, j::2][:, :, :high, :wide] for i, j in places], 0)


def line(values: np.ndarray, place: float) -> np.ndarray:
    """Linear interpolation in the last axis; what is outside is the value at the end."""
    place = min(max(place, 0.0), values.shape[-1] - 1.0)
    low = int(place)
    high = min(low + 1, values.shape[-1] - 1)
    return values[..., low] * (1 - (place - low)) + values[..., high] * (place - low)


def bilinear(x: np.ndarray, height: int, width: int, is_aligned: bool) -> np.ndarray:
    def place(i: int, size: int, new: int) -> float:
        return i * (size - 1) / max(new - 1, 1) if is_aligned else (i + 0.5) * size / new - 0.5

    wide = np.stack([line(x, place(j, x.shape[3], width)) for j in range(width)], -1)
    high = [line(wide.swapaxes(2, 3), place(i, x.shape[2], height)) for i in range(height)]
    return np.stack(high, 2)


class Reference:
    """DeepLabV3 at inference of named weights; `stages` are a stride and the dilation of each block, written out."""

    def __init__(self, weights: dict, stages: list, rates: tuple, is_torchvision: bool):
        self.weights, self.stages, self.rates, self.is_torchvision = weights, stages, rates, is_torchvision

    def conv_norm(self, x, name, stride=1, dilation=1, relu=True):
        norm = [
            self.weights[f"{name}.norm.{part}"]
            for part in ("gamma", "beta", "moving_mean", "moving_variance")
        ]
        gamma, beta, mean, variance = (part[:, None, None] for part in norm)
        x = conv(x, self.weights[f"{name}.conv.weight"], stride, dilation)
        x = (x - mean) / np.sqrt(variance + 1e-5) * gamma + beta
        return np.maximum(x, 0) if relu else x

    def block(self, x, name, stride, dilation):
        y = self.conv_norm(x, f"{name}.conv1")
        y = self.conv_norm(y, f"{name}.conv2", stride, dilation)
        y = self.conv_norm(y, f"{name}.conv3", relu=False)
        if f"{name}.shortcut.conv.weight" in self.weights:
            x = self.conv_norm(x, f"{name}.shortcut", stride, relu=False)
        return np.maximum(x + y, 0)

    def __call__(self, images):
        x = max_pool(self.conv_norm(images, "stem", 2))
        for s, (stride, dilations) in enumerate(self.stages):
            for b, dilation in enumerate(dilations):
                x = self.block(x, f"stages.{s}.{b}", 1 if b else stride, dilation)
        found = [self.conv_norm(x, "aspp.branches.0")]
        found += [
            self.conv_norm(x, f"aspp.branches.{i + 1}", dilation=rate) for i, rate in enumerate(self.rates)
        ]
        whole = self.conv_norm(x.mean((2, 3), keepdims=True), "aspp.pooled")
        x = self.conv_norm(
            np.concatenate([*found, np.broadcast_to(whole, found[0].shape)], 1), "aspp.project"
        )
        if self.is_torchvision:
            x = self.conv_norm(x, "last")
        x = conv(x, self.weights["classifier.weight"]) + self.weights["classifier.bias"][:, None, None]
        return bilinear(x, *images.shape[2:], not self.is_torchvision)


# Stages and rates as the paper (3.2, 4.2) and torchvision's _make_layer have them, for ResNet-50.
PLANS = {
    "deeplab_v3_r50_s16": ([(1, (1,) * 3), (2, (1,) * 4), (2, (1,) * 6), (1, (2, 4, 8))], (6, 12, 18)),
    "deeplab_v3_r50_s8": ([(1, (1,) * 3), (2, (1,) * 4), (1, (2,) * 6), (1, (4, 8, 16))], (6, 12, 18)),
    "deeplab_v3_r50_tv": (
        [(1, (1,) * 3), (2, (1,) * 4), (1, (1, 2, 2, 2, 2, 2)), (1, (2, 4, 4))],
        (12, 24, 36),
    ),
}


@pytest.mark.parametrize("net", PLANS)
def test_logits_are_those_of_the_reference(net):
    """On a map of 9 x 11 or 5 x 6, where every dilation but the largest moves something; height is not width."""
    built = models.build(net, 4, DEFAULTS, on_cpu=True).set_train(False)
    for name, parameter in built.parameters_dict().items():
        parameter.set_data(ms.Tensor(seeded.tensor(name, parameter.shape)))
    weights = {name: parameter.asnumpy() for name, parameter in built.parameters_dict().items()}
    images = np.random.default_rng(0).normal(size=(1, 3, 67, 83)).astype(np.float32)
    expected = Reference(weights, *PLANS[net], net.endswith("tv"))(images)
    found = built(ms.Tensor(images)).asnumpy()
    assert found.shape == (1, 4, 67, 83)
    assert expected.std((2, 3)).min() > 1e-3 * np.abs(expected).max(), "places differ"
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("net", "strides", "dilations"),
    [
        ("deeplab_v3_s16", [1, 2, 2, 1], [{1}, {1}, {1}, (2, 4, 8)]),
        ("deeplab_v3_s8", [1, 2, 1, 1], [{1}, {1}, {2}, (4, 8, 16)]),
        ("deeplab_v3_r26_s8", [1, 2, 1, 1], [{1}, {1}, {2}, (4, 8)]),
    ],
)
def test_strides_and_dilations(net, strides, dilations):
    plan = deeplab.plan_of(deeplab.VARIANTS[net])
    assert [stride for stride, _ in plan] == strides
    assert [set(found) for _, found in plan[:3]] == dilations[:3]
    assert plan[3][1] == dilations[3]
    assert [len(found) for _, found in plan] == list(deeplab.VARIANTS[net].blocks)


@pytest.mark.parametrize("is_aligned", [True, False])
@pytest.mark.parametrize(
    ("size", "new"), [((3, 5), (17, 33)), ((1, 1), (9, 4)), ((5, 4), (5, 3)), ((4, 2), (2, 1))]
)
def test_logits_are_enlarged_bilinearly(size, new, is_aligned):
    x = np.random.default_rng(0).normal(size=(2, 3, *size)).astype(np.float32)
    expected = bilinear(x, *new, is_aligned)
    found = deeplab.enlarged(ms.Tensor(x, ms.float16), *new, is_aligned)
    assert found.dtype == ms.float32
    np.testing.assert_allclose(found.asnumpy(), expected, atol=2e-3)
    np.testing.assert_allclose(
        deeplab.enlarged(ms.Tensor(x), *new, is_aligned).asnumpy(), expected, atol=1e-5
    )


def test_a_dilation_as_large_as_the_map_is_its_middle_weight_forward_and_backward():
    rng = np.random.default_rng(0)
    short, plain = deeplab.FarConvNorm(4, 3, 3, dilation=6, **BLOCK), ConvNorm(4, 3, 3, dilation=6, **BLOCK)
    plain.conv.weight.set_data(short.conv.weight)
    for size in ((5, 6), (5, 7)):
        x, seen = (ms.Tensor(rng.normal(size=(2, c, *size)), ms.float32) for c in (4, 3))
        results = []
        for cell in (short, plain):
            of = ms.grad(lambda x, cell=cell, seen=seen: (cell(x) * seen).sum(), 0, cell.trainable_params())
            of_x, of_weights = of(x)
            results.append([cell(x).asnumpy(), of_x.asnumpy(), *(part.asnumpy() for part in of_weights)])
        for one, other in zip(*results):
            assert np.abs(other).max() > 0.1
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def test_the_folded_network_has_the_same_logits():
    source, folded = (models.build(SMALL, 3, DEFAULTS, on_cpu=True).set_train(False) for _ in range(2))
    layers.fold(folded)
    layers.refill(folded, with_statistics(source))
    assert not [name for name in folded.parameters_dict() if "norm" in name]
    for side in ((65, 49), (97, 113)):  # maps of 5 x 4 and 7 x 8: all rates reach beyond, and 6 does not
        images = ms.Tensor(np.random.default_rng(0).normal(size=(1, 3, *side)), ms.float32)
        expected = source(images).asnumpy()
        np.testing.assert_allclose(
            folded(images).asnumpy(), expected, rtol=0, atol=1e-4 * np.abs(expected).max()
        )


def test_the_share_that_is_dropped_and_the_rates_are_options():
    def of(net, **options):
        built = models.build(net, 2, {**DEFAULTS, **options})
        return built.dropout.p, [branch.conv.dilation[0] for branch in built.aspp.branches]

    assert of("deeplab_v3_r26_s8") == (0.7, [1, 6, 12, 18]), "as in the published checkpoints"
    assert of(SMALL, dropout=0.1, aspp_rates=" 1, 2,30") == (0.1, [1, 1, 2, 30])
    assert of("deeplab_v3_r50_tv") == (0.5, [1, 12, 24, 36])
    for net, rates in ((SMALL, (6, 12, 18)), ("deeplab_v3_r26_s8", (12, 24, 36))):
        assert deeplab.rates_of("paper", deeplab.VARIANTS[net]) == rates


@pytest.mark.parametrize("text", ["6,12", "6,12,18,24", "0,1,2", "a,b,c", "6;12;18", "", "6,-1,2", "Paper"])
def test_rates_that_are_none_are_one_line(text):
    cfg = configuration(SMALL, 2, aspp_rates=text)
    with pytest.raises(ConfigError, match=r"^--aspp_rates .*: expected three numbers .*, or paper$"):
        build.network(cfg, devices.of(devices.CPU))


def test_dropping_happens_in_training_only():
    built = models.build(SMALL, 2, DEFAULTS).set_train(False)
    dropped = built.dropout
    x = ms.ops.ones((4, 256, 8, 8), ms.float32)
    assert (dropped(x) == 1).all()
    kept = (dropped.set_train()(x).asnumpy() != 0).mean()
    assert kept == pytest.approx(0.3, abs=0.02)


def test_frozen_norms_use_their_statistics_and_do_not_move_them():
    """Gradients against the affine map that such a norm is; Ioffe and Szegedy (2015), section 3.1."""
    cell = with_statistics(ConvNorm(3, 4, 1, relu=False, is_frozen=True, **BLOCK)).set_train()
    rng = np.random.default_rng(1)
    x, seen = (rng.normal(size=(8, c, 6, 5)).astype(np.float32) for c in (3, 4))
    norm, weight = cell.norm, cell.conv.weight.asnumpy()[:, :, 0, 0]
    before = [norm.moving_mean.asnumpy().copy(), norm.moving_variance.asnumpy().copy()]
    wide = ms.Tensor(seen)

    def loss(x):
        return (cell(x) * wide).sum()

    of_x, of_weights = ms.grad(loss, 0, cell.trainable_params())(ms.Tensor(x))
    gradients = {p.name.rpartition(".")[2]: g.asnumpy() for p, g in zip(cell.trainable_params(), of_weights)}
    deviation = np.sqrt(before[1] + norm.eps)
    mixed = np.einsum("oc,nchw->nohw", weight, x)
    normal = (mixed - before[0][:, None, None]) / deviation[:, None, None]
    scaled = seen * (norm.gamma.asnumpy() / deviation)[:, None, None]
    np.testing.assert_allclose(gradients["gamma"], (seen * normal).sum((0, 2, 3)), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(gradients["beta"], seen.sum((0, 2, 3)), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(
        of_x.asnumpy(), np.einsum("oc,nohw->nchw", weight, scaled), rtol=1e-3, atol=1e-3
    )
    for value, now in zip(before, (norm.moving_mean, norm.moving_variance)):
        np.testing.assert_array_equal(now.asnumpy(), value)


def test_freeze_bn_is_every_norm_of_the_network_and_nothing_else():
    plain, frozen = (models.build(SMALL, 2, {**DEFAULTS, "freeze_bn": on}) for on in (False, True))
    for built, value in ((plain, None), (frozen, False)):
        found = [cell.norm.use_batch_statistics for _, cell in layers.foldable(built)]
        assert found == [value] * 35
    names = [[p.name for p in built.trainable_params()] for built in (plain, frozen)]
    assert names[0] == names[1]


def test_weights_begin_as_asked_for():
    he, xavier = (models.build(SMALL, 2, {**DEFAULTS, "weight_init": way}) for way in ("he", "xavier"))
    bound = np.sqrt(6 / (9 * (512 + 64)))
    found = xavier.aspp.branches[1].conv.weight.asnumpy()
    assert np.abs(found).max() == pytest.approx(bound, rel=0.01)
    found = he.aspp.branches[1].conv.weight.asnumpy()
    assert found.std() == pytest.approx(np.sqrt(2 / (9 * 64)), rel=0.02)
    for built, bound in ((he, 1 / 8), (xavier, np.sqrt(6 / (64 + 2)))):
        assert np.abs(built.classifier.weight.asnumpy()).max() == pytest.approx(bound, rel=0.1)
        assert not built.classifier.bias.asnumpy().any()


def configuration(net: str, classes: int, **options: object) -> config.Config:
    words = {
        "config_path": seeded.HERE / "defaults.yaml",
        "net": net,
        "dataset": "voc",
        "num_classes": classes,
    }
    words.update(image_size=65, **options)
    return config.load([str(word) for name, value in words.items() for word in (f"--{name}", value)])


def test_stages_follow_one_another_and_classes_change(tmp_path):
    """A checkpoint of an output stride of 16 starts one of 8, of the same classes or of others."""
    first = configuration(SMALL, 21)
    source = with_statistics(build.network(first, devices.of(devices.CPU)))
    training = checkpoint.TrainingInfo(SMALL, 1, 0, build.network_options(first))
    file = checkpoint.save(tmp_path, source.get_parameters(), 1, training)
    given = source.parameters_dict()
    for classes, options in ((21, {}), (5, {"filter_head": "true"})):
        cfg = configuration("deeplab_v3_r26_s8", classes, freeze_bn="true", **options)
        network = build.network(cfg, devices.of(devices.CPU))
        new = network.classifier.weight.asnumpy().copy()
        said = build.load_pretrained(cfg, network, file)
        assert ("without its head of 21 classes (--filter_head true)" in said) == (classes == 5)
        assert bool(said) == (classes == 5)
        for name, parameter in network.parameters_dict().items():
            if classes == 21 or not name.startswith("classifier."):
                np.testing.assert_array_equal(parameter.asnumpy(), given[name].asnumpy())
        assert classes == 21 or (network.classifier.weight.asnumpy() == new).all()
    with pytest.raises(
        CheckpointError, match="classifier has 21 classes, this network's 5; pass --filter_head"
    ):
        build.load_pretrained(configuration("deeplab_v3_r26_s8", 5), network, file)
    same = configuration(SMALL, 21, aspp_rates="6, 12,18")
    build.load_pretrained(same, source, file)
    other = configuration(SMALL, 21, aspp_rates="1,2,3")
    with pytest.raises(ConfigError, match=r"pass --aspp_rates 6,12,18 \(now 1,2,3\)"):
        build.load_pretrained(other, source, file)
