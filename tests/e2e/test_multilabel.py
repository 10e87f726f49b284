"""A folder of photos with a file of labels, from the first command to predictions: the student's way, and what must hold."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import average_precision_score

from mindlift.runs import manifest
from tests.support.programs import ROOT, Finished, run_program, run_ranks
from tests.support.weights import assert_same, weights

pytestmark = pytest.mark.heavy

IMAGES = 120
COLOURS = {"red": 0, "green": 1, "blue": 2}
RECIPE = ROOT / "src/mindlift/models/densenet/recipes/densenet22_digits.yaml"
FORM = ["--net", "densenet22", "--image_size", 32, "--num_parallel_workers", 2]


def photo(rng: np.random.Generator, labels: set[str]) -> Image.Image:
    """Grey noise with a bright square of each colour that the labels name."""
    pixels = rng.integers(90, 130, (40, 40, 3)).astype(np.uint8)
    for name in labels:
        top, left = rng.integers(0, 26, 2)
        pixels[top : top + 14, left : left + 14, COLOURS[name]] = 250
    return Image.fromarray(pixels)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos with none to three of three labels; `new` beside them has photos of known labels."""
    root, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    lines = ["image,labels"]
    (root / "all").mkdir()
    for number in range(IMAGES):
        labels = {name for name in COLOURS if rng.random() < 0.4}
        photo(rng, labels).save(root / "all" / f"{number:03}.png")
        lines.append(f"{number:03}.png,{';'.join(sorted(labels))}")
    (root / "all/labels.csv").write_text("\n".join(lines))
    return root / "all"


def train(photos: Path, output: Path, *more: object, ranks: int = 1, epochs: int = 2) -> Finished:
    batch = 16 // ranks
    command = [
        *("train.py", *FORM, "--config_path", RECIPE, "--dataset", "multilabel", "--num_classes", 3),
        *("--data_dir", photos, "--ckpt_path", output, "--per_batch_size", batch, "--max_epoch", epochs),
        *("--augment", "none", "--color_jitter", 0, "--eval_interval", 1, "--keep_best", 1, *more),
    ]
    done = run_ranks(ranks, *command) if ranks > 1 else run_program(*command)
    assert done.code == 0, done.err + done.out
    return done


def evaluations(run: str) -> list[dict]:
    lines = (Path(run) / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [each for each in map(json.loads, lines) if each.get("event") == "evaluation"]


@pytest.fixture(scope="module")
def trained(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """As a student types it: nothing but the folder, and a network that a CPU trains in no time."""
    done = run_program(
        *("train.py", "--data_dir", photos, *FORM, "--augment", "none", "--max_epoch", 12, "--lr", 0.05),
        *("--lr_base_batch", 16, "--ckpt_path", tmp_path_factory.mktemp("out")),
    )
    assert done.code == 0, done.err + done.out
    return done


def test_a_folder_and_its_labels_are_enough(trained, photos):
    assert f"images: {IMAGES} with any number of 3 classes (blue, green, red) each" in trained.out
    result = trained.result
    assert (result["dataset"], result["total"], result["best_metric"]) == ("multilabel", IMAGES // 5, "map")
    assert result["top1"] is None
    assert result["map"] > 0.9, "colours are easy; guessing gives about 0.4"
    told = evaluations(result["run"])
    assert result["best"] == max(each["map"] for each in told)
    assert Path(result["best_checkpoint"]).is_file()
    assert json.loads((Path(result["run"]) / "classes.json").read_text()) == ["blue", "green", "red"]


def test_the_report_shows_them(trained):
    run = Path(trained.result["run"])
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "Average precision of the labels" in page
    assert "best mAP" in page
    content = json.loads((run / "evaluation.json").read_text())
    assert content["classes"] == ["blue", "green", "red"]
    assert len(content["average_precisions"]) == 3


def test_evaluation_finds_what_the_training_said_on_any_ranks(trained):
    run, result = trained.result["run"], trained.result
    one = run_program("eval.py", "--pretrained", result["checkpoint"])
    assert one.code == 0, one.err
    two = run_ranks(2, "eval.py", "--pretrained", result["checkpoint"], "--per_batch_size", 7)
    assert two.code == 0, two.err
    for done in (one, two):
        assert done.result["map"] == pytest.approx(result["map"], abs=1e-6)
        assert done.result["total"] == IMAGES // 5
        assert set(done.result["per_class"]) == {"blue", "green", "red"}
    assert one.result["f1"] == evaluations(run)[-1]["f1"]
    assert "validation: mAP" in one.out


@pytest.fixture(scope="module")
def predicted(trained, photos, tmp_path_factory) -> dict[str, dict[str, float]]:
    """The probability of each label, of all photos, by the checkpoint."""
    table = tmp_path_factory.mktemp("predicted") / "all.csv"
    done = run_program(
        "predict.py", trained.result["checkpoint"], photos, "--threshold", 0, "--output_csv", table
    )
    assert done.code == 0, done.err
    return read(table)


def read(table: Path) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    with open(table, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            of_image = found.setdefault(Path(row["file"]).name, {})
            if row["name"]:
                of_image[row["name"]] = float(row["probability"])
    return found


def truth(photos: Path) -> dict[str, set[str]]:
    with open(photos / "labels.csv", newline="") as file:
        return {row["image"]: set(filter(None, row["labels"].split(";"))) for row in csv.DictReader(file)}


def test_predictions_rank_as_the_evaluation_says(trained, photos, predicted):
    """Average precision by scikit-learn, of what predict.py wrote of all photos; each probability by itself."""
    known = truth(photos)
    assert predicted.keys() == known.keys()
    everything = run_program(
        "eval.py", "--pretrained", trained.result["checkpoint"], "--eval_data_dir", photos
    )
    assert everything.result["total"] == IMAGES
    for name in COLOURS:
        expected = average_precision_score(
            [name in known[file] for file in known], [predicted[file][name] for file in known]
        )
        assert everything.result["per_class"][name] == pytest.approx(expected, abs=1e-4)
    sums = [sum(each.values()) for each in predicted.values()]
    assert max(sums) > 1.5, "several labels of one photo"
    assert min(sums) < 0.5, "none of another"


def test_a_threshold_decides_which_labels_there_are(trained, photos, predicted, tmp_path):
    done = run_program(
        *("predict.py", trained.result["checkpoint"], photos, "--threshold", 0.7),
        *("--output_csv", tmp_path / "some.csv", "--contact_sheet", tmp_path / "sheet.png"),
    )
    assert done.code == 0, done.err
    expected = {
        file: {name for name, share in each.items() if share >= 0.7} for file, each in predicted.items()
    }
    assert {file: set(each) for file, each in read(tmp_path / "some.csv").items()} == expected
    assert any(not each for each in expected.values())
    assert "no label" in done.out
    assert (tmp_path / "sheet.png").is_file()


def test_an_exported_model_says_sigmoid_and_predicts_the_same(trained, photos, predicted, tmp_path):
    done = run_program(
        "export.py", "--pretrained", trained.result["checkpoint"], "--file_name", tmp_path / "model"
    )
    assert done.code == 0, done.err
    side = json.loads((tmp_path / "model.mindir.json").read_text())
    assert side["output"]["meaning"] == "logits, before sigmoid, of each label by itself"
    assert side["class_names"] == ["blue", "green", "red"]
    table = tmp_path / "model.csv"
    done = run_program(
        *("predict.py", "--model_file", tmp_path / "model.mindir", photos),
        *("--threshold", 0, "--output_csv", table),
    )
    assert done.code == 0, done.err
    found = read(table)
    for file, each in predicted.items():
        assert found[file] == pytest.approx(each, abs=1e-4)


@pytest.mark.parametrize(
    "more", [("--loss", "asl", "--mixup_alpha", 0.4), ("--loss", "bce")], ids=["asl", "bce"]
)
def test_a_cut_training_ends_with_the_same_weights(photos, tmp_path, more):
    whole = train(photos, tmp_path / "whole", *more).result
    cut = train(photos, tmp_path / "cut", *more, "--max_steps", 9).result
    resumed = train(photos, tmp_path / "cut", *more, "--resume", cut["checkpoint"]).result
    assert resumed["steps"] == whole["steps"] == 14
    assert_same(resumed["checkpoint"], whole["checkpoint"])
    assert resumed["map"] == whole["map"]


def test_two_ranks_evaluate_alike_and_hold_the_same_weights(photos, tmp_path):
    done = train(photos, tmp_path, "--is_save_on_master", 0, ranks=2)
    folder = Path(done.result["run"]) / "checkpoints"
    newest = [each / manifest.latest(each).file for each in (folder, folder / "rank_1")]
    assert newest[0].name == newest[1].name
    known = weights(newest[0])
    assert_same(*newest, ignore=tuple(name for name in known if "moving_" in name))
    assert done.result["map"] == evaluations(done.result["run"])[-1]["map"]
