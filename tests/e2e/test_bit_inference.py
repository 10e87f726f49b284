"""BiT with a recipe that drops the classifier of the weights it begins with: what is exported and predicted has one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mindlift.data.classification import cifar10
from tests.support.programs import ROOT, run_program

RECIPE = ROOT / "src/mindlift/models/bit/recipes/bit_r50x1_digits.yaml"


@pytest.fixture(scope="module")
def run(few_digits, tmp_path_factory) -> Path:
    """Six steps, the moving average as in the recipe."""
    folder = tmp_path_factory.mktemp("bit")
    recipe = folder / "bit.yaml"
    recipe.write_text(RECIPE.read_text(encoding="utf-8") + "filter_head: true\n", encoding="utf-8")
    words = ["--config_path", recipe, "--data_dir", few_digits, "--ckpt_path", folder / "out"]
    done = run_program("train.py", *words, "--max_steps", 6, "--per_batch_size", 8, timeout=600)
    assert done.code == 0, done.err
    return Path(done.result["run"])


@pytest.mark.heavy
def test_export_and_predict_have_the_classifier_and_the_average_that_eval_has(run, few_digits, tmp_path):
    evaluated = run_program("eval.py", "--pretrained", run, timeout=600)
    assert evaluated.code == 0, evaluated.err
    assert "its moving average of the weights" in evaluated.out

    images, labels = cifar10.read_batch(few_digits / "test_batch.bin")
    for i, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{i:02d}.png")
    common = ["--top_k", 10, *sorted(tmp_path.glob("*.png"))]
    file = tmp_path / "net.mindir"
    exported = run_program("export.py", "--ckpt_file", run, "--file_name", file, timeout=600)
    assert exported.code == 0, exported.err
    assert "largest difference" in exported.out
    assert "not verified" not in exported.out
    assert json.loads(Path(f"{file}.json").read_text())["largest_difference"] < 1e-5

    found = []
    for number, weights in enumerate((["--ckpt_file", run], ["--model_file", file])):
        output = tmp_path / f"{number}.json"
        done = run_program("predict.py", *weights, *common, "--output_json", output, timeout=600)
        assert done.code == 0, done.err
        found.append(probabilities(output))
    np.testing.assert_allclose(*found, atol=1e-5)
    assert len(np.unique(found[0].round(6), axis=0)) > 1, "the logits are not those of a classifier of zeros"
    figures = evaluated.result
    assert figures["top1_correct"] == int((found[0].argmax(1) == labels).sum())
    loss = -np.log(found[0][np.arange(len(labels)), labels]).mean()
    assert figures["loss"] == pytest.approx(loss, abs=1e-4)


def probabilities(file: Path) -> np.ndarray:
    """(N, 10) of what predict.py wrote."""
    records = json.loads(file.read_text(encoding="utf-8"))["images"]
    found = np.zeros((len(records), 10))
    for row, record in zip(found, records):
        for each in record["classes"]:
            row[each["class"]] = each["probability"]
    return found
