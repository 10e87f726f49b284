"""Result files as the zoo's program for Ascend 310 writes them, and what postprocess.py finds of them."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest

from mindlift.cli import infer_mindir, postprocess
from mindlift.data.segmentation import lists as seg_lists
from mindlift.data.segmentation.pairs import Files, Samples
from mindlift.errors import CheckpointError, DataError
from mindlift.runs.provenance import Model
from mindlift.tasks.segmentation import results as segment_results
from mindlift.tasks.segmentation.objective import softmax
from mindlift.tasks.segmentation.results import Facts, Folder
from tests.support import segments
from tests.support.plain_numpy import linear, naive_ious

RNG = np.random.default_rng(9)
SIDE, CLASSES = 17, 11


def test_results_are_named_as_the_originals():
    assert segment_results.file_names(["JPEGImages/2007_000033.jpg", "b.c.png"]) == [
        "2007_000033_0.bin",
        "b.c_0.bin",
    ]
    with pytest.raises(DataError, match=r"x/a.jpg and y/a.png both have the result a_0.bin"):
        segment_results.file_names(["x/a.jpg", "y/a.png"])


@pytest.fixture
def data(tmp_path) -> Path:
    segments.write_images(tmp_path / "data", 3)
    return tmp_path / "data"


def made(data: Path, folder: Path, change=lambda logits: logits) -> list[np.ndarray]:
    """Results of smooth random logits, as a model would have written them; returns the logits (K, S, S)."""
    pairs = seg_lists.read(data / "lst.txt")
    model = Model(
        Path("x"), {"num_classes": CLASSES, "input": {"shape": [1, 3, SIDE, SIDE], "layout": "NCHW"}}
    )
    found = Folder.create(folder, model, [pair.image for pair in pairs])
    logits = [
        linear(RNG.normal(size=(4, 4, CLASSES)) * 3, SIDE, SIDE).transpose(2, 0, 1).astype(np.float32)
        for _ in pairs
    ]
    for index, each in enumerate(logits):
        found.write(index, change(each[None]))
    return logits


def options(data: Path, folder: Path, *more: str) -> Namespace:
    argv = f"--data_root {data} --data_lst {data}/lst.txt --result_path {folder} --scales=1.0".split()
    return postprocess.parsed([*argv, *more])


def naive(data: Path, logits: list[np.ndarray]) -> list:
    samples = Samples(Files.of(data, seg_lists.read(data / "lst.txt")), CLASSES, 255)
    truths, predictions = [], []
    for index, each in enumerate(logits):
        image, label = samples.pair(index)
        height, width = image.shape[:2]
        h, w = (int(SIDE * side / max(height, width)) for side in (height, width))
        own = linear(softmax(each[None])[0, :, :h, :w].transpose(1, 2, 0), height, width)
        truths.append(label)
        predictions.append(own.argmax(2))
    return naive_ious(truths, predictions, CLASSES, 255)


def test_figures_are_those_of_plain_numpy(data, tmp_path, capsys):
    logits = made(data, tmp_path / "results")
    postprocess.evaluate(options(data, tmp_path / "results"))
    said = capsys.readouterr().out
    expected = naive(data, logits)
    found = segment_results.of_list(options(data, tmp_path / "results"), 2)
    assert [None if np.isnan(iou) else iou for iou in found.ious] == [
        None if iou is None else pytest.approx(iou, abs=0.01) for iou in expected
    ]
    assert found.miou == pytest.approx(np.mean([iou for iou in expected if iou is not None]), abs=0.003)
    assert "per-class IoU [" in said
    assert said.splitlines()[-1] == f"mean IoU {found.miou}"


def test_models_that_end_with_softmax_give_the_same(data, tmp_path):
    logits = made(data, tmp_path / "results")
    found = segment_results.of_list(options(data, tmp_path / "results"), 1)
    pairs = seg_lists.read(data / "lst.txt")
    folder = Folder(tmp_path / "results", [pair.image for pair in pairs])
    for index, each in enumerate(logits):
        folder.write(index, softmax(each[None]))
    again = segment_results.of_list(options(data, tmp_path / "results"), 1)
    np.testing.assert_array_equal(found.matrix, again.matrix)


def test_the_size_is_the_models_or_the_originals_or_as_given(data, tmp_path):
    made(data, tmp_path / "results")
    images = ["images/a_0.png"]
    assert Folder(tmp_path / "results", images).facts() == Facts(SIDE, CLASSES)
    (tmp_path / "results/results.json").unlink()
    assert Folder(tmp_path / "results", images).facts() == Facts(513, 21)
    with pytest.raises(
        DataError, match=r"a_0_0.bin has 3,179 values, but --num_classes 21 and --crop_size 513"
    ):
        segment_results.of_list(options(data, tmp_path / "results"), 1)
    given = options(data, tmp_path / "results", "--crop_size", "17", "--num_classes", "11")
    assert segment_results.of_list(given, 1).matrix.sum() > 0


def test_a_result_that_is_missing_is_one_line(data, tmp_path):
    made(data, tmp_path / "results")
    (tmp_path / "results/b_1_0.bin").unlink()
    with pytest.raises(DataError, match=r"can't read .*b_1_0.bin: No such file or directory; run .*310.sh"):
        segment_results.of_list(options(data, tmp_path / "results"), 1)


def test_older_results_are_gone(data, tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "results/old_0.bin").write_bytes(b"old")
    made(data, tmp_path / "results")
    assert sorted(path.name for path in (tmp_path / "results").iterdir()) == [
        "a_0_0.bin",
        "b_1_0.bin",
        "c_2_0.bin",
        "results.json",
    ]


@pytest.mark.parametrize(
    ("batch", "output", "part"),
    [(1, [1, 10], "is not a model that segments"), (4, [4, 11, 8, 8], "export it with --batch_size 1")],
)
def test_models_that_do_not_fit_are_refused(tmp_path, monkeypatch, batch, output, part):
    model = Model(
        tmp_path / "x", {"input": {"shape": [batch, 3, 8, 8], "layout": "NCHW"}, "output": {"shape": output}}
    )
    monkeypatch.setattr(infer_mindir.provenance, "read_model", lambda _: model)
    monkeypatch.setattr(infer_mindir.provenance, "check_content", lambda _: None)
    with pytest.raises(CheckpointError, match=part):
        infer_mindir.checked(tmp_path / "x")
