"""What is wrong with images, or with a run to continue, is one line, and there is no run folder afterwards."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mindlift.data.segmentation import voc
from tests.support import segments
from tests.support.programs import ROOT, run_program

RECIPE = ROOT / "src/mindlift/models/densenet/recipes/densenet22_digits.yaml"
FOLDERS = ["--config_path", RECIPE, "--dataset", "imagenet", "--num_classes", 2, "--image_size", 16]


def class_folders(root: Path, **counts: int) -> None:
    """So many images in each class folder."""
    for name, count in counts.items():
        folder = root / name.replace("__", "/")
        folder.mkdir(parents=True)
        for number in range(count):
            pixels = np.random.default_rng(number).integers(0, 255, (20, 20, 3), np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")


def empty_class(root: Path) -> list:
    class_folders(root, cat=4, dog=0)
    return [*FOLDERS, "--data_dir", root]


def nothing_to_evaluate(root: Path) -> list:
    class_folders(root, train__cat=4, train__dog=4, val__cat=0, val__dog=0)
    return [*FOLDERS, "--data_dir", root, "--per_batch_size", 4, "--run_eval", "true"]


def few_images(root: Path) -> list:
    class_folders(root, cat=2, dog=2)
    return [*FOLDERS, "--data_dir", root, "--per_batch_size", 64]


def masks_of_0_and_255(root: Path) -> list:
    segments.write_images(root, 3)
    for file in (root / "labels").iterdir():
        label = np.asarray(Image.open(file))
        file.write_bytes(voc.as_png(np.where(label > 0, 255, 0).astype(np.uint8), coloured=False))
    return [*segments.NET, "--data_root", root, "--data_lst", root / "lst.txt", "--per_batch_size", 2]


CASES = {
    empty_class: "no images of class dog in",
    nothing_to_evaluate: "no images",
    few_images: "4 images are fewer than one batch (",
    masks_of_0_and_255: "--ignore_label 255, which is not trained",
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_unusable_images_leave_no_run(case, tmp_path):
    words = case(tmp_path / "data")
    done = run_program("train.py", *words, "--ckpt_path", tmp_path / "runs")
    assert done.code not in (0, 1), done.err
    assert CASES[case] in done.error
    assert not list(tmp_path.glob("runs/*")), "no run is left over"


def test_a_run_that_is_longer_is_not_resumed(trained, few_digits, tmp_path):
    words = ["--net", "densenet22", "--data_dir", few_digits, "--ckpt_path", tmp_path / "runs"]
    done = run_program("train.py", *words, "--max_epoch", 1, "--resume", trained.result["run"])
    assert done.code not in (0, 1), done.err
    assert "is after step 18, and this training ends after step 6: there is nothing left" in done.error
    assert not list(tmp_path.glob("runs/*"))
