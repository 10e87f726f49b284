"""JSON has no nan and no inf (RFC 8259, section 6): what is written has null there, what earlier versions wrote is read."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from mindlift.cloud.follow.progress import progress_of
from mindlift.files import append_line, as_json
from mindlift.json_text import parse_lines, read_records
from mindlift.report import figures
from mindlift.runs import evaluation_files, folder, metrics
from mindlift.runs.log import RunLog
from mindlift.runs.paths import RunPaths
from mindlift.training.run import Result

NAN, INF = math.nan, math.inf


def strict(text: str) -> object:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (NAN, None),
        (-INF, None),
        (np.float64(NAN), None),
        (1.5, 1.5),
        (0, 0),
        (True, True),
        ("NaN", "NaN"),
        ({"loss": NAN, "lr": 0.1, "name": "狗"}, {"loss": None, "lr": 0.1, "name": "狗"}),
        ({"a": [1.0, INF, {"b": (NAN, 2)}]}, {"a": [1.0, None, {"b": [None, 2]}]}),
        ({1: NAN}, {"1": None}),
    ],
)
def test_what_is_written(value, expected):
    assert strict(as_json(value)) == expected
    assert strict(as_json(value, indent=2)) == expected


def test_every_file_of_a_run(tmp_path):
    paths = RunPaths(tmp_path).create()
    with RunLog(paths, 0, False) as log:
        log.metric(event="start", step=0, total=4)
        log.metric(step=2, loss=NAN, lr=0.1, loss_scale=INF)
        log.metric(event="evaluation", step=2, which="weights", top1=10.0, top5=None, loss=NAN)
    evaluation_files.write(paths, {"step": 2, "ious": [NAN, 0.5]}, {})
    result = Result("r", "c", "net", "digits", 1, 2, NAN, NAN, 3.0, None)
    paths.result.write_text(result.as_json_line())
    for file in (paths.metrics, paths.evaluation, paths.result):
        for line in file.read_text(encoding="utf-8").splitlines():
            strict(line)
    run = folder.read(tmp_path)
    assert (run.result["loss"], run.evaluation["ious"]) == (None, [None, 0.5])
    assert run.metrics.not_finite == 1
    best = figures.best(run, "top1")
    assert best is not None
    assert best.value == 10
    assert figures.best(run, "top5") is None


def lines(path: Path, word: str, count: int = 40) -> Path:
    """Steps of which every fourth has a loss that is not finite, written as `word`."""
    text = "".join(
        f'{{"time": {step}.0, "step": {step}, "epoch": 0, "loss": {word if step % 4 == 0 else step}, "lr": 0.1}}\n'
        for step in range(1, count + 1)
    )
    path.write_text(text)
    return path


@pytest.mark.parametrize("word", ["null", "NaN", "Infinity", "-Infinity"])
def test_readers_take_null_and_what_earlier_versions_wrote(tmp_path, word, monkeypatch):
    found = metrics.read(lines(tmp_path / "m.jsonl", word))
    if word in ("null", "NaN"):
        assert found.not_finite == 10
    assert (found.step, len(found.curves["loss"])) == (40, 30)
    monkeypatch.setattr(metrics, "WHOLE_BYTES", 600)  # of a file above it not every line is decoded
    few = metrics.read(tmp_path / "m.jsonl")
    assert 0 < len(few.curves["loss"]) < 30
    progress = progress_of(parse_lines((tmp_path / "m.jsonl").read_bytes()))
    assert progress.loss is not None
    assert not math.isfinite(progress.loss)


def test_a_line_is_appended_and_read(tmp_path):
    append_line(tmp_path / "x", {"loss": NAN})
    assert read_records(tmp_path / "x")[0] == [{"loss": None}]
