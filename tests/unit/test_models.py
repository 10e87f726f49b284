"""Runs over the folders of src/models: a new family is tested by existing."""

from __future__ import annotations

from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
import yaml

from src import models
from src.models.densenet import network, weights

FACTS = {
    name: facts
    for file in sorted(Path(models.HERE).glob("*/facts.yaml"))
    for name, facts in yaml.safe_load(file.read_text()).items()
}
DEFAULTS = {
    name: option["value"]
    for group in yaml.safe_load((Path(models.HERE).parents[1] / "default_config.yaml").read_text()).values()
    for name, option in group.items()
}


def count(parameters) -> int:
    return sum(parameter.size for parameter in parameters)


@pytest.mark.parametrize("name", sorted(FACTS))
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
        outputs.append(network.ImageNetStem(4, pool)(images).asnumpy())
    assert outputs[0].shape == outputs[1].shape == (1, 8, 8, 8)
    assert np.abs(outputs[0] - outputs[1]).max() > 1e-3


def all_tensors(network) -> dict[str, tuple]:
    return {name: parameter.shape for name, parameter in network.parameters_dict().items()}


@pytest.mark.parametrize("name", sorted(FACTS))
def test_on_a_cpu_the_parameters_are_the_same(name):
    there, here = (models.build(name, 10, DEFAULTS, on_cpu=on_cpu) for on_cpu in (False, True))
    assert all_tensors(there) == all_tensors(here)


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
