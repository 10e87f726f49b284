"""Loggers: which there are, what they are told, and that a training goes on without one that fails."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from PIL import Image

from mindlift.errors import ConfigError
from mindlift.report.loggers import board, names
from mindlift.report.loggers.board import Loggers

STEP = {"step": 3, "epoch": 0, "loss": 0.5, "lr": 0.1, "images_per_second": None, "memory_mb": [7.0, 8.0]}
EVALUATION = {"event": "evaluation", "step": 3, "which": "average", "top1": 91.0, "top5": None}


class Notes:
    """Keeps what it is told; fails at `fails`."""

    def __init__(self, start: names.Start):
        self.start, self.told, self.fails = start, [], ""
        self.id = start.earlier or "run-7"

    def log(self, values, step):
        if self.fails == "log":
            raise OSError("no\n route")
        self.told.append((step, dict(values)))

    def image(self, name, file, step):
        self.told.append((step, name, file.name))

    def close(self):
        self.told.append("closed")


@pytest.fixture
def made(monkeypatch) -> list[Notes]:
    """The loggers that were started, of which there are `one` and `two`."""
    found: list[Notes] = []

    def start(given: names.Start) -> Notes:
        found.append(Notes(given))
        return found[-1]

    monkeypatch.setattr(board, "starter", lambda name: start)
    return found


def test_it_is_told_figures_by_names_with_their_steps(made, tmp_path):
    with Loggers("one,two", tmp_path, {"lr": 0.1}, pytest.fail) as told:
        told.add(STEP)
        told.add(EVALUATION)
        told.add({"event": "start", "step": 0})
    expected = [
        (3, {"train/loss": 0.5, "train/lr": 0.1, "ranks/memory_mb/0": 7.0, "ranks/memory_mb/1": 8.0}),
        (3, {"evaluation/top1_ema": 91.0}),
        "closed",
    ]
    assert [each.told for each in made] == [expected, expected]
    assert made[0].start == names.Start(tmp_path.name, tmp_path, {"lr": 0.1}, "")


def test_a_training_that_is_continued_is_the_same_run_there(made, tmp_path):
    for _ in range(2):
        with Loggers("one", tmp_path, {}, pytest.fail):
            pass
    assert [each.start.earlier for each in made] == ["", "run-7"]
    assert json.loads((tmp_path / "loggers.json").read_text(encoding="utf-8")) == {"one": "run-7"}


def test_pictures_of_the_newest_evaluation(made, tmp_path):
    (tmp_path / "evaluation").mkdir()
    Image.new("RGB", (2, 2)).save(tmp_path / "evaluation/mistake_0.png")
    named = [{"file": "evaluation/mistake_0.png"}, {"file": "evaluation/gone.png"}, {"file": "../x.png"}]
    (tmp_path / "evaluation.json").write_text(json.dumps({"mistakes": named}), encoding="utf-8")
    with Loggers("one", tmp_path, {}, pytest.fail) as told:
        told.pictures(8)
    assert made[0].told == [(8, "evaluation/mistake_0", "mistake_0.png"), "closed"]


def test_one_that_fails_is_left_out_with_a_warning(made, tmp_path):
    warnings: list[str] = []
    with Loggers("one,two", tmp_path, {}, warnings.append) as told:
        made[0].fails = "log"
        told.add(STEP)
        told.add({**STEP, "step": 4})
    assert warnings == ["--loggers one failed, and the training goes on without it: OSError: no route"]
    assert made[0].told == []
    assert [each[0] for each in made[1].told[:-1]] == [3, 4]


def test_one_that_does_not_start_ends_the_training_before_it_begins(monkeypatch, made, tmp_path):
    good = board.starter("one")

    def starter(name):
        def start(given):
            raise RuntimeError("api key not configured")

        return start if name == "two" else good

    monkeypatch.setattr(board, "starter", starter)
    with pytest.raises(ConfigError) as caught:
        Loggers("one,two", tmp_path, {}, pytest.fail).__enter__()
    assert str(caught.value).startswith(
        "--loggers two did not start: RuntimeError: api key not configured; set"
    )
    assert made[0].told == ["closed"]


def test_names_with_commas_between():
    assert names.parsed("") == []
    assert names.parsed(" wandb, mlflow ,wandb,") == ["wandb", "mlflow"]


@pytest.mark.parametrize("name", names.OWN)
def test_a_package_that_is_not_installed(name, monkeypatch):
    monkeypatch.setattr(names.importlib.util, "find_spec", lambda package: None)
    package = names.OWN[name][0]
    with pytest.raises(ConfigError) as caught:
        names.check(name)
    assert str(caught.value) == f"--loggers {name} needs the package {package}: pip install {package}"


def test_a_logger_that_there_is_not():
    with pytest.raises(ConfigError) as caught:
        names.check("wandbb")
    assert "--loggers wandbb: there is no such logger; did you mean 'wandb'?; known: wandb, " in str(
        caught.value
    )
    assert names.GROUP in str(caught.value)


def entry_point(folder: Path, name: str, target: str) -> None:
    """As `pip install` leaves it (packaging.python.org, Entry points specification)."""
    info = folder / "notes-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: notes\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[{names.GROUP}]\n{name} = {target}\n", encoding="utf-8")


@pytest.mark.parametrize("name", ["notes", "wandb"])
def test_an_entry_point_of_another_package_counts_first(name, tmp_path, monkeypatch):
    entry_point(tmp_path, name, f"{__name__}:Notes")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    names.check(name)
    assert names.starter(name).__name__ == "Notes"


@pytest.mark.parametrize("name", names.OWN)
def test_what_the_table_names_is_there(name):
    assert names.starter(name).__name__ == name
