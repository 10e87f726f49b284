"""Weights of timm and torchvision in networks of mindcv: every tensor filled once, and the same logits.

What the peers compute is recorded, see external/make.py; with which versions, too.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from mindlift.errors import CheckpointError, ConfigError
from mindlift.model_utils.config import config
from mindlift.models.external import peers
from tests.golden.external import cases
from tests.golden.weights import seeded

LAYOUTS, LOGITS = cases.layouts(), cases.logits()
TOLERANCE = 1e-4  # of the largest logit
MINDCV = pytest.mark.skipif(
    importlib.util.find_spec("mindcv") is None, reason="mindcv is not installed (pip install mindcv)"
)
CLASSES = {  # of mindcv, by the beginnings of nets
    "mindcv:resnet": "mindcv.models.resnet.ResNet",
    "mindcv:mobilenet": "mindcv.models.mobilenetv3.MobileNetV3",
    "mindcv:efficientnet": "mindcv.models.efficientnet.EfficientNet",
    "mindcv:convnext": "mindcv.models.convnext.ConvNeXt",
    "mindcv:swin": "mindcv.models.swintransformer.SwinTransformer",
    "mindcv.models.vit": "mindcv.models.vit.VisionTransformer",
}
NORM = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}


def class_of(case: cases.Case) -> str:
    return next(name for net, name in CLASSES.items() if case.net.startswith(net))


def with_mindspore_norms(shapes: dict[str, tuple]) -> dict[str, tuple]:
    norms = {name.rpartition(".")[0] for name in shapes if name.endswith(".running_mean")}
    found = {}
    for name, shape in shapes.items():
        owner, _, part = name.rpartition(".")
        if part != "num_batches_tracked":
            found[f"{owner}.{NORM[part]}" if owner in norms else name] = shape
    return found


@pytest.mark.parametrize("name", cases.BY_NAME)
def test_every_tensor_has_its_place(name):
    """Names and shapes of the peer's network fill mindcv's, but for its constants, exactly once."""
    case = cases.BY_NAME[name]
    own, theirs = LAYOUTS[case.mindcvs], with_mindspore_norms(LAYOUTS[name])
    source = peers.source_of(class_of(case), own, theirs)
    assert source is not None
    assert source.name in (case.source, peers.BOTH)
    assert case.net_args.partition(",")[0].partition("=")[2] in source.ways
    rename, fold = peers.rename_of(source, own), peers.fold_of(source, own)
    arrays = fold({each: np.broadcast_to(np.float32(0), shape) for each, shape in theirs.items()})
    named = [(rename(each), array.shape) for each, array in arrays.items()]
    used = [pair for pair in named if not pair[0].startswith(peers.UNUSED)]
    assert len({each for each, _ in used}) == len(used)
    constants = peers.constants_of(own)
    assert dict(used) == {each: shape for each, shape in own.items() if each not in constants}


@pytest.mark.parametrize("name", cases.BY_NAME)
def test_own_names_are_nobody_elses(name):
    case = cases.BY_NAME[name]
    own = LAYOUTS[case.mindcvs]
    assert peers.source_of(class_of(case), own, own) is None


def test_three_in_one_come_apart_in_their_order():
    """timm: qkv.reshape(B, N, 3, heads, dim), so queries come first, then keys, then values."""
    case = cases.BY_NAME["timm swin_tiny_patch4_window7_224"]
    own = LAYOUTS[case.mindcvs]
    source = peers.source_of(class_of(case), own, LAYOUTS[case.name])
    name = "layers.0.blocks.1.attn.qkv.bias"
    found = peers.fold_of(source, own)({name: np.arange(288.0)})
    parts = {peers.rename_of(source, own)(each): array[0] for each, array in found.items()}
    assert parts == {f"layers.0.blocks.1.attn.{letter}.bias": 96.0 * i for i, letter in enumerate("qkv")}


def configuration(case: cases.Case, net_args: str) -> config.Config:
    words = {"net": case.net, "num_classes": cases.CLASSES, "image_size": case.side, "net_args": net_args}
    return config.load([str(word) for key, value in words.items() for word in (f"--{key}", value)])


def saved(case: cases.Case, folder: Path) -> Path:
    """Its file of weights, as a user of timm has one."""
    tensors = {
        name: np.ascontiguousarray(cases.tensor(case, name, shape))
        for name, shape in LAYOUTS[case.name].items()
    }
    for name, array in tensors.items():
        if name.endswith("relative_position_index"):
            tensors[name] = np.zeros(array.shape, np.int64)
    file = folder / "weights.safetensors"
    save_file(tensors, file)
    return file


@MINDCV
@pytest.mark.heavy
@pytest.mark.parametrize("name", cases.BY_NAME)
def test_logits_are_the_peers(name, tmp_path):
    import mindspore as ms

    from mindlift.model_utils import devices
    from mindlift.tasks import network as build

    case = cases.BY_NAME[name]
    cfg = configuration(case, case.net_args)
    network = build.network(cfg, devices.of(devices.CPU))
    build.load_pretrained(cfg, network, saved(case, tmp_path))
    found = network.set_train(False)(ms.Tensor(seeded.images(case.side))).asnumpy()
    wanted = np.array(LOGITS[name])
    assert np.abs(found - wanted).max() <= TOLERANCE * np.abs(wanted).max()


@MINDCV
@pytest.mark.heavy
def test_other_conventions_are_refused(tmp_path):
    """mindcv pads the stem's pool in another way: the same weights would give other logits without a word."""
    from mindlift.model_utils import devices
    from mindlift.tasks import network as build

    case = cases.BY_NAME["timm resnet18"]
    file = saved(case, tmp_path)
    cfg = configuration(case, "")
    network = build.network(cfg, devices.of(devices.CPU))
    with pytest.raises(ConfigError, match="pass --net_args conventions=timm"):
        build.load_pretrained(cfg, network, file)
    other = configuration(case, "conventions=jax")
    with pytest.raises(
        ConfigError, match="conventions=jax: not known of mindcv:resnet18; choose timm or torchvision"
    ):
        build.network(other, devices.of(devices.CPU))
    cut = configuration(case, case.net_args)
    network = build.network(cut, devices.of(devices.CPU))
    save_file({"layer1.0.conv1.weight": np.zeros((64, 64, 3, 3), np.float32)}, file)
    with pytest.raises(CheckpointError):
        build.load_pretrained(cut, network, file)
