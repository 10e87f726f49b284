"""Weights of every form through the programs: trained from, evaluated, converted, and refused in one line."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import mindspore as ms
import numpy as np
import pytest
from safetensors.numpy import save_file

import mindlift
from mindlift.cli import convert, program
from mindlift.model_utils import devices
from mindlift.model_utils.config import config
from mindlift.tasks import network as build
from tests.doubles.hub import Hub
from tests.support.programs import ROOT, TINY, environment, run_program, run_python, run_ranks
from tests.support.torch_writer import write_state

TORCH_NORM = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def torch_name(name: str) -> str:
    """torchvision's name of a DenseNet's tensor."""
    name = re.sub(r"^stem\.|^(?=norm\.)", "features.", name).replace("features.norm.", "features.norm5.")
    name = re.sub(
        r"^stages\.(\d+)\.layers\.(\d+)",
        lambda m: f"features.denseblock{int(m[1]) // 2 + 1}.denselayer{int(m[2]) + 1}",
        name,
    )
    name = re.sub(r"^stages\.(\d+)", lambda m: f"features.transition{int(m[1]) // 2 + 1}", name)
    owner, _, part = name.rpartition(".")
    return f"{owner}.{TORCH_NORM.get(part, part)}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One network as a .ckpt, a .pth of PyTorch and a .safetensors."""
    root = tmp_path_factory.mktemp("weights")
    network = build.network(config.load([*TINY, "--seed", "3"]), devices.of(devices.CPU))
    tensors = {name: parameter.asnumpy() for name, parameter in network.parameters_dict().items()}
    ms.save_checkpoint(network, str(root / "net.ckpt"))
    foreign = {torch_name(name): value for name, value in tensors.items()}
    assert "features.denseblock3.denselayer3.norm2.running_var" in foreign
    write_state(root / "net.pth", foreign)
    save_file(foreign, root / "net.safetensors")
    return root


@pytest.mark.heavy
def test_a_folder_of_weights_of_every_form_is_evaluated(folder, few_digits):
    done = run_program("eval.py", *TINY[:4], "--data_dir", few_digits, "--pretrained", folder, "--all")
    assert done.code == 0, done.err
    results = [json.loads(line) for line in done.out.splitlines() if line.startswith("{")]
    assert {result["checkpoint"].rpartition(".")[2] for result in results} == {"ckpt", "pth", "safetensors"}
    figures = {
        tuple(result[key] for key in ("top1_correct", "top5_correct", "total", "loss")) for result in results
    }
    assert len(figures) == 1, "the same network three times"


def test_training_starts_from_weights_of_pytorch(folder, few_digits, tmp_path):
    done = run_program(
        "train.py",
        *TINY,
        "--data_dir",
        few_digits,
        "--pretrained",
        folder / "net.pth",
        "--lr",
        0,
        "--max_steps",
        1,
        "--ckpt_path",
        tmp_path,
        "--transition_pool",
        "avg",
    )
    assert done.code == 0, done.err
    saved, before = (
        ms.load_checkpoint(done.result["checkpoint"]),
        ms.load_checkpoint(str(folder / "net.ckpt")),
    )
    for name in (name for name in before if name.endswith((".weight", ".gamma"))):
        np.testing.assert_array_equal(saved[name].asnumpy(), before[name].asnumpy())


@pytest.mark.heavy
def test_weights_by_name_are_those_of_the_file(folder, few_digits, tmp_path):
    """Fetched once by two ranks, then used without a network by an evaluation, a prediction and from Python."""
    from PIL import Image

    Image.new("RGB", (32, 32), "white").save(tmp_path / "white.png")
    env = {"MINDLIFT_CACHE": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "0"}
    words = [*TINY[:4], "--data_dir", str(few_digits)]
    with Hub({"me/tiny/model.safetensors": (folder / "net.safetensors").read_bytes()}) as hub:
        env["HF_ENDPOINT"] = hub.endpoint
        start = [
            *TINY,
            "--data_dir",
            few_digits,
            "--lr",
            0,
            "--max_steps",
            1,
            "--ckpt_path",
            tmp_path / "runs",
        ]
        trained = run_ranks(2, "train.py", *start, "--pretrained", "hf:me/tiny", **env)
        assert trained.code == 0, trained.err
        assert len(hub.gets("content")) == 1
    saved = ms.load_checkpoint(trained.result["checkpoint"])
    before = ms.load_checkpoint(str(folder / "net.ckpt"))
    for name in (name for name in before if name.endswith((".weight", ".gamma"))):
        np.testing.assert_array_equal(saved[name].asnumpy(), before[name].asnumpy())
    env["HF_HUB_OFFLINE"] = "1"
    by_file = run_program("eval.py", *words, "--pretrained", folder / "net.safetensors")
    by_name = run_program("eval.py", *words, "--pretrained", "hf:me/tiny", **env)
    figures = ("top1_correct", "top5_correct", "total", "loss")
    assert [by_name.result[key] for key in figures] == [by_file.result[key] for key in figures]
    predicted = run_program("predict.py", "hf:me/tiny", tmp_path / "white.png", *TINY[:4], **env)
    assert predicted.code == 0, predicted.err
    assert "white.png" in predicted.out
    unknown = run_program("eval.py", *words, "--pretrained", "hf:me/other", **env)
    assert unknown.code == 1
    assert len(unknown.err.splitlines()) == 1, unknown.err
    assert "hf:me/other is not on this machine (HF_HUB_OFFLINE is set): fetch" in unknown.err


def test_create_model_takes_weights_by_name(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("MINDLIFT_CACHE", str(tmp_path))
    with Hub({"me/tiny/model.safetensors": (folder / "net.safetensors").read_bytes()}) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        network = mindlift.create_model("densenet22", num_classes=10, pretrained="hf:me/tiny")
    before = ms.load_checkpoint(str(folder / "net.ckpt"))
    for name, parameter in network.parameters_dict().items():
        np.testing.assert_array_equal(parameter.asnumpy(), before[name].asnumpy())
    with pytest.raises(mindlift.MindLiftError, match="timm:resnet50 fits --net resnet50, .*, not densenet22"):
        mindlift.create_model("densenet22", num_classes=10, pretrained="timm:resnet50")


# id: (arguments of eval.py, parts of the one line)
REFUSED = {
    "an unknown name": ("--pretrained timm:vit_tiny", ["timm:vit_tiny", "near are timm:resnet50"]),
    "a name of another network": ("--pretrained mindcv:resnet50", ["fits --net resnet50", "not densenet22"]),
    "cut short": ("--pretrained {}/cut.pth", ["cut.pth", "cut short"]),
    "of another variant": (
        "--pretrained {}/net.pth --transition_pool max",
        ["pass --transition_pool avg (now max)"],
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_weights_that_can_not_be_used_are_one_line(case, folder, few_digits):
    arguments, parts = REFUSED[case]
    (folder.parent / "cut").mkdir(exist_ok=True)
    (folder.parent / "cut" / "cut.pth").write_bytes((folder / "net.pth").read_bytes()[:-400])
    words = arguments.replace("{}/cut", f"{folder.parent}/cut/cut").replace("{}", str(folder)).split()
    done = run_program("eval.py", *TINY[:4], "--data_dir", few_digits, *words)
    assert done.code == 2
    assert [part for part in parts if part not in done.error] == []


def run_convert(*arguments: object, cwd) -> subprocess.CompletedProcess:
    return run_python([sys.executable, "-m", "mindlift", "convert", *arguments], cwd)


def test_converting_and_listing(folder, tmp_path):
    done = run_convert(folder / "net.pth", "--to", "safetensors", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "net.mindlift.safetensors: densenet22, " in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["net.mindlift.safetensors"]
    cfg = config.load([*TINY, "--seed", "4"])
    network = build.network(cfg, devices.of(devices.CPU))
    build.load_pretrained(cfg, network, tmp_path / "net.mindlift.safetensors")
    for name, value in ms.load_checkpoint(str(folder / "net.ckpt")).items():
        np.testing.assert_array_equal(network.parameters_dict()[name].asnumpy(), value.asnumpy())


def test_list_shows_every_tensor_and_what_it_becomes(folder, capsys):
    assert convert.main([str(folder / "net.pth"), "--list"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.endswith(
        "pytorch, 107 tensors; source: densenet of torchvision or timm; needs --transition_pool avg --stem_pool sym"
    )
    assert len(lines) == 107
    found = {line.split()[0]: line for line in lines}
    assert found["features.denseblock1.denselayer1.conv2.weight"].split() == [
        "features.denseblock1.denselayer1.conv2.weight",
        "(12,",
        "48,",
        "3,",
        "3)",
        "float32",
        "->",
        "stages.0.layers.0.conv2.weight",
    ]


def test_a_reader_that_has_seen_enough_is_no_failure(folder, tmp_path):
    command = f"set -o pipefail; {sys.executable} -m mindlift convert {folder / 'net.ckpt'} --list | true"
    done = subprocess.run(
        ["bash", "-c", command], cwd=ROOT, env=environment(), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (program.READER_GONE, "")


# id: (arguments, parts of the message)
MISTAKES = {
    "no such file": ("{}/gone.pth", ["no such checkpoint", "gone.pth"]),
    "another net": ("{}/net.pth --net resnet50", ["weights of densenet22", "not of resnet50"]),
    "net unknown": ("{}/net.pth --net vgg", ["--net", "vgg", "densenet22"]),
    "other classes": (
        "{}/net.pth --num_classes 7",
        ["does not fit", "its classifier has 10 classes", "--num_classes 10"],
    ),
    "out is the source": ("{}/net.ckpt --out {}/net.ckpt", ["SOURCE itself"]),
    "out of another form": ("{}/net.ckpt --out {}/net.onnx", ["net.onnx", ".ckpt", ".safetensors"]),
    "out and to disagree": (
        "{}/net.pth --out {}/x.ckpt --to safetensors",
        ["x.ckpt", "ends with .safetensors"],
    ),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_in_converting_are_one_line(case, folder, capsys):
    arguments, parts = MISTAKES[case]
    before = sorted(folder.iterdir())
    assert convert.main(arguments.replace("{}", str(folder)).split()) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert [part for part in parts if part not in error] == []
    assert sorted(folder.iterdir()) == before


def test_a_folder_that_can_not_be_written_is_one_line(folder, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert convert.main([str(folder / "net.pth"), "--out", str(tmp_path / "file" / "x.ckpt")]) == 1
    assert "error: can't save weights" in capsys.readouterr().err


def test_the_head_is_left_out_when_asked(folder, tmp_path):
    assert convert.main([str(folder / "net.pth"), "--filter_head", "--out", str(tmp_path / "body.ckpt")]) == 0
    names = set(ms.load_checkpoint(str(folder / "net.ckpt")))
    assert set(ms.load_checkpoint(str(tmp_path / "body.ckpt"))) == {
        *(name for name in names if not name.startswith("classifier.")),
        "network_options",
    }
