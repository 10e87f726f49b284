"""One contract for all families of networks: see mindlift.models.Family and WeightMap. A new folder is tested too."""

from __future__ import annotations

import inspect
from collections.abc import Mapping

import mindspore as ms
import numpy as np
import pytest

from mindlift import models
from mindlift.checkout import ROOT
from mindlift.errors import CheckpointError, ConfigError
from mindlift.model_utils import devices
from mindlift.model_utils.config import config
from mindlift.model_utils.config.options import Option
from mindlift.models import layers
from mindlift.models.features import FeatureMaps
from mindlift.models.weights import fit
from mindlift.models.weights.layouts import HEAD, network_options
from mindlift.models.weights.stored import Stored
from mindlift.tasks import base as tasks
from mindlift.tasks import network as networks
from mindlift.training.average import Average

FAMILIES = sorted(path.parent.name for path in models.HERE.glob("*/network.py"))
SMALL = {"densenet": "densenet22", "deeplab_v3": "deeplab_v3_r26_s16"}  # of other families the first variant
CLASSES = 3
OPTIONS = config.read_schema(ROOT / config.DEFAULTS).options
DEFAULTS = {name: option.default for name, option in OPTIONS.items()}


class Built:
    """A family with its smallest network, built as a CPU computes it and as other devices do."""

    def __init__(self, name: str):
        self.name, self.family, self.map = name, models.families()[name], models.weight_maps()[name]
        self.net = SMALL.get(name) or next(iter(self.family.VARIANTS))
        self.on_cpu, self.elsewhere = (
            models.build(self.net, CLASSES, DEFAULTS, on_cpu) for on_cpu in (True, False)
        )
        recipe = next(models.HERE.glob(f"{name}/recipes/{self.net}_*.yaml"))
        self.cfg = config.load(["--net", self.net, "--config_path", str(recipe)])

    @property
    def tensors(self) -> dict[str, np.ndarray]:
        return {name: tensor.asnumpy() for name, tensor in self.elsewhere.parameters_dict().items()}


@pytest.fixture(scope="module", params=FAMILIES)
def built(request: pytest.FixtureRequest) -> Built:
    return Built(request.param)


def shapes_of(network: ms.nn.Cell) -> list[tuple[str, tuple[int, ...]]]:
    return [(parameter.name, tuple(parameter.shape)) for parameter in network.get_parameters()]


def other_value(option: Option) -> object:
    """One that is not the default."""
    if option.kind == "bool":
        return not option.default
    if option.choices:
        return next(choice for choice in option.choices if choice != option.default)
    return {"int": 2, "float": 0.25, "str": "12,24,36"}[option.kind]


def test_every_network_is_found_with_its_task(built):
    for net in built.family.VARIANTS:
        assert models.family_of(net) is built.family
        assert models.task_of(net) in tasks.TASKS
        assert 1 <= built.family.least_side(net) <= 128
    assert models.family_name(built.net) == built.name
    assert inspect.getdoc(built.family), "which paper it is of"


def test_every_network_of_every_family_has_a_name_of_its_own():
    names = [net for family in models.families().values() for net in family.VARIANTS]
    assert len(names) == len(set(names))


def test_logits_have_the_shape_of_the_task(built):
    side = built.family.least_side(built.net)
    images = ms.Tensor(np.random.default_rng(0).normal(size=(2, 3, side, side)), ms.float32)
    found = built.on_cpu.set_train(False)(images)
    maps = {"segmentation": (side, side)}.get(models.task_of(built.net), ())
    assert found.shape == (2, CLASSES, *maps)
    assert found.dtype == ms.float32
    assert np.isfinite(found.asnumpy()).all()


def test_feature_maps_are_those_that_it_tells_of(built):
    """Sizes as of convolutions without padding at the least; the last map's mean is what the classifier sees."""
    network = built.on_cpu.set_train(False)
    if not hasattr(network, "feature_stages"):
        with pytest.raises(ConfigError, match="does not say what its feature maps are"):
            FeatureMaps(network)
        return
    maps, side = FeatureMaps(network), built.family.least_side(built.net) + 16
    images = ms.Tensor(np.random.default_rng(0).normal(size=(2, 3, side, side)), ms.float32)
    found = maps(images)
    assert [map.dtype for map in found] == [ms.float32] * len(maps.feature_info)
    for map, info in zip(found, maps.feature_info):
        assert map.shape[:2] == (2, info.channels)
        assert side / info.reduction - 4 < map.shape[2] == map.shape[3] <= -(-side // info.reduction)
    names = [parameter.name for parameter in maps.get_parameters()]
    assert set(names) < {name for name, _ in shapes_of(network)}
    assert not set(names) & set(HEAD)
    if models.task_of(built.net) == "classification":
        logits = network.classifier(found[-1].mean((2, 3)))
        np.testing.assert_allclose(logits.asnumpy(), network(images).asnumpy(), rtol=1e-5, atol=1e-6)
    else:
        np.testing.assert_array_equal(found[-1].asnumpy(), network.features(images).asnumpy())


def test_parameters_are_named_by_their_place_on_every_device(built):
    """So a checkpoint of one device is one of the others, and one of this build fits the next one."""
    shapes = shapes_of(built.elsewhere)
    assert len({name for name, _ in shapes}) == len(shapes)
    assert shapes == shapes_of(built.on_cpu)
    assert [name for name, _ in built.elsewhere.parameters_and_names()] == [name for name, _ in shapes]
    heads = [name for name, shape in shapes if name in HEAD and shape[0] == CLASSES]
    assert sorted(heads) == sorted(HEAD), "--filter_head leaves these out"


def test_its_own_weights_are_recognised_and_fill_it(built):
    known = fit.recognised(Stored("safetensors", built.tensors), models.weight_maps())
    assert known is not None
    assert (known.family, known.layout.source) == (built.name, "MindLift")
    assert known.origins == {name: name for name in built.tensors}
    filled = fit.fitted(known, dict(shapes_of(built.elsewhere)), (), "file")
    assert all(np.array_equal(filled[name], array) for name, array in built.tensors.items())
    variants = built.family.VARIANTS
    assert built.map.variant_of(known.shapes, {built.net: variants[built.net]}) == built.net
    found = built.map.variant_of(known.shapes, variants)
    assert found in variants, "perhaps another one with the same tensors"


def test_a_tensor_more_or_less_is_an_error(built):
    wanted, some = dict(shapes_of(built.elsewhere)), next(iter(built.tensors))
    less = {name: array for name, array in built.tensors.items() if name != some}
    more = {**built.tensors, "somewhere.else": np.zeros(3, np.float32)}
    for tensors, message in ((less, "missing"), (more, "unexpected")):
        known = fit.recognised(Stored("safetensors", tensors), {built.name: built.map})
        assert known is not None
        with pytest.raises(CheckpointError, match=message):
            fit.fitted(known, wanted, (), "file")


def test_options_are_declared_and_have_an_effect_or_are_refused(built):
    assert set(models.options_of(built.family)) <= OPTIONS.keys()
    values: Mapping[str, object] = {**DEFAULTS, "net": built.net}
    assert network_options(built.map.NETWORK, values).keys() == built.map.NETWORK.keys()
    assert built.map.NETWORK.keys() <= set(
        models.options_of(built.family)
    ), "only what it takes can change what it computes"
    for name in models.options_of_others(built.net):
        cfg = built.cfg.replace(**{name: other_value(OPTIONS[name])})
        with pytest.raises(ConfigError, match=rf"--{name} .* has no effect on {built.net}"):
            networks.network(cfg, devices.of(devices.CPU))


@pytest.mark.heavy
def test_the_moving_average_of_its_weights(built):
    """Updates 2 and 3 of one that begins behind the first, by hand; batch norms' statistics are averaged too."""
    network, rng = built.elsewhere, np.random.default_rng(2)
    kept = built.tensors
    count = ms.Parameter(ms.Tensor(np.zeros(1), ms.int32), name="global_step", requires_grad=False)
    average = Average(network.get_parameters(), count, 0.75, warmup=False, start=1)
    assert {each.name for each in average.shadows} == {f"ema.{name}" for name in kept}
    wanted: dict[str, np.ndarray] = {}
    for update in range(1, 4):
        for parameter in network.get_parameters():
            values = kept[parameter.name] + rng.normal(size=parameter.shape)
            parameter.set_data(ms.Tensor(values, parameter.dtype))
        now = built.tensors
        count.set_data(ms.Tensor([update], ms.int32))
        average(ms.Tensor(True))
        share = 1.0 if update == 1 else 0.25
        wanted = {name: (1 - share) * wanted.get(name, 0) + share * value for name, value in now.items()}
    average.to_weights()
    for name, value in built.tensors.items():
        np.testing.assert_allclose(value, wanted[name], rtol=1e-5, atol=1e-5, err_msg=name)
    for parameter in network.get_parameters():
        parameter.set_data(ms.Tensor(kept[parameter.name]))


def test_an_image_below_the_least_side_is_refused(built):
    side = built.family.least_side(built.net) - 1
    cfg = built.cfg.replace(image_size=(side, side))
    with pytest.raises(ConfigError, match=f"{built.net} needs at least {side + 1} in both directions"):
        networks.network(cfg, devices.of(devices.CPU))


def test_the_folded_network_takes_all_its_values_from_the_trained_one(built):
    """`refill` raises KeyError otherwise; last, because it changes the network."""
    before = dict(shapes_of(built.on_cpu))
    folds = any(layers.foldable(built.on_cpu))
    layers.fold(built.on_cpu)
    layers.refill(built.on_cpu, built.elsewhere)
    after = dict(shapes_of(built.on_cpu))
    assert len(after) == len(shapes_of(built.on_cpu))
    assert (len(after) <= len(before)) if folds else after == before
