"""Names of other sources: who wrote a file is seen, every tensor finds its place once, and what differs is said."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from mindlift import models
from mindlift.cli import convert as convert_command
from mindlift.errors import CheckpointError
from mindlift.inference import convert
from mindlift.model_utils import devices
from mindlift.models.densenet import weights as densenet
from mindlift.models.inception_v4 import weights as inception
from mindlift.models.resnet import weights as resnet
from mindlift.models.weights import fit, layouts
from mindlift.models.weights.layouts import HEAD, Layout, with_mindspore_norms
from mindlift.models.weights.stored import Stored
from mindlift.runs import checkpoint
from mindlift.storage.moxing import file
from mindlift.tasks import network as build
from tests.golden.weights import seeded
from tests.support.weight_sources import (
    LAYOUTS,
    MAPS,
    SOURCES,
    TORCH,
    ZOO_50,
    configuration,
    port_bit,
    stored_of,
    torchvision_deeplab,
    zeros,
    zoo_resnet,
)


@pytest.fixture(scope="module")
def wanted() -> dict[str, dict[str, tuple]]:
    """Names and shapes of this project's networks with 10 classes."""
    return {
        net: convert.shapes_of(net, 10, {})
        for net in (
            "densenet121",
            "resnet50",
            "inception_v4",
            "bit_r50x1",
            "deeplab_v3_r50_tv",
            "deeplab_v3_r50_s16",
        )
    }


@pytest.mark.parametrize("case", SOURCES)
def test_a_source_is_recognised_and_fills_every_tensor_once(case, wanted):
    stored, source, needs = SOURCES[case]
    net = case.split()[-1]
    known = fit.recognised(stored, MAPS)
    assert (known.layout.source, known.family) == (source, models.family_name(net))
    assert {name: values[0] for name, values in known.needs.items()} == needs
    assert fit.fitted(known, wanted[net], (), "file").keys() == wanted[net].keys()
    assert len(set(known.origins.values())) == len(wanted[net])
    assert models.weight_maps()[known.family].variant_of(known.shapes, models.family_of(net).VARIANTS) == net
    ours = fit.recognised(Stored("safetensors", known.tensors), MAPS)
    assert (ours.layout.source, ours.family, ours.shapes) == ("MindLift", known.family, known.shapes)


@pytest.mark.parametrize("case", SOURCES)
def test_nothing_is_dropped_or_made_up(case, wanted):
    """One tensor less or more, or of another shape, is an error that names it; of the zoo's folded norms too."""
    stored, source, _ = SOURCES[case]
    net = case.split()[-1]
    last = list(stored.tensors)[-1]
    middle = next(
        name
        for name in stored.tensors
        if name.endswith(("conv1.weight", "conv.weight", "/a/standardized_conv2d/kernel"))
    )
    spoiled = {
        "missing": {name: value for name, value in stored.tensors.items() if name != middle},
        "unexpected": {**stored.tensors, "somewhere.else": np.zeros(3)},
        "of other shape": {**stored.tensors, middle: np.zeros((1, 2, 3, 4))},
    }
    for what, tensors in spoiled.items():
        known = fit.recognised(Stored(stored.form, tensors), MAPS)
        with pytest.raises(
            CheckpointError, match=rf"file \({source}\) does not fit this network: 1 {what} \("
        ):
            fit.fitted(known, wanted[net], (), "file")
    without_last = {name: value for name, value in stored.tensors.items() if name != last}
    known = fit.recognised(Stored(stored.form, without_last), MAPS)
    if not last.endswith("num_batches_tracked"):
        with pytest.raises(CheckpointError, match=r"missing|unexpected"):
            fit.fitted(known, wanted[net], (), "file")


def test_what_a_network_has_no_use_for_is_left_out_and_listed(wanted):
    stored = Stored("pytorch", zeros(torchvision_deeplab(True)))
    known = fit.recognised(stored, MAPS)
    assert (
        fit.fitted(known, wanted["deeplab_v3_r50_tv"], (), "file").keys()
        == wanted["deeplab_v3_r50_tv"].keys()
    )
    assert len(known.unused) == 7
    assert all(name.startswith("aux_classifier.") for name in known.unused)
    listed = [line for line in convert.rows(stored, known, True) if "aux_classifier" in line]
    assert len(listed) == 8, "with a counter of batches"
    assert all(line.endswith("-> left out") for line in listed)


# id: what a file holds, and what the network must have
BACKBONES = {
    "torchvision": (stored_of("torchvision resnet50"), TORCH),
    "timm": (stored_of("timm resnet50"), TORCH),
    "mindcv": (stored_of("mindcv resnet50", "mindspore"), {**TORCH, "stem_pool": "same"}),
    "zoo": (Stored("mindspore", zeros(zoo_resnet())), ZOO_50),
    "MindLift": (
        Stored("mindspore", fit.recognised(stored_of("torchvision resnet50"), MAPS).tensors, {}, TORCH),
        TORCH,
    ),
}


@pytest.mark.parametrize("case", BACKBONES)
def test_a_resnet_is_the_backbone_of_a_deeplab(case, wanted):
    """Strictly: all of the backbone and nothing else; and without the word of a user it is a ResNet."""
    stored, needs = BACKBONES[case]
    own = {"deeplab_v3": MAPS["deeplab_v3"]}
    known = fit.recognised(stored, own)
    assert {name: values[0] for name, values in known.needs.items()} == needs
    given = fit.fitted(known, wanted["deeplab_v3_r50_s16"], (), "file")
    behind = ("aspp.", "classifier.")
    assert set(given) == {name for name in wanted["deeplab_v3_r50_s16"] if not name.startswith(behind)}
    assert len(known.unused) == 2
    assert known.layout.channels == "rgb"
    assert fit.recognised(stored, MAPS).family == "resnet"
    gap = next(name for name in stored.tensors if name.endswith("conv2.weight") or "conv2.conv" in name)
    left = {name: value for name, value in stored.tensors.items() if name != gap}
    partly = fit.recognised(Stored(stored.form, left), own)
    with pytest.raises(CheckpointError, match=r"does not fit this network: 1 missing \(stages"):
        fit.fitted(partly, wanted["deeplab_v3_r50_s16"], (), "file")


def test_a_deeplab_is_no_resnet(wanted):
    ours = Stored("mindspore", zeros(wanted["deeplab_v3_r50_s16"]))
    assert fit.recognised(ours, MAPS).family == "deeplab_v3"
    assert fit.recognised(ours, {"resnet": MAPS["resnet"]}) is None


def test_a_backbone_starts_a_training_and_nothing_else(tmp_path):
    file = tmp_path / "resnet50.safetensors"
    save_file(seeded.weights(LAYOUTS["torchvision resnet50"]), file)
    cfg = configuration("deeplab_v3_r50_s16", dataset="voc", config_path=seeded.HERE / "defaults.yaml")
    network = build.network(cfg, devices.of(devices.CPU))
    before = network.aspp.branches[1].conv.weight.asnumpy().copy()
    said = build.load_pretrained(cfg, network, file, to_train=True)
    assert said == f"{file}: backbone only, from torchvision or timm; all behind it starts new"
    np.testing.assert_array_equal(
        network.stem.conv.weight.asnumpy(), seeded.tensor("conv1.weight", (64, 3, 7, 7)), "RGB already"
    )
    np.testing.assert_array_equal(network.aspp.branches[1].conv.weight.asnumpy(), before)
    with pytest.raises(
        CheckpointError, match=r"has the backbone only; train deeplab_v3_r50_s16 with it first"
    ):
        build.load_pretrained(cfg, network, file)


@pytest.mark.parametrize("case", SOURCES)
def test_the_first_convolution_is_found_in_every_family(case):
    known = fit.recognised(SOURCES[case][0], MAPS)
    name = layouts.first_convolution(known.shapes)
    assert name in ("stem.conv.weight", "stem.conv0.weight", "stem.weight", "features.0.conv.weight")


def test_colours_are_turned_round_once_and_only_where_they_have_to_be(tmp_path):
    """mindcv's DeepLabV3 was trained on BGR; what convert writes sees RGB and is not turned again."""
    tensors = zeros(LAYOUTS["mindcv deeplab_v3_r50_s16"])
    first = np.arange(64 * 3 * 49, dtype=np.float32).reshape(64, 3, 7, 7)
    tensors["backbone.net.conv1.weight"] = first
    file, ours = tmp_path / "mindcv.safetensors", tmp_path / "ours.safetensors"
    save_file({name: np.ascontiguousarray(value) for name, value in tensors.items()}, file)

    def seen(path: Path, **options: str) -> np.ndarray:
        return checkpoint.known_weights(path, **options).tensors["stem.conv.weight"]

    np.testing.assert_array_equal(seen(file), first[:, ::-1])
    np.testing.assert_array_equal(seen(file, channels="bgr"), first[:, ::-1])
    np.testing.assert_array_equal(seen(file, channels="rgb"), first)
    known = checkpoint.known_weights(file)
    assert known.is_reversed
    assert build.describe_loaded(known, False) == [
        "trained on BGR, so the first convolution's input channels were reversed"
    ]
    for way, expected in (("auto", first[:, ::-1]), ("rgb", first)):
        words = ["--net", "deeplab_v3_r50_s8", "--out", str(ours), "--weights_channels", way]
        assert convert_command.main([str(file), *words]) == 0
        np.testing.assert_array_equal(seen(ours), expected)
    np.testing.assert_array_equal(
        seen(ours, channels="bgr"), first[:, ::-1], "of any source, if the user says so"
    )


@pytest.mark.parametrize(
    ("shapes", "found"),
    [
        ({"a": (4, 4, 3, 3)}, "0 tensors take 3 channels (none)"),
        ({"a": (4, 3, 3, 3), "b": (4, 3, 1, 1)}, "2 tensors take 3 channels (a, b)"),
    ],
)
def test_colours_that_can_not_be_turned_round_are_refused(shapes, found):
    known = fit.Known("resnet", Layout("somebody"), zeros(shapes), {}, {})
    assert fit.as_rgb(known) is known
    with pytest.raises(CheckpointError, match=re.escape(f"colours of somebody's weights: {found}, not one")):
        fit.as_rgb(known, "bgr")


def test_two_tensors_for_one_place_are_refused():
    twice = {"layer1.0.conv1.weight": np.zeros(1), "fc.bias": np.zeros(1), "classifier.bias": np.zeros(1)}
    with pytest.raises(CheckpointError, match=r"fc\.bias and classifier\.bias are both classifier\.bias"):
        fit.recognised(Stored("pytorch", twice), MAPS)


def test_a_norm_is_known_by_its_running_mean_and_not_by_its_name():
    names = [
        "downsample.1.weight",
        "downsample.1.running_mean",
        "downsample.1.num_batches_tracked",
        "bn_free.weight",
        "n.norm.weight",
    ]
    assert with_mindspore_norms(dict.fromkeys(names)) == {
        "downsample.1.weight": "downsample.1.gamma",
        "downsample.1.running_mean": "downsample.1.moving_mean",
        "bn_free.weight": "bn_free.weight",
        "n.norm.weight": "n.norm.weight",
    }


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "network."])
def test_wrappers_and_optimisers_are_left_out(prefix):
    plain = SOURCES["mindcv resnet50"][0].tensors
    state = {"moments.conv1.weight": np.zeros(3), "learning_rate": np.zeros(()), "step_num": np.ones(())}
    wrapped = {**{prefix + name: value for name, value in plain.items()}, **state}
    known = fit.recognised(Stored("mindspore", wrapped), MAPS)
    assert set(known.origins.values()) == {prefix + name for name in plain}


def test_the_zoos_cifar_network_has_a_norm_in_its_stem():
    shapes = {
        "backbone.features.conv0.weight": (24, 3, 3, 3),
        "backbone.features.denseblock1.cell_list.0.norm1.gamma": (24,),
    }
    assert densenet.layout_of(shapes).needs == {"transition_pool": ("avg",), "stem_norm": (True,)}
    for name, has_norm in (("stem.norm0.gamma", True), ("stem.norm1.gamma", False)):
        ours = {"stem.conv0.weight": (24, 3, 3, 3), "stages.0.layers.0.norm1.gamma": (24,), name: (24,)}
        assert densenet.layout_of(ours).needs == {"stem_norm": (has_norm,)}


def test_unset_epsilons_are_those_of_the_networks():
    for maps, family in ((resnet, "resnet"), (inception, "inception_v4")):
        assert models.families()[family].BN_EPS == maps.NETWORK["bn_eps"] == maps.EPS[0]
    assert MAPS["deeplab_v3"].NETWORK["bn_eps"] == MAPS["deeplab_v3"].EPS[0] == resnet.EPS[0]
    for family, module in models.families().items():
        assert set(MAPS[family].NETWORK) <= set(models.options_of(module))


def test_weights_of_another_family_and_of_nobody(tmp_path):
    save_file(seeded.weights({"conv1.weight": [1], "layer1.0.conv1.weight": [1]}), tmp_path / "r.safetensors")
    with pytest.raises(
        CheckpointError,
        match=r"r\.safetensors has weights of resnet \(torchvision or timm\), not of densenet",
    ):
        checkpoint.known_weights(Path(tmp_path / "r.safetensors"), "densenet")
    save_file({"what.is.this": np.zeros(1)}, tmp_path / "x.safetensors")
    with pytest.raises(CheckpointError, match=r"tensors named what\.is\.this; see docs/weights\.md"):
        checkpoint.known_weights(Path(tmp_path / "x.safetensors"), "densenet")


def test_weights_are_converted_from_and_to_a_bucket(url, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MINDLIFT_CACHE", str(tmp_path / "cache"))
    save_file(seeded.weights(LAYOUTS["mindcv resnet50"]), tmp_path / "r.safetensors")
    file.copy(str(tmp_path / "r.safetensors"), f"{url}/weights/r.safetensors")
    assert convert_command.main([f"{url}/weights", "--out", f"{url}/ours/r50.ckpt"]) == 0
    shown = capsys.readouterr().out
    assert (
        f"use: --net resnet50 --num_classes 10 --pretrained {url}/ours/r50.ckpt --stem_pool same\n" in shown
    )
    file.copy(f"{url}/ours/r50.ckpt", str(tmp_path / "back.ckpt"))
    known = checkpoint.known_weights(tmp_path / "back.ckpt")
    assert (known.layout.source, len(known.tensors)) == ("MindLift", 267)
    assert known.needs == {"conv_pad": ("sym",), "stem_pool": ("same",), "bn_eps": (1e-5, None)}


def test_googles_kernels_are_turned():
    rng = np.random.default_rng(0)
    kernel, head = rng.normal(size=(3, 2, 5, 7)), rng.normal(size=(1, 1, 6, 4))
    given = {
        "resnet/block2/unit03/b/standardized_conv2d/kernel": kernel,
        "resnet/head/conv2d/kernel": head,
        "resnet/block1/unit01/a/group_norm/gamma": np.ones(3),
    }
    found = fit.recognised(Stored("numpy", given), MAPS).tensors
    assert found["stages.1.2.conv2.weight"][6, 4, 2, 1] == kernel[2, 1, 4, 6]
    assert found["classifier.weight"][3, 5] == head[0, 0, 5, 3]


def test_google_has_306_arrays_for_r101x3():
    """Three convolutions and three norms in each of 33 units, four projections, the stem, the last norm, the head."""
    depths, _ = models.families()["bit"].VARIANTS["bit_r101x3"]
    names = [
        f"stages.{s}.{b}.{part}"
        for s, depth in enumerate(depths)
        for b in range(depth)
        for part in (
            "conv1",
            "conv2",
            "conv3",
            *(f"norm{i}.{p}" for i in (1, 2, 3) for p in ("gamma", "beta")),
        )
    ]
    assert len(names) + 4 + 1 + 2 + 2 == 306


@pytest.mark.parametrize("average", [True, False])
def test_of_a_training_the_average_or_the_weights(average):
    """The port's and our checkpoints hold both, and the optimiser's state of the weights."""
    shapes = port_bit()
    raw = {name: np.zeros(shape, np.float32) for name, shape in list(shapes.items())[:5]}
    both = {
        **raw,
        **{f"ema.{name}": value + 1 for name, value in raw.items()},
        "mean_square.root.conv.weight": np.zeros(1),
    }
    known = fit.recognised(Stored("mindspore", both), MAPS, average)
    assert known.is_average == average
    assert len(known.tensors) == 5
    assert {float(value.max()) for value in known.tensors.values()} == {float(average)}
    only = {name: value for name, value in both.items() if name.startswith("ema.")}
    assert fit.recognised(Stored("mindspore", only), MAPS, average).is_average, "there is nothing else"
    assert not fit.recognised(Stored("mindspore", raw), MAPS, average).is_average


def test_a_head_for_other_classes_says_what_to_pass(wanted):
    tensors = dict(SOURCES["google bit_r50x1"][0].tensors)
    tensors["resnet/head/conv2d/kernel"] = np.broadcast_to(np.float32(0), (1, 1, 2048, 21843))
    tensors["resnet/head/conv2d/bias"] = np.broadcast_to(np.float32(0), (21843,))
    known = fit.recognised(Stored("numpy", tensors), MAPS)
    with pytest.raises(
        CheckpointError, match=r"its classifier has 21843 classes, this network's 10; pass --filter_head true"
    ):
        fit.fitted(known, wanted["bit_r50x1"], (), "file")
    assert not set(HEAD) & set(fit.fitted(known, wanted["bit_r50x1"], HEAD, "file"))
