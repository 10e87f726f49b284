"""Networks of other packages: how they are named, made, adapted, tried, and what is said of those that don't fit."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import mindspore as ms
import mindspore.nn as nn
import mindspore.ops as ops
import numpy as np
import pytest

from mindlift import models
from mindlift.errors import CheckpointError, ConfigError
from mindlift.model_utils import devices
from mindlift.model_utils.config import config
from mindlift.models.dropout import Dropout
from mindlift.models.external import cells, family, names
from mindlift.models.weights.write import write_weights
from mindlift.tasks import network as networks
from tests.support.own_networks import SIDE, Plain

OWN = "tests.support.own_networks"
NET = f"{OWN}:plain"
CPU = devices.of(devices.CPU)
NAMES = [
    *("body.0.weight", "body.1.moving_mean", "body.1.moving_variance", "body.1.gamma", "body.1.beta"),
    *("body.4.weight", "body.4.bias", "fc.weight", "fc.bias"),
]


def cfg_of(net: str = NET, *more: object) -> config.Config:
    words = ["--net", net, "--image_size", SIDE, "--num_classes", 10, *more]
    return config.load([str(word) for word in words])


def made(net: str = NET, *more: object) -> nn.Cell:
    return networks.network(cfg_of(net, *more), CPU)


def test_it_is_trained_for_classes_of_images_and_keeps_its_names():
    network = made()
    assert sorted(network.parameters_dict()) == sorted(NAMES)
    assert [name for name, _ in network.parameters_and_names()] == list(network.parameters_dict())
    assert models.task_of(NET) == "classification"
    assert models.head_of(NET) == ("fc.weight", "fc.bias")
    logits = network.set_train(False)(ms.Tensor(np.ones((2, 3, SIDE, SIDE)), ms.float32))
    assert (logits.shape, logits.dtype) == ((2, 10), ms.float32)


def test_it_computes_what_it_computes_alone():
    ms.set_seed(7)
    alone = Plain(10).set_train(False)
    adapted = made().set_train(False)
    for name, parameter in alone.parameters_dict().items():
        adapted.parameters_dict()[name].set_data(parameter)
    images = ms.Tensor(np.random.default_rng(0).normal(size=(3, 3, SIDE, SIDE)), ms.float32)
    assert np.array_equal(alone(images).asnumpy(), adapted(images).asnumpy())


def test_the_same_seed_makes_the_same_network():
    first, again, other = (made(NET, "--seed", seed) for seed in (3, 3, 4))
    values = [network.parameters_dict()["fc.weight"].asnumpy() for network in (first, again, other)]
    assert np.array_equal(values[0], values[1])
    assert not np.array_equal(values[0], values[2])


def test_its_dropouts_are_those_that_continue_bit_identically():
    """Of the three kinds of place: in a sequence, as an attribute, and the same one in both."""
    network = made(NET, "--dropout", 0.25)
    found = [cell for _, cell in network.cells_and_names() if isinstance(cell, Dropout)]
    assert sorted((cell.p, cell.number) for cell in found) == [(0.25, 0), (0.25, 1)]
    assert not [cell for _, cell in network.cells_and_names() if isinstance(cell, nn.Dropout)]
    inner = network.network
    assert inner.drop is inner.body[5] is list(inner.body)[5]


def test_dropout_by_channel_drops_whole_maps():
    cell = cells.seeded(nn.Dropout2d(p=0.5), 0).set_train(True)
    kept = cell(ops.ones((8, 16, 3, 3), ms.float32)).asnumpy()
    assert {len(np.unique(each)) for each in kept.reshape(-1, 9)} == {1}
    assert 0.3 < (kept == 0).mean() < 0.7
    assert np.array_equal(cell.set_train(False)(ms.Tensor(kept)).asnumpy(), kept)


def test_options_are_given_by_its_own_names():
    assert made(NET, "--net_args", "width=8").parameters_dict()["fc.weight"].shape == (10, 16)
    assert made(NET, "--drop_path", 0.2).network.drop_path_rate == 0.2
    assert made(NET).network.img_size == SIDE
    assert made(NET, "--image_size", 12).network.img_size == 12
    assert made(f"{OWN}:settles_its_size", "--image_size", 12).network.img_size == SIDE, "left to it"


@pytest.mark.parametrize(
    ("net", "more", "message"),
    [
        (
            f"{OWN}:without_options",
            ["--drop_path", "0.1"],
            r"--drop_path 0.1 has no effect on .*; leave it out",
        ),
        (f"{OWN}:without_options", ["--net_args", "width=3"], r"takes no width; it takes nothing"),
        (NET, ["--stem_pool", "same"], r"--stem_pool same .* has no effect on .*:plain"),
        (
            NET,
            ["--net_args", "depth=3"],
            r"takes no depth; it takes drop_path_rate, drop_rate, img_size, width",
        ),
        (NET, ["--net_args", "width"], r"--net_args width: expected name=value"),
        (
            f"{OWN}:TwoOutputs",
            [],
            r"makes a value of type tuple of an image; .* one array \(1, 10\) of logits",
        ),
        (f"{OWN}:Maps", [], r"makes \(1, 8, 4, 4\) of an image; .* \(1, 10\) of logits"),
        (
            f"{OWN}:OfOneSize",
            ["--eval_image_size", "12"],
            r"can't compute an image of --image_size 12,12: ValueError",
        ),
        (f"{OWN}:NoClasses", [], r"takes no num_classes; write `def NoClasses\(num_classes\): ...`"),
        (f"{OWN}:broken", [], r"can't be made: RuntimeError: no such luck second line$"),
        (f"{OWN}:no_cell", [], r"makes a value of type int; expected a mindspore.nn.Cell"),
        (f"{OWN}:plian", [], r"has no function or class 'plian'; it has .*OfOneSize.*plain"),
        (f"{OWN}:SIDE", [], r"has no function or class 'SIDE'"),
    ],
)
def test_what_does_not_fit_is_one_line(net, more, message):
    with pytest.raises(ConfigError, match=message) as raised:
        made(net, *more)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("net", ["a:b:c", "mindcv:", ":plain", "my-package:net", "package.:net"])
def test_a_name_that_is_none(net):
    with pytest.raises(
        ConfigError, match=r"is no name of a network; write mindcv:NAME or package\.module:fun"
    ):
        config.load(["--net", net])


def test_a_package_that_is_not_there(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="there is no module no_such; run: pip install no_such"):
        names.check("no_such:net")
    with pytest.raises(ConfigError, match="there is no module tests.no_such; run: pip install tests "):
        names.check("tests.no_such:net")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="mindcv is not installed; run: pip install mindcv$"):
        names.check("mindcv:resnet18")


def test_a_module_in_the_working_directory_is_found(monkeypatch, tmp_path):
    (tmp_path / "of_this_folder.py").write_text("from tests.support.own_networks import plain\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    names.check("of_this_folder:plain")
    assert made("of_this_folder:plain").parameters_dict()["fc.weight"].shape == (10, 8)


def test_a_module_that_fails_when_it_is_imported(monkeypatch, tmp_path):
    (tmp_path / "fails_on_import.py").write_text("raise OSError('no disk')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match="importing fails_on_import failed: OSError: no disk"):
        made("fails_on_import:net")


def test_names_of_mindcv_are_read_from_its_source(monkeypatch, tmp_path):
    """By the decorator of its registry; the package is not imported."""
    (tmp_path / "mindcv/models").mkdir(parents=True)
    (tmp_path / "mindcv/__init__.py").write_text("raise ImportError('imported')\n")
    (tmp_path / "mindcv/models/one.py").write_text(
        "@register_model\ndef resnet18(pretrained=False):\n    pass\n\n\ndef helper():\n    pass\n"
    )
    (tmp_path / "mindcv/models/two.py").write_text(
        "@register_model\ndef vit_b(pretrained=False):\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    for module in [name for name in sys.modules if name.partition(".")[0] == "mindcv"]:
        monkeypatch.delitem(sys.modules, module)
    names.of_mindcv.cache_clear()
    try:
        assert names.of_mindcv() == ["resnet18", "vit_b"]
        names.check("mindcv:vit_b")
        with pytest.raises(ConfigError, match="mindcv has no network 'resnet19'; it has resnet18$"):
            names.check("mindcv:resnet19")
        with pytest.raises(ConfigError, match="mindcv has no network 'swin'; it has resnet18, vit_b$"):
            names.check("mindcv:swin")
    finally:
        names.of_mindcv.cache_clear()


def test_names_of_files_have_no_colon():
    assert models.file_name("mindcv:resnet18") == "mindcv_resnet18"
    assert models.file_name("resnet50") == "resnet50"


def saved(folder: Path, network: nn.Cell, prefix: str = "", **more: np.ndarray) -> Path:
    tensors = {prefix + name: value.asnumpy() for name, value in network.parameters_dict().items()}
    path = folder / "weights.safetensors"
    write_weights(path, {**tensors, **more}, {})
    return path


@pytest.mark.parametrize("prefix", ["", "network.", "module."])
def test_its_weights_fill_it_whatever_wraps_their_names(tmp_path, prefix):
    source, target = made(NET, "--seed", 3), made(NET, "--seed", 4)
    networks.load_pretrained(cfg_of(), target, saved(tmp_path, source, prefix))
    for name, value in source.parameters_dict().items():
        assert np.array_equal(value.asnumpy(), target.parameters_dict()[name].asnumpy()), name


def test_a_head_of_other_classes_is_left_out_or_explained(tmp_path):
    path = saved(tmp_path, made(NET, "--num_classes", 7))
    target = made(NET)
    with pytest.raises(
        CheckpointError, match="its classifier has 7 classes, this network's 10; pass --filter_head"
    ):
        networks.load_pretrained(cfg_of(), target, path)
    said = networks.load_pretrained(cfg_of(NET, "--filter_head", "true"), target, path, to_train=True)
    assert "without its head of 7 classes" in said


def test_weights_of_another_network_are_refused(tmp_path):
    path = saved(tmp_path, nn.Dense(3, 4))
    with pytest.raises(CheckpointError, match="no known source of weights has tensors named"):
        networks.load_pretrained(cfg_of(), made(), path)
    path = saved(tmp_path, made(), **{"more.weight": np.zeros(3, np.float32)})
    with pytest.raises(CheckpointError, match=r"does not fit this network: 1 unexpected \(more.weight\)"):
        networks.load_pretrained(cfg_of(), made(), path)


def test_recipes_for_any_network():
    cfg = cfg_of()
    assert cfg.origin("lr") == "digits.yaml"
    with pytest.raises(
        ConfigError, match="no recipe for any network on dataset 'voc'; there is --dataset cifar10 or"
    ):
        config.load(["--net", NET, "--dataset", "voc"])
    assert config.load(["--net", NET, "--dataset", "imagenet"]).image_size == (224, 224)


def test_an_unknown_network_says_how_others_are_named():
    with pytest.raises(
        ConfigError, match=r"unknown net 'resnet51'; did you mean 'resnet50'\?.*or mindcv:NAME|mindcv:NAME"
    ):
        config.load(["--net", "resnet51"])
    with pytest.raises(KeyError, match="or mindcv:NAME or package.module:function"):
        models.family_of("resnet51")


def test_other_options_than_those_of_the_weights_are_noticed(tmp_path):
    """As with the options of this project's networks: the same tensors may compute something else."""
    source = made(NET, "--net_args", "img_size=9")
    path = saved(tmp_path, source)
    options = networks.network_options(cfg_of(NET, "--net_args", "img_size=9"))
    assert options == {"net_args": "img_size=9"}
    write_weights(path, {n: v.asnumpy() for n, v in source.parameters_dict().items()}, options)
    with pytest.raises(ConfigError, match="for a network with other options: pass --net_args img_size=9"):
        networks.load_pretrained(cfg_of(), made(), path)


def test_a_family_is_made_once():
    assert family.of(NET) is family.of(NET)
