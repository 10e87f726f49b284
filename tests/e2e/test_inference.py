"""export.py and predict.py as a user runs them, on a network trained for one epoch."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from mindlift.data import class_names
from mindlift.data.classification import cifar10
from tests.support.programs import ROOT, TINY, Finished, environment, run_program

EXPORT, PREDICT = "export.py", "predict.py"


@pytest.fixture(scope="module")
def run(digits, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("runs")
    done = run_program(
        "train.py", *TINY, "--data_dir", digits, "--ckpt_path", output, "--max_epoch", 1, "--lr", 0.1
    )
    assert done.code == 0, done.err
    return Path(done.result["run"])


@pytest.fixture(scope="module")
def model(run, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    done = run_program(
        EXPORT, "--ckpt_file", run, "--file_name", folder / "net", "--batch_size", 16, cwd=folder
    )
    assert done.code == 0, done.err
    assert "largest difference" in done.out
    return folder / "net.mindir"


@pytest.fixture(scope="module")
def pictures(few_digits, tmp_path_factory) -> Path:
    """The 83 test images as files, in a folder per class."""
    root = tmp_path_factory.mktemp("pictures")
    images, labels = cifar10.read_batch(few_digits / "test_batch.bin")
    for i, (image, label) in enumerate(zip(images, labels)):
        (root / str(label)).mkdir(exist_ok=True)
        Image.fromarray(image).save(root / str(label) / f"{i:02d}.png")
    return root


@pytest.fixture(scope="module")
def predicted(run, pictures, tmp_path_factory) -> Predicted:
    folder = tmp_path_factory.mktemp("predicted")
    files = folder / "x.json", folder / "x.csv"
    done = run_program(
        PREDICT, "--ckpt_file", run, pictures, "--output_json", files[0], "--output_csv", files[1]
    )
    assert done.code == 0, done.err
    return Predicted(done.out, records(files[0]), files[1])


class Predicted(NamedTuple):
    """What predict.py finds of the pictures with the run: printed, as JSON, and the CSV file."""

    out: str
    records: list[dict]
    table: Path


def records(path: Path) -> list[dict]:
    return json.loads(path.read_text(encoding="utf-8"))["images"]


def test_predict_counts_what_eval_counts(run, predicted, few_digits):
    evaluated = run_program("eval.py", *TINY[:4], "--data_dir", few_digits, "--pretrained", run)
    assert evaluated.code == 0, evaluated.err
    found = predicted.records
    right = [[int(Path(each["file"]).parent.name) == c["class"] for c in each["classes"]] for each in found]
    assert len(found) == evaluated.result["total"] == 83
    assert 20 < sum(row[0] for row in right) == evaluated.result["top1_correct"]
    assert sum(any(row) for row in right) == evaluated.result["top5_correct"]
    rows = list(csv.DictReader(predicted.table.open(encoding="utf-8", newline="")))
    firsts = [row for row in rows if row["rank"] == "1"]
    assert [(row["file"], row["name"]) for row in firsts] == [
        (e["file"], e["classes"][0]["name"]) for e in found
    ]
    assert {row["name"] for row in rows} <= set(class_names.DIGITS)
    assert [line.split(": ")[0] for line in predicted.out.splitlines()[:83]] == [
        each["file"] for each in found
    ]


def test_a_model_predicts_what_its_checkpoint_does(predicted, model, pictures, tmp_path):
    done = run_program(PREDICT, "--model_file", model, pictures, "--output_json", tmp_path / "x.json")
    assert done.code == 0, done.err
    found = records(tmp_path / "x.json")
    assert len(found) == len(predicted.records) == 83, "in batches of 16 and of 32, the last of 3"
    for ours, theirs in zip(found, predicted.records):
        assert [each["class"] for each in ours["classes"]] == [each["class"] for each in theirs["classes"]]
        shares = [[each["probability"] for each in record["classes"]] for record in (ours, theirs)]
        np.testing.assert_allclose(*shares, atol=1e-6)


def test_the_options_of_predict(model, pictures, tmp_path):
    (tmp_path / "names.txt").write_text("\n".join(f"number {i}" for i in range(10)), encoding="utf-8")
    files = sorted(pictures.rglob("*.png"))[:3]
    broken = tmp_path / "broken.png"
    broken.write_bytes(files[0].read_bytes()[:100])
    done = run_program(
        PREDICT,
        files[0],
        "--model_file",
        model,
        broken,
        "--top_k",
        2,
        files[1],
        "--class_names",
        tmp_path / "names.txt",
        "--contact_sheet",
        tmp_path / "sheet.png",
        cwd=tmp_path,
    )
    assert done.code == 1
    assert done.error == "error: 1 of 3 images could not be read; they are named above"
    lines = done.out.splitlines()
    assert [line.partition(": ")[0] for line in lines[:3]] == [str(files[0]), str(broken), str(files[1])]
    assert "can't be read" in lines[1]
    assert lines[0].count("number ") == lines[0].count(" %") == 2
    assert Image.open(tmp_path / "sheet.png").size[0] > 600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.png", "names.txt", "sheet.png"]


def on_a_terminal(*arguments: object) -> str:
    """What a program shows on a terminal of 80 columns."""
    command = " ".join([sys.executable, str(ROOT / PREDICT), *map(str, arguments)])
    done = subprocess.run(
        ["script", "-qec", command, "/dev/null"],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_a_terminal_gets_a_table_and_a_bar(model, pictures):
    shown = on_a_terminal("--model_file", model, sorted(pictures.rglob("*.png"))[0])
    assert "probability  class" in shown
    assert "predict:" in shown
    rows = [line for line in shown.splitlines() if line.rstrip().endswith(class_names.DIGITS)]
    assert len(rows) == 5


def test_a_reader_that_goes_away_is_no_error(model, pictures):
    command = [sys.executable, str(ROOT / PREDICT), "--model_file", str(model), *[str(pictures)] * 30]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141


def case(program: str, line: str, code: int, *parts: str) -> tuple:
    return program, line, code, parts


REFUSED = {
    "air": case(
        EXPORT,
        "--ckpt_file {run} --file_format AIR",
        2,
        "AIR",
        "Ascend",
        "CPU",
        "deprecated",
        "MINDIR",
        "MindSpore Lite",
        "310",
    ),
    "no such checkpoint": case(EXPORT, "--net densenet22 --ckpt_file nowhere.ckpt", 2, "nowhere.ckpt"),
    "no folder": case(EXPORT, "--ckpt_file {run} --file_name gone/net", 2, "--file_name", "no folder gone"),
}


def refused(program: str, line: str, code: int, parts: tuple[str, ...], cwd: Path, **places: Path) -> None:
    done: Finished = run_program(program, *line.format(**places).split(), cwd=cwd)
    assert done.code == code, done.err
    assert all(part in done.error for part in parts), done.error


@pytest.mark.parametrize("what", REFUSED)
def test_what_export_refuses(what, run, tmp_path):
    refused(*REFUSED[what], tmp_path, run=run)
    assert not list(tmp_path.iterdir())


PREDICTS_NOT = {
    "no images": case(PREDICT, "--ckpt_file {run}", 2, "no images named"),
    "no such image": case(PREDICT, "--ckpt_file {run} nowhere.png", 2, "nowhere.png"),
    "no weights": case(PREDICT, "{image}", 2, "no checkpoint at output or below it", "--pretrained"),
    "no such model": case(PREDICT, "--model_file gone.mindir {image}", 2, "no such model: gone.mindir"),
    "too many classes": case(PREDICT, "--ckpt_file {run} --top_k 11 {image}", 2, "--top_k 11", "10 classes"),
    "a folder as a file": case(
        PREDICT, "--ckpt_file {run} --output_json . {image}", 2, "--output_json . is a folder"
    ),
    "an odd sheet": case(PREDICT, "--ckpt_file {run} --contact_sheet x.gif {image}", 2, "x.gif", ".png"),
    "names of others": case(PREDICT, "--ckpt_file {run} --class_names {image} {image}", 2, "--class_names"),
    "an unknown option": case(
        PREDICT, "--ckpt_fil {run} {image}", 2, "--ckpt_fil", "did you mean '--ckpt_file'"
    ),
}


@pytest.mark.parametrize("what", PREDICTS_NOT)
def test_what_predict_refuses(what, run, pictures, tmp_path):
    refused(*PREDICTS_NOT[what], tmp_path, run=run, image=sorted(pictures.rglob("*.png"))[0])


@pytest.mark.parametrize("program", [EXPORT, PREDICT])
def test_help_names_its_own_options_alone(program):
    done = run_program(program, "--help")
    assert done.code == 0
    assert "--ckpt_file" in done.out
    assert "--lr" not in done.out
