"""Feature maps: which there are, against timm's tables; that they learn, and keep the names of checkpoints."""

from __future__ import annotations

import mindspore as ms
import mindspore.nn as nn
import numpy as np
import pytest

import mindlift
from mindlift.errors import ConfigError
from mindlift.inference.features import Features
from mindlift.models.features import FeatureInfo

# timm 1.0.31: timm.create_model(name, features_only=True).feature_info.channels() and .reduction(), for resnet50,
# densenet121, inception_v4 and resnetv2_50x1_bit
OF_TIMM = {
    "resnet50": ([64, 256, 512, 1024, 2048], [2, 4, 8, 16, 32]),
    "densenet121": ([64, 256, 512, 1024, 1024], [2, 4, 8, 16, 32]),
    "inception_v4": ([64, 160, 384, 1024, 1536], [2, 4, 8, 16, 32]),
    "bit_r50x1": ([64, 256, 512, 1024, 2048], [2, 4, 8, 16, 32]),
}


@pytest.mark.parametrize("net", OF_TIMM)
def test_channels_and_reductions_are_timms(net):
    info = mindlift.create_model(net, 10, features_only=True).feature_info
    assert ([each.channels for each in info], [each.reduction for each in info]) == OF_TIMM[net]


@pytest.mark.parametrize(
    ("indices", "expected"),
    [(None, [24, 60, 66, 69]), ((1, 3), [60, 69]), ((-1,), [69]), ([2, 0, 2], [24, 66])],
)
def test_chosen_maps_of_a_small_network(indices, expected):
    """densenet22: 24 maps behind the stem, 3 layers of 12 in each block, halved between blocks (paper, section 3)."""
    maps = mindlift.create_model("densenet22", 10, features_only=True, out_indices=indices)
    found = maps(ms.Tensor(np.zeros((2, 3, 16, 16)), ms.float32))
    assert [map.shape[1] for map in found] == [each.channels for each in maps.feature_info] == expected
    assert [16 // map.shape[2] for map in found] == [each.reduction for each in maps.feature_info]


@pytest.mark.parametrize("indices", [[5], [-5], []])
def test_maps_that_there_are_not(indices):
    with pytest.raises(ConfigError, match=r"the network has 4; choose some of 0 .. 3, or -1 for the last"):
        mindlift.create_model("densenet22", 10, features_only=True, out_indices=indices)


@pytest.mark.parametrize("indices", [1, "12", (1.5,)])
def test_what_are_no_numbers_of_maps(indices):
    with pytest.raises(ConfigError, match=r"out_indices .*: expected whole numbers, such as \(1, 3\)"):
        mindlift.create_model("densenet22", 10, features_only=True, out_indices=indices)


class Squares(nn.Cell):
    """The mean square of the last of several maps."""

    def __init__(self, maps):
        super().__init__(auto_prefix=False)
        self.maps = maps

    def construct(self, x):
        return (self.maps(x)[-1] ** 2).mean()


class LastMap(nn.Cell):
    """DenseNet's map in front of its classifier, as its own `construct` makes it."""

    def __init__(self, network):
        super().__init__(auto_prefix=False)
        self.network = network

    def construct(self, x):
        network = self.network
        return (network.relu(network.norm(network.stages(network.stem(x)))),)


def gradients(network: nn.Cell, images: ms.Tensor) -> dict[str, np.ndarray]:
    weights = [weight for weight in network.trainable_params() if "classifier" not in weight.name]
    found = ms.grad(Squares(network), None, ms.ParameterTuple(weights))(images)
    return {weight.name: gradient.asnumpy() for weight, gradient in zip(weights, found)}


def test_they_are_those_of_the_network_and_learn():
    """The same seed gives the same weights."""
    maps = mindlift.create_model("densenet22", 10, features_only=True, out_indices=[-1]).set_train()
    whole = LastMap(mindlift.create_model("densenet22", 10)).set_train()
    images = ms.Tensor(np.random.default_rng(0).normal(size=(4, 3, 8, 8)), ms.float32)
    ours, theirs = gradients(maps, images), gradients(whole, images)
    assert ours.keys() == theirs.keys()
    for name, gradient in ours.items():
        np.testing.assert_allclose(gradient, theirs[name], rtol=1e-4, atol=1e-6, err_msg=name)
    assert sum(float(np.abs(gradient).sum()) for gradient in ours.values()) > 0


def test_the_files(tmp_path):
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    found = Features(["a.png", "ä/b.png"], values, FeatureInfo("norm", 3, 4), [("c.png", "is empty")])
    found.write(tmp_path / "f.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "f.npy"), values)
    found.write(tmp_path / "f.npz")
    with np.load(tmp_path / "f.npz") as file:
        assert file.files == ["features", "names"]
        np.testing.assert_array_equal(file["features"], values)
        assert file["names"].tolist() == found.names
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f.npy", "f.npz"]
