"""train.py, eval.py, predict.py and export.py in the form that they have on an Ascend; see tests/support/ascend_form.py."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mindlift.models.weights.mindspore_files import read
from tests.support.programs import ROOT, Finished, environment

CHIP_910A, CHIP_910B = "ascend910", "ascend910b"


def command(chip: str, program: str, *arguments: object) -> list[str]:
    return [sys.executable, "-m", "tests.support.ascend_form", chip, program, *map(str, arguments)]


def run_form(
    program: str, *arguments: object, chip: str = CHIP_910A, timeout: float = 500, **extra: str
) -> Finished:
    done = subprocess.run(
        command(chip, program, *arguments),
        cwd=ROOT,
        env=environment(**extra),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return Finished(done)


def trained(
    folder: Path, net: str, *arguments: object, chip: str = CHIP_910A, dataset: str = "digits"
) -> Finished:
    done = run_form(
        "train.py",
        "--net",
        net,
        "--dataset",
        dataset,
        "--ckpt_path",
        folder,
        "--log_interval",
        1,
        *arguments,
        chip=chip,
    )
    assert done.code == 0, done.err
    return done


def weights(done: Finished) -> dict[str, np.ndarray]:
    return {name: tensor.asnumpy() for name, tensor in read(Path(done.result["checkpoint"])).items()}


def metrics(done: Finished) -> list[dict]:
    lines = (Path(done.result["run"]) / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.heavy
def test_sink_mode_trains_the_same_weights_with_the_same_logs_and_checkpoints(tmp_path):
    """Bit for bit; and a run that was stopped between two checkpoints continues to the same end."""
    common = ("densenet22", "--max_steps", 8, "--ckpt_interval", 3, "--run_eval", "true")
    sink = trained(tmp_path / "sink", *common)
    fed = trained(tmp_path / "fed", *common, "--dataset_sink_mode", "false")
    first = trained(tmp_path / "cut", *common[:1], "--max_steps", 5, *common[3:])
    assert first.result["steps"] == 5
    (Path(first.result["run"]) / "result.json").unlink()
    resumed = trained(tmp_path / "cut", *common)
    assert "after step 5" in resumed.out
    expected = weights(sink)
    for other in (fed, resumed):
        assert other.result["loss"] == sink.result["loss"]
        found = weights(other)
        assert found.keys() == expected.keys()
        assert all((found[name] == expected[name]).all() for name in expected)
    saved = [sorted(p.name for p in Path(d.result["run"], "checkpoints").iterdir()) for d in (sink, fed)]
    assert saved[0] == saved[1]
    assert "densenet22-1_3.ckpt" in saved[0]
    steps = [[line["step"] for line in metrics(done) if "lr" in line] for done in (sink, fed)]
    assert steps[0] == steps[1] == list(range(1, 9))
    assert all(0 <= line["data_wait"] <= 1 for line in metrics(sink) if line.get("data_wait") is not None)


def photos(folder: Path, bad: int) -> Path:
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for kind in ("cat", "dog"):
            (folder / split / kind).mkdir(parents=True)
            for number in range(8):
                pixels = rng.integers(0, 255, (40, 40, 3), np.uint8)
                Image.fromarray(pixels).save(folder / split / kind / f"{number}.jpg")
    (folder / "train" / "dog" / f"{bad}.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(500) + b"\xff\xd9")
    return folder


def test_a_broken_image_ends_a_training_in_sink_mode_by_its_name(tmp_path):
    data = photos(tmp_path / "photos", bad=3)
    started = time.monotonic()
    done = run_form(
        "train.py",
        "--net",
        "densenet22",
        "--dataset",
        "imagenet",
        "--num_classes",
        2,
        "--data_dir",
        data,
        "--image_size",
        32,
        "--per_batch_size",
        4,
        "--max_epoch",
        3,
        "--ckpt_path",
        tmp_path / "out",
        "--config_path",
        ROOT / "src/mindlift/models/densenet/recipes/densenet22_digits.yaml",
    )
    assert done.code == 2, done.err
    assert "dog/3.jpg" in done.error
    assert time.monotonic() - started < 120


@pytest.mark.heavy
def test_sigterm_in_sink_mode_saves_and_the_same_command_continues(tmp_path):
    common = ("--net", "densenet22", "--dataset", "digits", "--ckpt_path", tmp_path, "--log_interval", 1)
    running = subprocess.Popen(
        command(CHIP_910B, "train.py", *common, "--max_steps", 400),
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in running.stdout:
        if ", step 4 of" in line:
            running.send_signal(signal.SIGTERM)
            break
    out, err = running.communicate(timeout=120)
    assert running.returncode == 143, err
    assert "stopped by SIGTERM after step" in err
    done = run_form("train.py", *common, "--max_steps", 12)
    assert done.code == 0, done.err
    assert "continuing from" in done.out


@pytest.mark.heavy
def test_a_loss_that_is_not_a_number_ends_sink_mode(tmp_path):
    done = run_form(
        "train.py",
        "--net",
        "densenet22",
        "--dataset",
        "digits",
        "--lr",
        "1e30",
        "--max_steps",
        30,
        "--ckpt_path",
        tmp_path,
        chip=CHIP_910B,
    )
    assert done.code == 1
    assert "last checkpoint" in done.error


NETS = [
    ("densenet22", "digits", ()),
    ("deeplab_v3_r26_s16", "vocdigits", ("--image_size", 65, "--per_batch_size", 2)),
    ("resnet50", "digits", ("--image_size", 32, "--per_batch_size", 8)),
    ("bit_r50x1", "digits", ("--image_size", 32, "--per_batch_size", 8)),
    ("inception_v4", "digits", ("--image_size", 75, "--per_batch_size", 8)),
]


def shares_of(output: Path, run: str, image: Path, level: str) -> dict[str, float]:
    """The probability of each class, or its share of the pixels."""
    done = run_form("predict.py", "--pretrained", run, "--amp_level", level, "--output_json", output, image)
    assert done.code == 0, done.err
    (found,) = json.loads(output.read_text(encoding="utf-8"))["images"]
    return {each["name"]: each.get("probability", each.get("share")) for each in found["classes"]}


@pytest.mark.heavy
@pytest.mark.parametrize(("net", "dataset", "size"), NETS)
def test_every_program_runs_through_and_agrees_with_float32(net, dataset, size, tmp_path):
    """Trained at O3 with evaluation while it trains; evaluated, predicted and exported at O3 and O0."""
    done = trained(
        tmp_path, net, *size, "--max_steps", 4, "--run_eval", "true", "--enable_ema", "true", dataset=dataset
    )
    run = done.result["run"]
    figure = "loss" if dataset == "digits" else "pixel_accuracy"
    found = {}
    for level in ("O3", "O0"):
        evaluated = run_form(
            "eval.py", "--pretrained", run, "--net", net, "--dataset", dataset, *size, "--amp_level", level
        )
        assert evaluated.code == 0, evaluated.err
        found[level] = evaluated.result[figure]
    assert found["O3"] == pytest.approx(found["O0"], rel=0.05, abs=0.01)
    image = tmp_path / "one.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (65, 65, 3), np.uint8)).save(image)
    half, single = (shares_of(tmp_path / f"{level}.json", run, image, level) for level in ("O3", "O0"))
    assert max(abs(half.get(name, 0) - single.get(name, 0)) for name in {*half, *single}) < 0.05
    exported = run_form(
        "export.py", "--pretrained", run, "--file_name", tmp_path / "net", "--amp_level", "O3"
    )
    assert exported.code == 0, exported.err
    assert os.path.getsize(tmp_path / "net.mindir") > 1000
