"""No primitive in a graph for Ascend that was not reviewed: names and types, of real graphs as MindSpore validates them."""

from __future__ import annotations

import re
import shutil
from functools import lru_cache
from pathlib import Path

import mindspore.ops as ops
import numpy as np
import pytest
import yaml
from mindspore.ops import auto_generate
from PIL import Image

from tests.e2e.test_ascend_form import CHIP_910A, run_form
from tests.support.programs import ROOT, run_program

LIST = ROOT / "tests/golden/ascend_primitives.yaml"
LINE = re.compile(r"^\s+%\d+\([^)]*\) = (?:PrimFunc_)?([A-Z]\w*)[\(\[]")
TYPE = re.compile(r"Tensor\[(\w+)\]")
STAND_INS = {"Identity"}  # in place of the float status, see tests/support/ascend_form.py


@lru_cache(maxsize=1)
def reviewed() -> dict[str, dict]:
    return yaml.safe_load(LIST.read_text(encoding="utf-8"))


def graphs(folder: Path) -> dict[str, set[str]]:
    """Name of each primitive -> types of the tensors that it takes and gives, of all graphs saved in `folder`."""
    found: dict[str, set[str]] = {}
    files = sorted(folder.rglob("*validate*.ir"))
    assert files, f"no graphs in {folder}"
    for file in files:
        lines = file.read_text(encoding="utf-8").splitlines()
        for line, types in zip(lines, lines[1:]):
            if match := LINE.match(line):
                found.setdefault(match[1], set()).update(TYPE.findall(types))
    return found


def complaints(found: dict[str, set[str]]) -> list[str]:
    known = reviewed()
    return [
        f"{name} {sorted(types - set(known.get(name, {'types': ()})['types']))}"
        for name, types in sorted(found.items())
        if name not in STAND_INS and (name not in known or not types <= set(known[name]["types"]))
    ]


def check(folder: Path, program: str, *arguments: object) -> dict[str, set[str]]:
    """Run a program in Ascend's form and look at what it has compiled."""
    saved = folder / "graphs"
    shutil.rmtree(saved, ignore_errors=True)
    done = run_form(
        program,
        *arguments,
        chip=CHIP_910A,
        timeout=900,
        MS_DEV_SAVE_GRAPHS="1",
        MS_DEV_SAVE_GRAPHS_PATH=str(saved),
    )
    assert done.code == 0, done.err
    found = graphs(saved)
    shutil.rmtree(saved)
    assert not complaints(found)
    return found


STEP = ("--max_steps", 1, "--run_eval", "true", "--per_batch_size", 2)
DENSENET = ROOT / "src/mindlift/models/densenet/recipes/densenet22_digits.yaml"
CASES = [
    (
        "densenet22",
        "digits",
        (
            "--is_dynamic_loss_scale",
            1,
            "--enable_ema",
            "true",
            "--ema_warmup",
            "true",
            "--ema_start_epoch",
            1,
            "--enable_clip_norm",
            "true",
        ),
        "Conv2DBackpropFilter",
    ),
    *(
        ("densenet22", "digits", (*words.split(), "--enable_clip_norm", "true", "--clip_mode", clip), sign)
        for words, clip, sign in (
            ("--optimizer lamb --weight_decay_exclude *.bias", "agc", "Expm1"),
            ("--optimizer adamw --layer_decay 0.5", "norm", "Expm1"),
            ("--optimizer lars --lars_coefficient 0.01", "value", "LogicalOr"),
            ("--optimizer lion --weight_decay 0.01", "norm", "Sign"),
            ("--nesterov true --layer_decay 0.5", "norm", "AssignAdd"),
        )
    ),
    ("deeplab_v3_r26_s16", "vocdigits", ("--image_size", 33), "MaxPoolGrad"),
    (
        "resnet50",
        "digits",
        ("--image_size", 32, "--mixup_alpha", 0.2, "--drop_path", 0.2, "--head_dropout", 0.1),
        "Floor",
    ),
    ("bit_r50x1", "digits", ("--image_size", 32, "--cutmix_alpha", 1), "LayerNormGrad"),
    ("inception_v4", "digits", ("--image_size", 75, "--label_smooth", 1), "Floor"),
    ("densenet121", "digits", ("--image_size", 32, "--config_path", DENSENET), "MaxPoolGrad"),
    (
        "deeplab_v3_r26_s16",
        "vocdigits",
        ("--image_size", 65, "--accumulation_steps", 2, "--dropout", 0.7),
        "Floor",
    ),
    (
        "deeplab_v3_r50_tv",
        "vocdigits",
        (
            "--image_size",
            65,
            "--config_path",
            ROOT / "src/mindlift/models/deeplab_v3/recipes/deeplab_v3_r26_s16_vocdigits.yaml",
        ),
        "MaxPoolGrad",
    ),
]


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("net", "dataset", "options", "sign"),
    CASES,
)
def test_a_training_and_its_evaluation(net, dataset, options, sign, tmp_path):
    found = check(
        tmp_path,
        "train.py",
        "--net",
        net,
        "--dataset",
        dataset,
        *STEP,
        "--ckpt_path",
        tmp_path / "runs",
        *options,
    )
    assert {sign, "Softmax" if dataset == "vocdigits" else "Argmax"} <= found.keys()


LOSSES = {  # and a primitive of each
    "bce": ("--loss bce --bce_target_threshold 0.3 --mixup_alpha 0.4 --class_weights balanced", "Softplus"),
    "focal": ("--loss focal --label_smoothing 0.1", "Sigmoid"),
    "asl": ("--loss asl --sampler balanced", "Exp"),
    "jsd": ("--loss jsd --aug_splits 2 --color_jitter 0.4 --label_smoothing 0.1", "Log"),
}
OF_SEVERAL = {"bce": ("--bce_pos_weight balanced", "Softplus"), "asl": ("--loss asl", "Sigmoid")}


@pytest.mark.heavy
@pytest.mark.parametrize("name", LOSSES)
def test_a_training_by_each_loss(name, tmp_path):
    words, sign = LOSSES[name]
    net = ("--net", "densenet22", "--dataset", "digits", *STEP, *words.split())
    assert sign in check(tmp_path, "train.py", *net, "--ckpt_path", tmp_path / "runs")


@pytest.mark.heavy
@pytest.mark.parametrize("name", OF_SEVERAL)
def test_a_training_on_images_of_several_labels(name, tmp_path):
    words, sign = OF_SEVERAL[name]
    (tmp_path / "photos").mkdir()
    lines = ["image,cat,dog", "0.png,1,0", "1.png,0,1", "2.png,1,1", "3.png,0,0"]
    (tmp_path / "photos/labels.csv").write_text("\n".join(lines))
    for number in range(4):
        Image.new("RGB", (16, 16), (60 * number, 0, 0)).save(tmp_path / f"photos/{number}.png")
    data = ("--dataset", "multilabel", "--num_classes", 2, "--data_dir", tmp_path / "photos")
    net = ("--config_path", DENSENET, "--image_size", 16, *data, *STEP, *words.split())
    assert sign in check(tmp_path, "train.py", *net, "--ckpt_path", tmp_path / "runs")


@pytest.mark.heavy
@pytest.mark.parametrize(("kind", "sign"), [("soft", "Exp"), ("hard", "Argmax")])
def test_a_training_with_a_teacher(kind, sign, tmp_path):
    net = ("--net", "densenet22", "--dataset", "digits", *STEP)
    trained = run_program("train.py", *net, "--ckpt_path", tmp_path / "teacher")
    teacher = ("--teacher", "densenet22", "--teacher_weights", trained.result["run"], "--distill", kind)
    found = check(tmp_path, "train.py", *net, *teacher, "--ckpt_path", tmp_path / "runs")
    assert sign in found


@pytest.mark.heavy
def test_evaluations_over_scales_and_crops(tmp_path):
    rng = np.random.default_rng(0)
    for kind in ("cat", "dog"):
        (tmp_path / "data" / kind).mkdir(parents=True)
        for number in range(2):
            pixels = rng.integers(0, 255, (30, 40, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "data" / kind / f"{number}.png")
    photos = (
        "--config_path",
        DENSENET,
        "--dataset",
        "imagenet",
        "--num_classes",
        2,
        "--data_dir",
        tmp_path / "data",
    )
    size = ("--image_size", 16, "--per_batch_size", 2)
    trained = run_program(
        "train.py", *photos, *size, "--max_steps", 1, "--run_eval", "false", "--ckpt_path", tmp_path / "a"
    )
    crops = ("--crops", 144, "--crop_scales", "18,20", "--crop_batch", 64, "--eval_path", tmp_path / "eval")
    found = check(tmp_path, "eval.py", *photos, *size, "--pretrained", trained.result["run"], *crops)
    assert "ReverseV2" in found
    net = ("--net", "deeplab_v3_r26_s16", "--dataset", "vocdigits", "--image_size", 65)
    trained = run_program("train.py", *net, *STEP[:2], "--run_eval", "false", "--ckpt_path", tmp_path / "b")
    found = check(
        tmp_path,
        "eval.py",
        *net,
        "--pretrained",
        trained.result["run"],
        "--scales",
        "0.5,1.0",
        "--flip",
        "true",
    )
    assert "ReverseV2" in found


def test_what_is_not_in_the_list_is_a_complaint():
    """The three that the AI cores don't compute, float64, and a sum of int32, which is int64."""
    wrong = {
        "MaxPool3DWithArgmax": {"Float16", "Int32"},
        "MaxPool3DGradWithArgmax": {"Float16"},
        "GatherDGradV2": {"Float32"},
        "Add": {"Float64"},
        "SumExt": {"Int32", "Int64"},
        "ReLU": {"Float16"},
    }
    assert complaints(wrong) == [
        "Add ['Float64']",
        "GatherDGradV2 ['Float32']",
        "MaxPool3DGradWithArgmax ['Float16']",
        "MaxPool3DWithArgmax ['Float16', 'Int32']",
        "SumExt ['Int32', 'Int64']",
    ]


@pytest.mark.parametrize("name", sorted(yaml.safe_load(LIST.read_text(encoding="utf-8"))))
def test_mindspores_reference_lists_ascend(name):
    entry = reviewed()[name]
    assert not {"Float64", "Int64"} & set(entry["types"])
    if entry.get("control"):
        return
    if "gradient_of" in entry:
        assert entry["gradient_of"] in reviewed()
        return
    pages = [getattr(place, entry["page"], None) for place in (ops, auto_generate)]
    texts = [
        page.__doc__ for page in pages if page is not None and "Supported Platforms" in (page.__doc__ or "")
    ]
    assert texts, f"no page mindspore.ops.{entry['page']}"
    assert "``Ascend``" in texts[0].split("Supported Platforms:")[1].strip().splitlines()[0]
