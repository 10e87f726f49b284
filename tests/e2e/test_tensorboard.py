"""Event files are what the real TensorBoard reads: it is started, and asked over HTTP."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mindspore as ms
import mindspore.nn as nn
import pytest

from mindlift.cli.report import main
from mindlift.errors import ConfigError, StorageError
from mindlift.report import events
from mindlift.report.events import TensorBoard
from tests.support import synthetic_runs
from tests.support.programs import environment
from tests.support.servers import free_port


class Service:
    """A running TensorBoard."""

    def __init__(self, port: int):
        self.address = f"http://127.0.0.1:{port}/data/"

    def ask(self, what: str, **query: object) -> object:
        with urllib.request.urlopen(
            f"{self.address}{what}?{urllib.parse.urlencode(query)}", timeout=30
        ) as answer:
            return json.load(answer)

    def text(self, what: str, **query: object) -> str:
        with urllib.request.urlopen(
            f"{self.address}{what}?{urllib.parse.urlencode(query)}", timeout=30
        ) as answer:
            return answer.read().decode()

    def points(self, run: str, tag: str) -> list[tuple[int, float]]:
        found = self.ask("plugin/scalars/scalars", run=run, tag=tag)
        return [(step, value) for _, step, value in found]


@contextmanager
def tensorboard(folder: Path, run: str, fast: str) -> Iterator[Service]:
    """Serves the event files below `folder` once it knows of `run`; `fast`: whether by its data server in Rust."""
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "tensorboard.main",
        "--logdir",
        str(folder),
        "--port",
        str(port),
        "--host",
        "127.0.0.1",
        "--load_fast",
        fast,
        "--samples_per_plugin",
        "scalars=5000",
    ]
    with (
        open(folder.parent / "tensorboard.log", "w") as log,
        subprocess.Popen(command, env=environment(), stdout=log, stderr=log) as process,
    ):
        try:
            service = Service(port)
            wait_for(lambda: run in service.ask("runs"), process)
            yield service
        finally:
            process.terminate()


def wait_for(condition, process: subprocess.Popen, seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if condition():
                return
        except (urllib.error.URLError, ConnectionError):
            pass
        assert process.poll() is None, "TensorBoard has ended"
        assert time.monotonic() < deadline
        time.sleep(0.3)


def line(step: int, loss: float) -> dict:
    return {
        "time": 1.79e9 + step,
        "epoch": 0,
        "step": step,
        "loss": loss,
        "lr": 0.1,
        "images_per_second": None,
        "updated": True,
    }


@pytest.mark.parametrize("fast", ["true", pytest.param("false", marks=pytest.mark.heavy)])
def test_tensorboard_reads_a_converted_run_and_a_resumed_one(tmp_path, fast):
    """One server for both, as it starts slowly."""
    root = synthetic_runs.classification(tmp_path / "20260921-140640")
    logs = tmp_path / "logs"
    assert main([str(root), "--to", "tensorboard", "--out", str(logs)]) == 0
    assert main([str(root), "--to", "tensorboard", "--out", str(logs)]) == 0, "again: in place of the first"
    resumed(tmp_path, logs / "resumed")
    moved(tmp_path, logs / "moved")
    model = exported(tmp_path / "small.mindir")
    assert main([str(model), "--to", "tensorboard", "--out", str(logs)]) == 0
    with tensorboard(logs, "resumed", fast) as service:
        wait_for_points(service)
        check_converted(service, root)
        for run in ("resumed", "moved"):
            assert service.points(run, "train/loss") == [
                (step, 2.0 if step <= 6 else 1.0) for step in range(1, 13)
            ], run
        images = service.ask("plugin/images/tags")["20260921-140640"]
        assert len(images) == 6
        check_graph(service.text("plugin/graphs/graph", run="small"))


def wait_for_points(service: Service) -> None:
    """TensorBoard serves a run's points while it still reads the rest."""
    last = {"20260921-140640": 360, "moved": 12, "resumed": 12}
    deadline = time.monotonic() + 120
    while {run: last_step(service, run) for run in last} != last:
        assert time.monotonic() < deadline
        time.sleep(0.5)


def last_step(service: Service, run: str) -> int | None:
    if "train/loss" not in service.ask("plugin/scalars/tags").get(run, ()):
        return None
    return service.points(run, "train/loss")[-1][0]


def exported(path: Path) -> Path:
    """A model of a convolution, a norm, and what is around a shortcut."""

    class Small(nn.Cell):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3)

        def construct(self, images):
            return images + self.norm(self.conv(images))

    ms.export(Small().set_train(False), ms.ops.zeros((1, 3, 8, 8)), file_name=str(path), file_format="MINDIR")
    return path


def check_graph(text: str) -> None:
    """Cells are scopes, weights are beside what takes them, data flows as in the network."""
    nodes = {}
    for node in re.findall(r"^node \{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL):
        (name,), (kind,) = (
            re.findall(r'^  name: "(.*)"', node, re.MULTILINE),
            re.findall(r'^  op: "(.*)"', node, re.MULTILINE),
        )
        nodes[name] = kind, re.findall(r'^  input: "(.*)"', node, re.MULTILINE)
    assert nodes["images"] == ("Input", [])
    assert nodes["conv/weight"] == ("Parameter", [])
    assert nodes["conv/Conv2D-op0"] == ("Conv2D", ["images", "conv/weight"])
    weights = [f"norm/{name}" for name in ("gamma", "beta", "moving_mean", "moving_variance")]
    assert nodes["norm/BatchNorm-op0"] == ("BatchNorm", ["conv/Conv2D-op0", *weights])
    (add,) = [name for name, (kind, _) in nodes.items() if kind == "Add"]
    assert nodes[add][1] == ["images", "norm/BatchNorm-op0"]
    assert nodes["output_0"] == ("Output", [add])
    assert len(nodes) == 10
    assert "size: 8" in text, "shapes are there"


@pytest.mark.parametrize(
    ("content", "words"), [(None, "can't read"), (b"text", "no MINDIR"), (b"", "no graph")]
)
def test_what_is_no_model_is_one_line(tmp_path, capsys, content, words):
    path = tmp_path / "x.mindir"
    if content is not None:
        path.write_bytes(content)
    assert main([str(path), "--to", "tensorboard", "--out", str(tmp_path / "logs")]) == 2
    assert main([str(path), "--out", str(tmp_path / "page.html")]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert words in first
    assert "--to tensorboard" in second


def check_converted(service: Service, root: Path) -> None:
    tags = set(service.ask("plugin/scalars/tags")[root.name])
    assert {
        "train/loss",
        "train/lr",
        "train/data_wait",
        "ranks/step_seconds/1",
        "evaluation/top1",
        "evaluation/top1_ema",
    } <= tags
    assert not {"evaluation/miou"} & tags
    records = [json.loads(text) for text in (root / "metrics.jsonl").read_text().splitlines()]
    expected = {record["step"]: record["loss"] for record in records if "event" not in record}
    points = service.points(root.name, "train/loss")
    assert [step for step, _ in points] == list(range(1, 361)), "no step twice, though some were done again"
    assert [value for _, value in points] == pytest.approx(list(expected.values()), rel=1e-6)
    request = json.dumps({"experimentName": ""})
    options = {
        each["name"] for each in service.ask("plugin/hparams/experiment", request=request)["hparamInfos"]
    }
    assert {"lr", "net", "max_epoch", "image_size"} <= options


def resumed(tmp_path: Path, folder: Path) -> None:
    """A run that wrote 10 steps, was killed in the middle of an event, and went on after step 6."""
    with TensorBoard(tmp_path, folder) as board:
        for step in range(1, 11):
            board.add(line(step, 2.0))
    (file,) = folder.iterdir()
    file.write_bytes(file.read_bytes()[:-7])
    with TensorBoard(tmp_path, folder, done=6) as board:
        for step in range(7, 13):
            board.add(line(step, 1.0))


def moved(tmp_path: Path, folder: Path) -> None:
    """The same, but on a machine that has only metrics.jsonl."""
    root = tmp_path / "moved-run"
    root.mkdir()
    text = "".join(json.dumps(line(step, 2.0)) + "\n" for step in range(1, 11))
    (root / "metrics.jsonl").write_text(text)
    with TensorBoard(root, folder, done=6) as board:
        for step in range(7, 13):
            board.add(line(step, 1.0))


def test_csv_has_each_step_once(tmp_path):
    root = synthetic_runs.segmentation(tmp_path / "20260922-090000")
    assert main([str(root), "--to", "csv", "--out", str(tmp_path / "out")]) == 0
    folder = tmp_path / "out" / root.name
    assert sorted(path.name for path in folder.iterdir()) == ["evaluations.csv", "metrics.csv"]
    with open(folder / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == list(range(1, 301))
    assert {"loss", "data_wait", "step_seconds_0", "memory_mb_0"} <= set(rows[0])
    with open(folder / "evaluations.csv", newline="") as file:
        figures = list(csv.DictReader(file))
    assert [int(row["step"]) for row in figures] == list(range(30, 301, 30))
    assert "per_class_digit 3" in figures[0]


def test_folders_that_can_not_be_written_are_one_line(tmp_path, capsys):
    root = synthetic_runs.old(tmp_path / "run")
    (tmp_path / "file").write_text("")
    for form in ("tensorboard", "csv"):
        assert main([str(root), "--to", form, "--out", str(tmp_path / "file")]) == 1
    assert [text[:18] for text in capsys.readouterr().err.splitlines()] == ["error: can't write"] * 2
    with pytest.raises(StorageError):
        TensorBoard(root, tmp_path / "file" / "logs")


def test_without_the_writer_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX.proto", None)
    with pytest.raises(ConfigError, match="pip install tensorboardX"):
        events.TensorBoard(tmp_path, tmp_path / "logs")
