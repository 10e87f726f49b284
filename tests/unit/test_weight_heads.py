"""Heads of other sources: rows without a class, norms around the head, other classes, other variants."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import save_file

from mindlift.errors import CheckpointError, ConfigError
from mindlift.model_utils import devices
from mindlift.models.inception_v4 import weights as inception
from mindlift.models.resnet import weights as resnet
from mindlift.models.weights import fit
from mindlift.models.weights.layouts import HEAD, Layout
from mindlift.tasks import network as build
from tests.golden.weights import seeded
from tests.support.weight_sources import (
    LAYOUTS,
    MAPS,
    NORM,
    SOURCES,
    configuration,
    zoo_inception,
    zoo_resnet,
)

# id: (layout, the row of 1001 that has no class)
UNUSED = {
    "zoo resnet50": (resnet.layout_of(zoo_resnet()), 1000),
    "timm inception_v4": (SOURCES["timm inception_v4"], 0),
    "mindcv inception_v4": (SOURCES["mindcv inception_v4"], 0),
    "zoo inception_v4": (SOURCES["zoo inception_v4"], 0),
}


@pytest.mark.parametrize("case", UNUSED)
def test_of_1001_rows_the_one_without_a_class_is_left_out(case):
    given, row = UNUSED[case]
    layout = given if isinstance(given, Layout) else fit.recognised(given[0], MAPS).layout
    bias = np.arange(1001.0)
    head = dict(zip(HEAD, (np.stack([bias, bias], 1), bias)))
    thousand = fit.without_unused_row(layout, head, {HEAD[0]: (1000, 2), HEAD[1]: (1000,)})
    expected = [number for number in range(1001) if number != row]
    assert thousand[HEAD[1]].tolist() == thousand[HEAD[0]][:, 0].tolist() == expected
    for other in (1001, 10):
        kept = fit.without_unused_row(layout, head, {HEAD[0]: (other, 2), HEAD[1]: (other,)})
        assert kept[HEAD[1]].shape == (1001,)


def test_heads_of_torchvision_with_1001_rows_have_no_rule():
    known = fit.recognised(SOURCES["torchvision resnet50"][0], MAPS)
    head = dict(zip(HEAD, (np.zeros((1001, 2)), np.zeros(1001))))
    assert len(fit.without_unused_row(known.layout, head, {HEAD[1]: (1000,)})[HEAD[1]]) == 1001


def test_the_zoos_norms_around_the_head_are_worked_into_it_exactly():
    """Against the zoo's sequence of layers, in float64 from its definition: bn0 (eps 1e-3), dense, norm (eps 1e-5)."""
    shapes = {name: shape for name, shape in zoo_inception().items() if name.startswith(("bn0", "softmax"))}
    tensors = {name: seeded.tensor(name, shape) for name, shape in shapes.items()}

    def norm(x: np.ndarray, name: str, eps: float) -> np.ndarray:
        gamma, beta, mean, variance = (tensors[f"{name}.{part}"].astype(np.float64) for part in NORM)
        return (x - mean) / np.sqrt(variance + eps) * gamma + beta

    features = np.random.default_rng(0).uniform(0, 2, (4, 1536))
    dense = (
        norm(features, "bn0", 1e-3) @ tensors["softmax.dense.weight"].T.astype(np.float64)
        + tensors["softmax.dense.bias"]
    )
    expected = norm(dense, "softmax.batchnorm", 1e-5)
    folded = inception.fold(tensors)
    assert set(folded) == {"softmax.dense.weight", "softmax.dense.bias"}
    found = features @ folded["softmax.dense.weight"].T.astype(np.float64) + folded["softmax.dense.bias"]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize("case", ["zoo densenet121", "zoo resnet50", "zoo inception_v4"])
def test_weights_of_another_variant_are_refused_until_it_is_asked_for(case, tmp_path):
    stored, _, needs = SOURCES[case]
    net = case.split()[1]
    path = tmp_path / "zoo.ckpt"
    save_file({name: np.ascontiguousarray(value) for name, value in stored.tensors.items()}, path)
    cfg = configuration(net)
    network = build.network(cfg, devices.of(devices.CPU))
    with pytest.raises(ConfigError) as caught:
        build.load_pretrained(cfg, network, path)
    for name, value in needs.items():
        assert f"--{name} {value}" in str(caught.value)
    build.load_pretrained(configuration(net, **needs), network, path)
    assert not network.parameters_dict()[HEAD[0]].asnumpy().any()


def test_only_options_that_there_are_can_be_asked_for():
    needs = {"normalize": ("half",), "bn_eps": (1e-3, None)}
    fit.check_needs(needs, {"bn_eps": None}, "file", "timm")
    with pytest.raises(ConfigError, match=r"file \(timm\) is for .*: pass --normalize half \(now auto\)"):
        fit.check_needs(needs, {"bn_eps": None, "normalize": "auto"}, "file", "timm")


def test_the_head_is_left_out_when_asked_and_only_then(tmp_path):
    save_file(seeded.weights(LAYOUTS["torchvision resnet50"]), tmp_path / "r.safetensors")
    cfg = configuration("resnet50", num_classes=7)
    network = build.network(cfg, devices.of(devices.CPU))
    before = network.parameters_dict()[HEAD[0]].asnumpy().copy()
    with pytest.raises(
        CheckpointError, match="its classifier has 10 classes, this network's 7; pass --filter_head true"
    ):
        build.load_pretrained(cfg, network, tmp_path / "r.safetensors")
    build.load_pretrained(cfg.replace(filter_head=True), network, tmp_path / "r.safetensors")
    np.testing.assert_array_equal(network.parameters_dict()[HEAD[0]].asnumpy(), before)
    np.testing.assert_array_equal(
        network.parameters_dict()["stem.conv.weight"].asnumpy(), seeded.tensor("conv1.weight", (64, 3, 7, 7))
    )
