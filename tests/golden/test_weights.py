"""Converted weights compute what the library computes that they are from. See weights/make.py for how that is known."""

from __future__ import annotations

import re
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from safetensors.numpy import save_file

from mindlift.checkout import ROOT
from mindlift.cli import convert as convert_command
from mindlift.errors import ConfigError
from mindlift.model_utils import devices
from mindlift.model_utils.config import config
from mindlift.tasks import network as build
from tests.golden.weights import seeded

LAYOUTS, LOGITS = seeded.layouts(), seeded.logits()
# What each needs besides this project's defaults, as the loader asks for it.
NEEDS = {
    "mindcv resnet50": {"stem_pool": "same"},
    "timm inception_v4": {"normalize": "half"},
    "timm bit_r50x1": {"std_eps": 1e-8},
    "mindcv deeplab_v3_r50_s16": {"stem_pool": "same"},
    "mindcv deeplab_v3_r50_s8": {"stem_pool": "same"},
}
TOLERANCE = 1e-4  # of the largest logit


def configuration(net: str, side: int | list[int], **options: object) -> config.Config:
    size = side if isinstance(side, int) else "{},{}".format(*side)
    dataset = "voc" if net.startswith("deeplab") else "imagenet"
    words = {"net": net, "dataset": dataset, "num_classes": 10, "image_size": size, **options}
    if net.startswith("bit"):
        words["config_path"] = ROOT / "src/mindlift/models/bit/recipes/hyperrule.yaml"
        words.update(augment="none", filter_head="false")
    if net.startswith("deeplab"):
        words["config_path"] = seeded.HERE / "defaults.yaml"
    return config.load([str(word) for name, value in words.items() for word in (f"--{name}", value)])


def write(folder: Path, source: str, tensors: dict[str, np.ndarray]) -> Path:
    """A file as the source's users have it."""
    if source == "mindcv":
        file = folder / "weights.ckpt"
        ms.save_checkpoint(
            [{"name": name, "data": ms.Tensor(value)} for name, value in tensors.items()], str(file)
        )
    else:
        file = folder / "weights.safetensors"
        save_file(tensors, file)
    return file


def distance(cfg: config.Config, file: Path, case: str) -> float:
    """The largest difference of our logits to the library's, as a share of its largest one."""
    network = build.network(cfg, devices.of(devices.CPU))
    build.load_pretrained(cfg, network, file)
    found = network.set_train(False)(ms.Tensor(seeded.images(LOGITS[case]["side"]))).asnumpy()
    found = seeded.kept(found)
    expected = np.array(LOGITS[case]["logits"])
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def marked(case: str):
    is_slow = case.startswith("mindcv") or case == "torchvision deeplab_v3_tv"
    return pytest.param(case, marks=pytest.mark.heavy) if is_slow else case


@pytest.mark.parametrize("case", [marked(case) for case in LAYOUTS if not case.startswith("timm densenet")])
def test_converted_weights_compute_what_their_source_does(case, tmp_path):
    source, net = case.split()
    file = write(tmp_path, source, seeded.weights(LAYOUTS[case]))
    cfg = configuration(net, LOGITS[case]["side"], **NEEDS.get(case, {}))
    assert distance(cfg, file, case) < TOLERANCE


def test_timm_and_torchvision_agree():
    """So that the test above needs one of them only."""
    assert LAYOUTS["timm densenet121"] == LAYOUTS["torchvision densenet121"]
    assert LOGITS["timm densenet121"] == LOGITS["torchvision densenet121"]


def test_old_names_and_a_converted_file_compute_the_same(tmp_path, monkeypatch, capsys):
    """torchvision's densenet121-a639ec97.pth has names such as denselayer1.norm.1.weight."""
    case = "torchvision densenet121"
    weights = {
        re.sub(r"(denselayer\d+\.(?:norm|conv))([12])", r"\1.\2", name): value
        for name, value in seeded.weights(LAYOUTS[case]).items()
    }
    assert "features.denseblock1.denselayer1.norm.1.weight" in weights
    file = write(tmp_path, "torchvision", weights)
    monkeypatch.chdir(tmp_path)
    assert convert_command.main([str(file)]) == 0
    assert "densenet121, 606 tensors with 7,047,754 numbers" in capsys.readouterr().out
    assert distance(configuration("densenet121", 64), tmp_path / "weights.mindlift.ckpt", case) < TOLERANCE


def test_another_variant_of_the_network_is_refused_and_would_matter(tmp_path):
    case = "mindcv resnet50"
    file = write(tmp_path, "mindcv", seeded.weights(LAYOUTS[case]))
    cfg = configuration("resnet50", 64)
    with pytest.raises(ConfigError, match=r"\(mindcv\) is for .*: pass --stem_pool same \(now sym\)"):
        distance(cfg, file, case)
