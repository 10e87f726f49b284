"""Names of other sources: who wrote a file is seen, every tensor finds its place once, and what differs is said."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from mindlift import models
from mindlift.cli import convert as convert_command
from mindlift.errors import CheckpointError, ConfigError
from mindlift.inference import convert
from mindlift.model_utils import devices
from mindlift.model_utils.config import config
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

LAYOUTS = seeded.layouts()
MAPS = models.weight_maps()
NORM = ("gamma", "beta", "moving_mean", "moving_variance")


def zeros(shapes: dict[str, tuple]) -> dict[str, np.ndarray]:
    """Arrays of these shapes that take no memory."""
    return {name: np.broadcast_to(np.float32(0), tuple(shape)) for name, shape in shapes.items()}


def stored_of(case: str, form: str = "pytorch") -> Stored:
    return Stored(form, zeros(LAYOUTS[case]))


def zoo_densenet() -> dict[str, tuple]:
    names = {name: tuple(shape) for name, shape in LAYOUTS["mindcv densenet121"].items()}
    inside = {
        f"backbone.{name}": shape for name, shape in names.items() if not name.startswith("classifier.")
    }
    return {**inside, "head.fc.weight": (10, 1024), "head.fc.bias": (10,)}


def zoo_resnet(rows: int = 1001) -> dict[str, tuple]:
    names = {
        name.replace("down_sample", "down_sample_layer").replace("classifier", "end_point"): tuple(shape)
        for name, shape in LAYOUTS["mindcv resnet50"].items()
    }
    return {**names, "end_point.weight": (rows, 2048), "end_point.bias": (rows,)}


def zoo_inception(rows: int = 10) -> dict[str, tuple]:
    names = {
        re.sub(r"\.conv\.weight$", ".conv.conv.weight", re.sub(r"\.bn\.", ".conv.batchnorm.", name)): tuple(
            shape
        )
        for name, shape in LAYOUTS["mindcv inception_v4"].items()
        if not name.startswith("classifier.")
    }
    head = {"softmax.dense.weight": (rows, 1536), "softmax.dense.bias": (rows,)}
    return {
        **names,
        **head,
        **{f"bn0.{part}": (1536,) for part in NORM},
        **{f"softmax.batchnorm.{part}": (rows,) for part in NORM},
    }


def google_bit() -> dict[str, tuple]:
    """Google's names of R50x1, kernels as (height, width, in, out)."""
    found = {}
    for name, shape in LAYOUTS["timm bit_r50x1"].items():
        if match := re.fullmatch(r"stages\.(\d)\.blocks\.(\d+)\.(.*)", name):
            unit = f"resnet/block{int(match[1]) + 1}/unit{int(match[2]) + 1:02}"
            letter = "abc"[int(re.sub(r"\D", "", match[3]) or 1) - 1]
            part = {"weight": "gamma", "bias": "beta"}[match[3].rpartition(".")[2]]
            kernel = f"{'proj/' if 'downsample' in match[3] else ''}standardized_conv2d/kernel"
            name = f"{unit}/{letter}/{'group_norm/' + part if 'norm' in match[3] else kernel}"
        else:
            name = {
                "stem.conv.weight": "resnet/root_block/standardized_conv2d/kernel",
                "norm.weight": "resnet/group_norm/gamma",
                "norm.bias": "resnet/group_norm/beta",
                "head.fc.weight": "resnet/head/conv2d/kernel",
                "head.fc.bias": "resnet/head/conv2d/bias",
            }[name]
        found[name] = tuple(shape[i] for i in (2, 3, 1, 0)) if len(shape) == 4 else tuple(shape)
    return found


def port_bit() -> dict[str, tuple]:
    """The MindSpore port's names of R50x1."""
    found = {}
    for name, shape in LAYOUTS["mindcv bit_r50x1"].items():
        if match := re.fullmatch(r"layer(\d)\.(\d+)\.(.*)", name):
            rest = match[3].replace("down_sample.0", "downsample")
            name = f"body.block{match[1]}.unit{int(match[2]) + 1:02}.{rest}"
        else:
            name = (
                {"conv1": "root.conv", "gn": "head.gn", "classifier": "head.conv"}[name.partition(".")[0]]
                + "."
                + (name.partition(".")[2])
            )
        found[name] = tuple(shape)
    return found


def zoo_deeplab(prefix: str = "network.", backbone: str = "network.resnet.") -> dict[str, tuple]:
    """The zoo's names on ResNet-50; with the default names as a training writes them."""
    found = {}
    for name, shape in LAYOUTS["mindcv deeplab_v3_r50_s16"].items():
        if name.startswith("backbone.net."):
            name = backbone + name[len("backbone.net.") :].replace("down_sample", "downsample")
        else:
            name = re.sub(r"^conv\.", "aspp.conv2.", name).replace("aspp_convs.4.", "aspp_pooling.")
            name = prefix + re.sub(r"aspp_convs\.(\d)\._", lambda m: f"aspp{int(m[1]) + 1}.", name)
        found[name] = tuple(shape)
    return found


def torchvision_deeplab(with_auxiliary: bool) -> dict[str, tuple]:
    shapes = LAYOUTS["torchvision deeplab_v3_r50_tv"]
    return {
        name: tuple(shape) for name, shape in shapes.items() if with_auxiliary or not name.startswith("aux")
    }


# id: (what a file holds, source, net, what the network must have)
PAPER, ZOO_121 = (
    {"transition_pool": "avg", "stem_pool": "sym"},
    {"transition_pool": "max", "stem_pool": "same"},
)
TORCH, ZOO_50 = (
    {"conv_pad": pad, "stem_pool": pad, "bn_eps": eps} for pad, eps in (("sym", 1e-5), ("same", 1e-4))
)
BIT = {"conv_pad": "sym", "std_eps": 1e-10}
SEEN = {**TORCH, "stem_pool": "same", "aspp_rates": "6,12,18"}
SOURCES = {
    "torchvision densenet121": (stored_of("torchvision densenet121"), "torchvision or timm", PAPER),
    "mindcv densenet121": (stored_of("mindcv densenet121", "mindspore"), "mindcv", PAPER),
    "zoo densenet121": (Stored("mindspore", zeros(zoo_densenet())), "the MindSpore model zoo", ZOO_121),
    "torchvision resnet50": (stored_of("torchvision resnet50"), "torchvision or timm", TORCH),
    "mindcv resnet50": (stored_of("mindcv resnet50", "mindspore"), "mindcv", {**TORCH, "stem_pool": "same"}),
    "zoo resnet50": (Stored("mindspore", zeros(zoo_resnet(10))), "the MindSpore model zoo", ZOO_50),
    "timm inception_v4": (stored_of("timm inception_v4"), "timm", {"bn_eps": 1e-3, "normalize": "half"}),
    "mindcv inception_v4": (stored_of("mindcv inception_v4", "mindspore"), "mindcv", {"bn_eps": 1e-3}),
    "zoo inception_v4": (
        Stored("mindspore", zeros(zoo_inception())),
        "the MindSpore model zoo",
        {"bn_eps": 1e-5},
    ),
    "google bit_r50x1": (Stored("numpy", zeros(google_bit())), "Google", BIT),
    "timm bit_r50x1": (stored_of("timm bit_r50x1"), "timm", {**BIT, "std_eps": 1e-8}),
    "mindcv bit_r50x1": (stored_of("mindcv bit_r50x1", "mindspore"), "mindcv", BIT),
    "torchvision deeplab_v3_r50_tv": (
        Stored("pytorch", zeros(torchvision_deeplab(False))),
        "torchvision",
        {**TORCH, "aspp_rates": "12,24,36"},
    ),
    "mindcv deeplab_v3_r50_s16": (stored_of("mindcv deeplab_v3_r50_s16", "mindspore"), "mindcv", SEEN),
    "zoo deeplab_v3_r50_s16": (Stored("mindspore", zeros(zoo_deeplab())), "the MindSpore model zoo", SEEN),
    "zoo, renamed twice deeplab_v3_r50_s16": (
        Stored("mindspore", zeros(zoo_deeplab("network.resnet.network.", "network.resnet.network.resnet."))),
        "the MindSpore model zoo",
        SEEN,
    ),
    "port bit_r50x1": (
        Stored("mindspore", zeros(port_bit())),
        "the MindSpore port of BigTransfer",
        {**BIT, "conv_pad": "same"},
    ),
}


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
    assert (known.layout.source, known.family) == (source, build.family_name(net))
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


def test_unset_epsilons_are_those_of_the_networks():
    for maps, family in ((resnet, "resnet"), (inception, "inception_v4")):
        assert models.families()[family].BN_EPS == maps.NETWORK["bn_eps"] == maps.EPS[0]
    assert MAPS["deeplab_v3"].NETWORK["bn_eps"] == MAPS["deeplab_v3"].EPS[0] == resnet.EPS[0]
    for family, module in models.families().items():
        assert set(MAPS[family].NETWORK) <= set(models.options_of(module))


def configuration(net: str, **options: object) -> config.Config:
    words = {"net": net, "dataset": "imagenet", "num_classes": 10, "image_size": 96, **options}
    return config.load([str(word) for name, value in words.items() for word in (f"--{name}", value)])


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
