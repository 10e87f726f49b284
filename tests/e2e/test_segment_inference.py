"""export.py, predict.py and the zoo's inference script on images to segment, held against eval.py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mindlift.data.segmentation import voc
from tests.support import segments
from tests.support.programs import ROOT, Finished, environment, run_program

COUNT = 6


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Six images with a list, and weights of a small network."""
    root = tmp_path_factory.mktemp("data")
    images = segments.write_images(root, COUNT)
    segments.save_weights(root / "net.ckpt", images[:3])
    return root


@pytest.fixture(scope="module")
def model(data, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    words = ["--ckpt_file", data / "net.ckpt", "--file_name", "net", "--input_format", "NHWC"]
    done = run_program("export.py", *segments.NET, *words, cwd=folder)
    assert done.code == 0, done.err
    return folder / "net.mindir"


def evaluated(data: Path, *words: object) -> dict:
    places = ["--data_root", data, "--data_lst", data / "lst.txt", "--ckpt_path", data / "net.ckpt"]
    done = run_program("eval.py", *segments.NET, *places, *words)
    assert done.code == 0, done.err
    return json.loads(done.out.splitlines()[-1])


@pytest.fixture(scope="module")
def figures(data) -> dict:
    return evaluated(data)


def ious(data: Path, masks: Path) -> dict[str, float | None]:
    """Of the mask files, by name of the class."""
    pairs = [
        (np.asarray(Image.open(label)), np.asarray(Image.open(masks / label.name)))
        for label in sorted((data / "labels").iterdir())
    ]
    truth, found = (np.concatenate([pair[i].ravel() for pair in pairs]) for i in (0, 1))
    found = found[truth != voc.IGNORED]
    truth = truth[truth != voc.IGNORED]
    both = [int(((truth == k) & (found == k)).sum()) for k in range(11)]
    either = [int(((truth == k) | (found == k)).sum()) for k in range(11)]
    return {name: round(b / e, 6) if e else None for name, b, e in zip(voc.DIGITS, both, either)}


def predict(folder: Path, *words: object) -> Finished:
    return run_program("predict.py", *words, cwd=folder)


def test_masks_are_what_eval_counts(data, figures, tmp_path):
    weights = [*segments.NET, "--ckpt_file", data / "net.ckpt"]
    files = ["--output_dir", "out", "--output_json", "x.json", "--output_csv", "x.csv"]
    done = predict(tmp_path, *weights, data / "images", *files, "--contact_sheet", "sheet.png")
    assert done.code == 0, done.err
    assert ious(data, tmp_path / "out") == pytest.approx(figures["per_class"], abs=2e-6)
    assert sum(iou is not None for iou in figures["per_class"].values()) > 3, "several classes are found"
    assert len(os.listdir(tmp_path / "out")) == 2 * COUNT
    records = json.loads((tmp_path / "x.json").read_text())["images"]
    for record in records:
        mask = np.asarray(Image.open(tmp_path / record["mask"]))
        assert [each["share"] for each in record["classes"]] == [
            np.mean(mask == each["class"]) for each in record["classes"]
        ]
        assert sum(each["share"] for each in record["classes"]) == pytest.approx(1)
    assert (tmp_path / "x.csv").read_text().splitlines()[0] == "file,rank,class,name,share,error"
    assert done.out.splitlines()[0].startswith(f"{records[0]['file']}: {records[0]['classes'][0]['name']} ")
    assert Image.open(tmp_path / "sheet.png").height > 300


@pytest.mark.heavy
def test_several_scales_and_mirrored(data, tmp_path):
    how = ["--scales", 0.5, "--scales", 1.0, "--flip"]
    weights = [*segments.NET, "--ckpt_file", data / "net.ckpt"]
    done = predict(tmp_path, *weights, *how, "--batch_size", 2, data / "images", "--output_dir", "out")
    assert done.code == 0, done.err
    assert ious(data, tmp_path / "out") == pytest.approx(evaluated(data, *how)["per_class"], abs=2e-6)


@pytest.mark.heavy
def test_a_model_finds_what_its_checkpoint_does(data, model, figures, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes((data / "images/a_0.png").read_bytes()[:200])
    done = predict(tmp_path, "--model_file", model, data / "images", broken, "--output_dir", tmp_path / "out")
    assert done.code == 1
    assert done.error == f"error: 1 of {COUNT + 1} images could not be read; they are named above"
    assert f"{broken}: can't be read" in done.out
    assert ious(data, tmp_path / "out") == pytest.approx(figures["per_class"], abs=1e-3)


def run_310(folder: Path, *words: object, **extra: str) -> subprocess.CompletedProcess:
    command = ["bash", str(ROOT / "scripts/run_infer_310.sh"), *map(str, words)]
    env = environment(PYTHON=sys.executable, DEVICE_TARGET="CPU", **extra)
    return subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=300
    )


@pytest.mark.heavy
def test_the_script_for_310_finds_what_eval_does(data, model, figures, tmp_path):
    done = run_310(tmp_path, model, "unused", data, data / "lst.txt", 0)
    assert done.returncode == 0, done.stderr + done.stdout
    said = (tmp_path / "acc.log").read_text()
    assert said in done.stdout
    assert "per-class IoU [" in said
    assert float(said.splitlines()[-1].split()[-1]) == pytest.approx(figures["miou"], abs=1e-3)
    assert len(list((tmp_path / "result_Files").glob("*_0.bin"))) == COUNT
    times = (tmp_path / "time_Result/test_perform_static.txt").read_text()
    assert times.endswith(f" ms of infer_count {COUNT}\n")
    assert (tmp_path / "infer.log").read_text().count("Start predict input files:") == COUNT


@pytest.mark.heavy
def test_lite_gives_the_same_results(data, model, tmp_path):
    """A stand-in for mindspore_lite that takes what is documented and computes with mindspore."""
    found = {}
    for runtime in ("mindspore", "auto"):
        folder = tmp_path / runtime
        folder.mkdir()
        doubles = str(ROOT / "tests/doubles")
        done = run_310(folder, model, "unused", data, data / "lst.txt", PYTHONPATH=doubles, RUNTIME=runtime)
        assert done.returncode == 0, done.stderr + done.stdout
        used = "mindspore_lite on CPU" if runtime == "auto" else "mindspore 2"
        assert (folder / "infer.log").read_text().startswith(used)
        found[runtime] = {path.name: path.read_bytes() for path in (folder / "result_Files").iterdir()}
        found[runtime]["acc"] = (folder / "acc.log").read_bytes()
    assert len(found["auto"]) == COUNT + 2
    assert found["auto"] == found["mindspore"]


def test_lite_that_is_not_installed_is_one_line(data, model, tmp_path):
    done = run_310(tmp_path, model, "unused", data, data / "lst.txt", RUNTIME="lite")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: --runtime lite: mindspore_lite is not installed; install the wheel")
    assert not (tmp_path / "result_Files").exists()


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("gone.mindir", "x", "{data}", "{data}/lst.txt"), "MINDIR 'gone.mindir' does not exist"),
        (("{data}/net.ckpt", "x", "{data}", "{data}/lst.txt"), "expected a .mindir file"),
        (("{data}/net.ckpt", "x", "{data}"), "usage: "),
    ],
)
def test_what_the_script_refuses(data, tmp_path, words, part):
    done = run_310(tmp_path, *(word.format(data=data) for word in words))
    assert done.returncode != 0
    assert part in done.stderr
    assert not (tmp_path / "acc.log").exists()


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("--top_k 3 {image}", "--top_k 3"),
        ("--eval_resize 99 {image}", "--eval_resize 99"),
        ("--ignore_label 1 {image}", "no use for --ignore_label"),
        ("--output_dir {data}/images {image}", "would be replaced"),
        ("--output_dir {image} {image}", "is a file; name a folder"),
        ("--output_dir gone/out {image}", "there is no folder gone"),
    ],
)
def test_what_predict_refuses(data, tmp_path, line, part):
    words = line.format(data=data, image=data / "images/a_0.png").split()
    done = predict(tmp_path, *segments.NET, "--ckpt_file", data / "net.ckpt", *words)
    assert done.code == 2, done.err
    assert part in done.error
    assert not list(tmp_path.iterdir())
