"""eval.py with 144 crops and a blacklist, by real processes that are killed."""

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

from tests.support.programs import ROOT, Finished, environment, run_program, run_ranks

COUNT, CLASSES = 60, 3
RECIPE = ROOT / "src/mindlift/models/densenet/recipes/densenet22_digits.yaml"
NET = [
    "--config_path",
    RECIPE,
    "--dataset",
    "imagenet",
    "--num_classes",
    CLASSES,
    "--image_size",
    16,
    "--per_batch_size",
    8,
]
CROPS = ["--crops", 144, "--crop_scales", "18,20", "--crop_batch", 8]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Images of many shapes with ImageNet's names, and a blacklist of seven of them."""
    root = tmp_path_factory.mktemp("imagenet")
    rng = np.random.default_rng(0)
    for number in range(1, COUNT + 1):
        folder = root / "images" / f"n{number % CLASSES}"
        folder.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 255, (*rng.integers(20, 60, 2), 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"ILSVRC2012_val_{number:08d}.JPEG")
    (root / "blacklist.txt").write_text("\n".join(map(str, range(5, 12))))
    return root


@pytest.fixture(scope="module")
def checkpoint(data) -> Path:
    done = run_program(
        "train.py",
        *NET,
        "--data_dir",
        data / "images",
        "--max_steps",
        2,
        "--run_eval",
        "false",
        "--ckpt_path",
        data / "runs",
    )
    assert done.code == 0, done.err
    return Path(done.result["checkpoint"])


def command(data: Path, checkpoint: Path, folder: Path) -> list:
    return [
        *NET,
        *CROPS,
        "--data_dir",
        data / "images",
        "--pretrained",
        checkpoint,
        "--blacklist",
        data / "blacklist.txt",
        "--eval_path",
        folder,
    ]


def figures(done: Finished) -> dict:
    assert done.code == 0, done.err
    found = json.loads([line for line in done.out.splitlines() if line.startswith("{")][-1])
    return {name: found[name] for name in ("top1_correct", "top5_correct", "total", "without_blacklisted")}


@pytest.mark.heavy
def test_a_killed_evaluation_continues_also_on_two_ranks(data, checkpoint, tmp_path):
    whole = run_program("eval.py", *command(data, checkpoint, tmp_path / "whole"))
    expected = figures(whole)
    assert (expected["total"], expected["without_blacklisted"]["total"]) == (COUNT, COUNT - 7)
    assert 0 < expected["top1_correct"] < COUNT
    assert "without 7 blacklisted images:" in whole.out

    words = [str(word) for word in command(data, checkpoint, tmp_path / "killed")]
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "eval.py"), *words],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while (
        sum(len(file.read_bytes().splitlines()) for file in tmp_path.glob("killed/eval-*/rank_0.jsonl")) < 4
    ):
        assert process.poll() is None
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    journal = next(tmp_path.glob("killed/eval-*/rank_0.jsonl"))
    known = len(journal.read_bytes().splitlines())
    assert known < COUNT
    with open(journal, "ab") as file:
        file.write(b'{"image": 59, "pl')
    done = run_ranks(2, "eval.py", *words, LOG_DIR=str(tmp_path / "logs"))
    assert f"continuing: {known} of {COUNT} images" in done.out
    assert figures(done) == expected
    lines = [
        json.loads(line)
        for file in journal.parent.glob("*.jsonl")
        for line in file.read_text().splitlines()
        if line.endswith("}")
    ]
    assert sorted(line["image"] for line in lines) == list(range(COUNT)), "none of them twice"


@pytest.mark.heavy
def test_the_blacklist_with_single_crops(data, checkpoint):
    """Of the same pass, and equal to the figures of a folder without the listed images."""
    common = [*NET, "--pretrained", checkpoint, "--eval_resize", 18]
    found = figures(
        run_program("eval.py", *common, "--data_dir", data / "images", "--blacklist", data / "blacklist.txt")
    )
    for file in (data / "images").rglob("*.JPEG"):
        if not 5 <= int(file.stem[-8:]) <= 11:
            (data / "rest" / file.parent.name).mkdir(parents=True, exist_ok=True)
            (data / "rest" / file.parent.name / file.name).write_bytes(file.read_bytes())
    done = run_program("eval.py", *common, "--data_dir", data / "rest")
    rest = json.loads([line for line in done.out.splitlines() if line.startswith("{")][-1])
    without = found["without_blacklisted"]
    assert {name: rest[name] for name in ("top1_correct", "top5_correct", "total")} == {
        name: without[name] for name in ("top1_correct", "top5_correct", "total")
    }
    assert found["total"] == COUNT
