"""Runs over the folders of src/mindlift/models: a new family is tested by existing."""

from __future__ import annotations

from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
import yaml

from mindlift import models
from mindlift.checkout import ROOT
from mindlift.models import layers
from mindlift.models.densenet import network, weights

FACTS = {
    name: facts
    for file in sorted(Path(models.HERE).glob("*/facts.yaml"))
    for name, facts in yaml.safe_load(file.read_text()).items()
}
DEFAULTS = {
    name: option["value"]
    for group in yaml.safe_load((ROOT / "default_config.yaml").read_text()).values()
    for name, option in group.items()
}


LARGE = ("bit_r101x3", "deeplab_v3_tv")  # half a minute each; others stand for their families
NETS = [pytest.param(name, marks=pytest.mark.heavy if name in LARGE else []) for name in sorted(FACTS)]


def count(parameters) -> int:
    return sum(parameter.size for parameter in parameters)


@pytest.mark.parametrize("name", NETS)
def test_parameter_count_is_the_published_one(name):
    facts = FACTS[name]
    built = models.build(name, facts["num_classes"], DEFAULTS)
    assert count(built.trainable_params()) == facts["parameters"]
    if "buffers" in facts:
        assert count(built.get_parameters()) - count(built.trainable_params()) == facts["buffers"]


def test_densenet100_with_the_zoos_norm0():
    built = models.build("densenet100", 10, {**DEFAULTS, "stem_norm": True})
    assert count(built.trainable_params()) == 769210
    assert count(built.get_parameters()) == 793246


def test_every_family_states_facts():
    for family, module in models.families().items():
        stated = yaml.safe_load((Path(models.HERE) / family / "facts.yaml").read_text())
        assert set(stated) <= set(module.VARIANTS)
        assert stated


def test_unknown_net_names_the_known_ones():
    with pytest.raises(KeyError, match=r"unknown net 'densenet101'; known: .*densenet100.*densenet121"):
        models.build("densenet101", 10, DEFAULTS)


def test_the_stems_pooling_is_an_option():
    images = ms.Tensor(np.random.default_rng(0).normal(size=(1, 3, 32, 32)), ms.float32)
    outputs = []
    for pool in ("sym", "same"):
        ms.set_seed(1)
        outputs.append(network.ImageNetStem(4, pool, on_cpu=True)(images).asnumpy())
    assert outputs[0].shape == outputs[1].shape == (1, 8, 8, 8)
    assert np.abs(outputs[0] - outputs[1]).max() > 1e-3


def test_resnets_options():
    images = ms.Tensor(np.random.default_rng(0).normal(size=(1, 3, 32, 32)), ms.float32)
    outputs = []
    for options in ({}, {"conv_pad": "same"}, {"stem_pool": "same"}):
        ms.set_seed(1)
        outputs.append(
            models.build("resnet50", 4, {**DEFAULTS, **options}).set_train(False)(images).asnumpy()
        )
    assert np.abs(outputs[0] - outputs[1]).max() > 1e-3
    assert np.abs(outputs[0] - outputs[2]).max() > 1e-3
    built = models.build("resnet50", 4, {**DEFAULTS, "zero_gamma": True, "weight_init": "xavier"})
    gammas = [p for name, p in built.parameters_dict().items() if name.endswith("conv3.norm.gamma")]
    assert [float(p.asnumpy().max()) for p in gammas] == [0.0] * 16
    assert built.classifier.weight.asnumpy().std() == pytest.approx(0.01, rel=0.15)
    bound = np.sqrt(6 / (64 * 9 * 2))
    assert 0.9 * bound < np.abs(built.stages[0][0].conv2.conv.weight.asnumpy()).max() <= bound


def test_resnet_has_its_stride_at_the_3x3_convolution():
    block = models.build("resnet50", 4, DEFAULTS).stages[1][0]
    assert [cell.conv.stride for cell in (block.conv1, block.conv2, block.shortcut)] == [
        (1, 1),
        (2, 2),
        (2, 2),
    ]


@pytest.mark.parametrize(
    ("net", "eps", "momentum"), [("resnet50", 1e-5, 0.9), ("inception_v4", 1e-3, 0.9997)]
)
def test_norms_and_dropout_are_options(net, eps, momentum):
    def norms(**options):
        built = models.build(net, 4, {**DEFAULTS, **options})
        found = {(cell.norm.eps, round(1 - cell.norm.momentum, 6)) for _, cell in layers.foldable(built)}
        return found, getattr(getattr(built, "dropout", None), "p", None)

    assert norms()[0] == {(eps, momentum)}
    assert norms(bn_eps=0.5, bn_momentum=0.25)[0] == {(0.5, 0.25)}
    if net == "inception_v4":
        assert norms()[1] == 0.2, "the share that is dropped"
        assert norms(dropout=0.5)[1] == 0.5


def test_the_narrowing_convolution_is_the_convolution_forward_and_backward():
    rng = np.random.default_rng(0)
    images, seen = (ms.Tensor(rng.normal(size=(2, c, 5, 7)), ms.float32) for c in (8, 2))
    ours, plain = network.NarrowingConv(8, 2), network.conv(8, 2, 3)
    plain.weight.set_data(ours.weight)
    results = []
    for cell in (ours, plain):
        sensitivity = ms.grad(lambda x, cell=cell: (cell(x) * seen).sum(), 0, cell.trainable_params())
        of_images, of_weights = sensitivity(images)
        results.append((cell(images).asnumpy(), of_images.asnumpy(), of_weights[0].asnumpy()))
    for one, other in zip(*results):
        assert np.abs(other).max() > 0.1
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("backbone.features.conv0.weight", "stem.conv0.weight"),
        ("backbone.features.norm0.gamma", "stem.norm0.gamma"),
        (
            "backbone.features.denseblock2.cell_list.0.norm1.moving_mean",
            "stages.2.layers.0.norm1.moving_mean",
        ),
        ("features.denseblock4.denselayer16.conv2.weight", "stages.6.layers.15.conv2.weight"),
        ("features.denseblock4.denselayer16.norm.2.gamma", "stages.6.layers.15.norm2.gamma"),
        ("backbone.features.transition1.features.norm.beta", "stages.1.norm.beta"),
        ("features.transition3.conv.weight", "stages.5.conv.weight"),
        ("backbone.features.norm5.gamma", "norm.gamma"),
        ("head.fc.weight", "classifier.weight"),
        ("classifier.bias", "classifier.bias"),
        ("stages.0.layers.1.conv1.weight", "stages.0.layers.1.conv1.weight"),
        ("somewhere.else", "somewhere.else"),
    ],
)
def test_names_of_other_checkpoints(theirs, ours):
    assert weights.canonical(theirs) == ours
