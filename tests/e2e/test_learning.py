"""The networks learn: handwritten digits as a folder of image files, through the real programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.support.programs import Finished, run_program, run_ranks

FILES = ["--dataset", "imagenet", "--num_classes", 10]
FAMILIES = {"resnet50": "resnet", "bit_r50x1": "bit"}


@pytest.fixture(scope="module")
def folder(digits, tmp_path_factory) -> Path:
    """train/<class>/*.png and val/<class>/*.png of the embedded digits, 32 x 32."""
    from mindlift.data.classification import cifar10

    root = tmp_path_factory.mktemp("files")
    for split, train in (("train", True), ("val", False)):
        images, labels = cifar10.load(digits, train, 10)
        for i, (image, label) in enumerate(zip(images, labels)):
            (root / split / str(label)).mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(root / split / str(label) / f"{i:04d}.png")
    return root


def recipe(net: str) -> list:
    from mindlift.model_utils.config.config import ROOT

    path = ROOT / f"src/mindlift/models/{FAMILIES.get(net, net)}/recipes/{net}_digits.yaml"
    plain = [] if net == "bit_r50x1" else ["--augment", "none"]
    return ["--config_path", path, "--net", net, plain]


def evaluated(done: Finished) -> tuple[int, int]:
    assert done.code == 0, done.err
    return done.result["top1"], done.result["total"]


@pytest.mark.parametrize(
    ("net", "side"),
    [
        pytest.param("resnet50", 32, marks=pytest.mark.heavy),
        pytest.param("bit_r50x1", 32, marks=pytest.mark.heavy),
        pytest.param("inception_v4", 75, marks=pytest.mark.heavy),
    ],
)
def test_a_short_run(net, side, folder, tmp_path):
    """Three steps, and eval.py counts of the checkpoint what the training counted."""
    (*names, plain), others = recipe(net), [*FILES, "--data_dir", folder, "--eval_resize", side]
    common = [*names, *others, "--per_batch_size", 16]
    done = run_program("train.py", *common, *plain, "--max_steps", 3, "--ckpt_path", tmp_path)
    top1, total = evaluated(done)
    assert total == 357
    again = run_program("eval.py", *common, "--pretrained", done.result["run"])
    assert again.code == 0, again.err
    found = json.loads(again.out.strip().splitlines()[-1])
    assert (found["top1"], found["total"]) == (top1, total)


@pytest.mark.heavy
@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize(
    ("net", "side", "least"), [("resnet50", 32, 93.0), ("inception_v4", 75, 85.0), ("bit_r50x1", 32, 90.0)]
)
def test_a_whole_training_reaches_its_accuracy(net, side, least, ranks, folder, tmp_path):
    *names, plain = recipe(net)
    words = [
        *names,
        *plain,
        *FILES,
        "--data_dir",
        folder,
        "--eval_resize",
        side,
        "--per_batch_size",
        32 // ranks,
        "--ckpt_path",
        tmp_path,
    ]
    if ranks == 1:
        done = run_program("train.py", *words, timeout=1800)
    else:
        done = run_ranks(2, "train.py", *words, LOG_DIR=str(tmp_path / "logs"), timeout=1800)
    top1, total = evaluated(done)
    print(f"{net}, {ranks} ranks: {top1} % of {total} in {done.result['seconds']} s")
    assert total == 357
    assert top1 >= least


def losses(done: Finished) -> list[float]:
    lines = (Path(done.result["run"]) / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [found["loss"] for found in map(json.loads, lines) if "lr" in found]


@pytest.mark.heavy
def test_half_precision_learns_as_single_precision_does(tmp_path):
    """The digits at every level and with each loss scale: the same curve within a batch's noise, the same accuracy."""
    common = (
        "--net",
        "densenet22",
        "--dataset",
        "digits",
        "--max_epoch",
        12,
        "--log_interval",
        9,
        "--resume",
        "none",
    )
    curves = {}
    for name, words in {
        "O0": (),
        "O1": (),
        "O2": (),
        "O3": (),
        "O2 dynamic": ("--is_dynamic_loss_scale", 1),
        "O3 dynamic": ("--is_dynamic_loss_scale", 1),
        "O3 unscaled": ("--loss_scale", 1),
    }.items():
        done = run_program("train.py", *common, "--amp_level", name[:2], *words, "--ckpt_path", tmp_path)
        top1, _ = evaluated(done)
        assert top1 > 97, name
        curves[name] = losses(done)
    quarter = len(curves["O0"]) // 4
    for name, curve in curves.items():
        for start in range(0, 4 * quarter, quarter):
            part, exact = (sum(values[start : start + quarter]) / quarter for values in (curve, curves["O0"]))
            assert part == pytest.approx(exact, rel=0.3, abs=0.03), (name, start)
