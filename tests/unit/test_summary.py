"""The table of several checkpoints, and which of them it calls the best."""

from __future__ import annotations

import math

import pytest

from mindlift.inference import evaluate, summary
from mindlift.model_utils.config import config
from mindlift.tasks import base


def figures(name: str, **found: object) -> dict[str, object]:
    return {"checkpoint": f"run/checkpoints/{name}", **found}


# (top-1 of each, newest first), the best's number
BEST = {
    "the largest": ((10.0, 30.0, 20.0), 1),
    "of equal ones the newest": ((30.0, 30.0, 20.0), 0),
    "what is no number is worst": ((math.nan, 0.0, 0.0), 1),
    "what is missing is worst": ((None, 1, 0.5), 1),
    "nothing is a number": ((math.nan, math.nan), 0),
}


@pytest.mark.parametrize("case", BEST)
def test_the_best(case):
    values, best = BEST[case]
    found = [figures(f"net-{at}.ckpt", top1=value) for at, value in enumerate(values)]
    assert summary.lines(found, ["top1"])[-1].startswith(f"best by top1: run/checkpoints/net-{best}.ckpt (")


def test_the_table_leaves_out_what_nothing_has():
    found = [
        figures("net-10_1.ckpt", top1=50.0, top5=None, loss=1.25),
        figures("net-9_1.ckpt", top1=100.0, top5=None, loss=None),
    ]
    assert summary.lines(found, ["top1", "top5", "loss"]) == [
        "checkpoint         top1    loss",
        "net-10_1.ckpt   50.0000  1.2500",
        "net-9_1.ckpt   100.0000       -",
        "best by top1: run/checkpoints/net-9_1.ckpt (100.0000)",
    ]


def test_every_task_has_figures():
    assert {name: task.FIGURES[0] for name, task in base.TASKS.items()} == {
        "classification": "top1",
        "multilabel": "map",
        "segmentation": "miou",
    }


@pytest.mark.parametrize("split", [True, False])
def test_images_that_the_run_has_named_are_said(tmp_path, split):
    """Without another split they are those of the training."""
    (tmp_path / "data" / ("train" if split else "cat")).mkdir(parents=True)
    (tmp_path / "data" / ("val" if split else "dog")).mkdir()
    data = tmp_path / "data"
    cfg = config.load(["--net", "densenet121", "--dataset", "imagenet", "--data_dir", str(data)])
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text(cfg.to_yaml())
    of_run = config.load(["--pretrained", str(tmp_path / "run")], prog="eval.py")
    assert evaluate.of_run(of_run, data) == f"images of {data}, as of the run" + (
        "" if split else ": it has no other split, so that they are those of the training"
    )
    named = config.load(["--pretrained", str(tmp_path / "run"), "--data_dir", str(data)], prog="eval.py")
    assert evaluate.of_run(named, data) == ""
