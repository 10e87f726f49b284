"""Every program to its end in a locale of ASCII only, for a user without a home and without a name.

Names of files are Chinese, in UTF-8 and in GBK, as an archive made on a Chinese Windows has them.
"""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.programs import EVAL, TRAIN, Finished, run_program

CHINESE, GBK = "猫", os.fsdecode("狗".encode("gbk"))
ESCAPED = "\\udcb9\\udcb7"  # the same two bytes as text
RECIPE = """{net: densenet22, dataset: imagenet, num_classes: 2, image_size: "16,16", eval_resize: 16, augment: none,
  per_batch_size: 4, lr_scheduler: cosine_annealing, lr: 0.05, max_epoch: 1, num_parallel_workers: 1}"""
NO_NAME = """
import pwd
def getpwuid(uid):
    raise KeyError(f"getpwuid(): uid not found: {uid}")
pwd.getpwuid = getpwuid
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("locale")
    for label in (CHINESE, GBK):
        (root / "data" / label).mkdir(parents=True)
        for number in range(4):
            pixels = np.random.default_rng(number).integers(0, 255, (20, 20, 3), np.uint8)
            Image.fromarray(pixels).save(root / "data" / label / f"{label}{number}.jpg")
    masks = root / "pairs"
    masks.mkdir()
    lines = []
    for number, name in enumerate((CHINESE, GBK)):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(masks / f"{name}.jpg")
        Image.new("L", (8, 8), 1).save(masks / f"{name}.png")
        lines.append(os.fsencode(f"{name}.jpg {name}.png\n"))
    (masks / "list.txt").write_bytes(b"".join(lines))
    (root / "recipe.yaml").write_text(RECIPE)
    (root / "nameless").mkdir()
    (root / "nameless/sitecustomize.py").write_text(NO_NAME)
    return root


def run(place: Path, program: str, *given: object, code: int = 0) -> Finished:
    paths = f"{place / 'nameless'}:{os.environ.get('PYTHONPATH', '')}"
    kept = {name: os.environ.pop(name) for name in ("HOME", "LANG", "LC_CTYPE") if name in os.environ}
    try:
        done = run_program(program, *given, LC_ALL="C", PYTHONUTF8="0", PYTHONPATH=paths)
    finally:
        os.environ.update(kept)
    assert done.code == code, done.err
    assert "Traceback" not in done.err + done.out
    return done


@pytest.fixture(scope="module")
def trained(place) -> Path:
    options = ["--data_dir", place / "data", "--ckpt_path", place / "runs", "--run_eval", "true"]
    done = run(place, TRAIN, "--config_path", place / "recipe.yaml", *options)
    return Path(done.result["run"])


def test_a_training_ends_with_its_classes(trained):
    assert json.loads((trained / "result.json").read_text(encoding="utf-8"))["total"] == 8
    classes = json.loads(next(trained.glob("class*.json")).read_text(encoding="utf-8"))
    assert classes == sorted([CHINESE, GBK])


def test_an_evaluation_ends(place, trained):
    done = run(
        place,
        EVAL,
        "--config_path",
        place / "recipe.yaml",
        "--pretrained",
        trained,
        "--data_dir",
        place / "data",
    )
    assert "tot=8" in done.out


def test_a_prediction_ends_with_its_tables(place, trained):
    json_file, csv_file = place / "预.json", place / "预.csv"
    outputs = ["--output_json", json_file, "--output_csv", csv_file]
    done = run(
        place, "predict.py", "--ckpt_file", trained, *outputs, place / "data" / CHINESE, place / "data" / GBK
    )
    assert CHINESE in done.out
    assert ESCAPED in done.out
    found = json.loads(json_file.read_text(encoding="utf-8"))["images"]
    assert {f"{CHINESE}0.jpg", f"{GBK}0.jpg"} <= {Path(each["file"]).name for each in found}
    with open(csv_file, encoding="utf-8", newline="") as file:
        names = {Path(row["file"]).name for row in csv.DictReader(file)}
    assert {f"{CHINESE}0.jpg", f"{ESCAPED}0.jpg"} <= names


def test_an_export_ends(place, trained):
    run(place, "export.py", "--ckpt_file", trained, "--file_name", place / "出")
    side = json.loads(next(place.glob("出*.json")).read_text(encoding="utf-8"))
    assert side["class_names"] == sorted([CHINESE, GBK])


def test_conversions_end(place):
    words = "data to_mindrecord --num_shards 1 --workers 1".split()
    run_module(place, *words, "--data_dir", place / "data", "--out", place / "记录")
    index = json.loads((place / "记录/index.json").read_text(encoding="utf-8"))
    assert index["classes"] == sorted([CHINESE, GBK])
    assert [split["count"] for split in index["splits"].values()] == [8]
    words = "data build_seg_data --num_shards 1 --workers 1 --num_classes 2 --data_lst list.txt".split()
    run_module(place, *words, "--data_root", place / "pairs", "--dst_path", place / "seg.mindrecord")
    assert json.loads((place / "seg.mindrecord.json").read_text(encoding="utf-8"))["count"] == 2


def test_a_target_that_mindspore_cannot_name_is_one_line(place):
    words = [
        "data",
        "to_mindrecord",
        "--data_dir",
        place / "data",
        "--out",
        os.fsencode(place / "x") + os.fsencode(GBK),
    ]
    done = run_module(place, *words, code=2)
    assert f"x{ESCAPED}: mindspore writes to names in UTF-8 only" in done.error


def run_module(place: Path, *words: object, code: int = 0) -> Finished:
    program = place / "command.py"
    program.write_text(
        "import sys\nfrom mindlift.cli.main import main\nif __name__ == '__main__': sys.exit(main())\n"
    )
    return run(place, str(program), *map(os.fsdecode, words), code=code)


@pytest.mark.parametrize(
    "command", ["doctor --quick", "models", "list", "recipes", "moxing-path", "providers"]
)
def test_small_commands_end(place, command):
    run_module(place, *command.split())
