"""An evaluation is compiled once in the life of a process, however many epochs, checkpoints and images it sees.

Counted where MindSpore compiles (tests/support/compilations.py): on an Atlas 910A each of them takes minutes.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support import segments
from tests.support.programs import ROOT, TINY, environment, run_program

CLASSES = 3
SMALL = (
    "--config_path",
    ROOT / "src/mindlift/models/densenet/recipes/densenet22_digits.yaml",
    "--dataset",
    "imagenet",
    "--num_classes",
    CLASSES,
    "--image_size",
    16,
    "--per_batch_size",
    4,
)


def compiled(folder: Path, program: str, *arguments: object) -> Counter:
    """The graphs that `program` compiles, by the class of their outermost cell."""
    file = folder / "compiled.txt"
    file.unlink(missing_ok=True)
    command = [sys.executable, "-m", "tests.support.compilations", str(file), program, *map(str, arguments)]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=400, check=False
    )
    assert done.returncode == 0, done.stderr
    return Counter(file.read_text(encoding="utf-8").split())


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """Twelve images to classify, as files."""
    root, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for number in range(12):
        folder = root / f"n{number % CLASSES}"
        folder.mkdir(exist_ok=True)
        pixels = rng.integers(0, 255, (*rng.integers(20, 60, 2), 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.JPEG")
    return root


@pytest.fixture(scope="module")
def several(photos, tmp_path_factory) -> Path:
    """A folder with three checkpoints."""
    root = tmp_path_factory.mktemp("several")
    done = run_program(
        "train.py",
        *SMALL,
        "--data_dir",
        photos,
        "--max_steps",
        3,
        "--ckpt_interval",
        1,
        "--run_eval",
        "false",
        "--ckpt_path",
        root,
    )
    assert done.code == 0, done.err
    return Path(done.result["run"]) / "checkpoints"


@pytest.mark.heavy
def test_two_epochs_with_evaluation_and_moving_average(tmp_path):
    """Five evaluations of the weights and of their average, in a network that evaluates in the form that it trains in."""
    found = compiled(
        tmp_path,
        "train.py",
        *TINY[:4],
        "--run_eval",
        "true",
        "--max_epoch",
        2,
        "--eval_interval",
        1,
        "--enable_ema",
        "true",
        "--per_batch_size",
        360,
        "--ckpt_path",
        tmp_path,
    )
    assert found == {"WholeStep": 1, "Places": 1}


@pytest.mark.heavy
def test_three_checkpoints(photos, several, tmp_path):
    found = compiled(tmp_path, "eval.py", *SMALL, "--data_dir", photos, "--pretrained", several, "--all")
    assert found == {"Places": 1}


@pytest.mark.heavy
def test_the_144_crops_of_three_checkpoints(photos, several, tmp_path):
    crops = ("--crops", 144, "--crop_scales", "18,20", "--crop_batch", 64, "--eval_path", tmp_path / "eval")
    found = compiled(
        tmp_path, "eval.py", *SMALL, "--data_dir", photos, "--pretrained", several, "--all", *crops
    )
    assert found == {"CropProbabilities": 1}


def test_each_size_of_a_multi_scale_evaluation_once(tmp_path):
    """Two scales and a folded network, three checkpoints; one of the scales stands there twice."""
    images = segments.write_images(tmp_path / "data", 3)
    (tmp_path / "weights").mkdir()
    first = segments.save_weights(tmp_path / "weights" / "a.ckpt", images)
    for name in ("b", "c"):
        shutil.copy(first, tmp_path / "weights" / f"{name}.ckpt")
    found = compiled(
        tmp_path,
        "eval.py",
        *segments.NET,
        "--data_root",
        tmp_path / "data",
        "--data_lst",
        tmp_path / "data/lst.txt",
        "--pretrained",
        tmp_path / "weights",
        "--all",
        "--scales",
        "0.5,1.0,1.0",
        "--flip",
        "true",
    )
    assert found == {"Probabilities": 2}
