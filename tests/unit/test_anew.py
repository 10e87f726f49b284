"""Why a training begins a new run although there are earlier ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mindlift.model_utils.config import config
from mindlift.runs import anew, choose

ARGV = [
    "--net",
    "densenet22",
    "--dataset",
    "digits",
    "--lr",
    "0.1",
    "--max_epoch",
    "4",
    "--progress",
    "false",
]
OLD, NEW = "20261128-133800", "20261129-090000"


def written(root: Path, *more: str, ranks: int = 1, is_over: bool = False) -> Path:
    """The folder of a run with these options."""
    cfg = config.load([*ARGV, *more])
    root.mkdir(parents=True)
    (root / "config.yaml").write_text(cfg.to_yaml(origins=True))
    mark = choose.fingerprint(cfg.identity(), ranks)
    (root / "run.json").write_text(json.dumps({"fingerprint": mark, "ranks": ranks, "begun": [1.0]}))
    if is_over:
        (root / "result.json").write_text("{}")
    return root


def wanted(*more: str, ranks: int = 1) -> choose.Wanted:
    return choose.wanted(config.load([*ARGV, *more]).identity(), ranks)


CASES = {
    "an option": ((), {}, ("--lr", "0.2"), 1, "was made with lr 0.1 (now 0.2)"),
    "a list": (
        ("--lr_epochs", "1,2"),
        {},
        ("--lr_epochs", "2,3"),
        1,
        "was made with lr_epochs 1,2 (now 2,3)",
    ),
    "ranks": ((), {"ranks": 2}, (), 1, "was made with ranks 2 (now 1)"),
    "not set before": ((), {}, ("--lr_base_batch", "64"), 1, "was made with lr_base_batch not set (now 64)"),
    "a truth": (
        (),
        {},
        ("--enable_ema", "true"),
        2,
        "was made with enable_ema false (now true), ranks 1 (now 2)",
    ),
    "ended": ((), {"is_over": True}, (), 1, "has ended"),
    "nothing saved": ((), {}, (), 1, "has no complete checkpoint to continue from"),
    "free options": ((), {"is_over": True}, ("--log_interval", "7"), 1, "has ended"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_folder_and_a_bucket_say_why(tmp_path, case):
    before, how, now, ranks, says = CASES[case]
    written(tmp_path / OLD, *before, **how)
    (tmp_path / NEW).mkdir()
    asked = wanted(*now, ranks=ranks)
    assert anew.of_folder(tmp_path, asked, but=NEW) == f"a new run begins: {OLD} {says}"
    assert anew.of_bucket(str(tmp_path), asked) == f"a new run begins: {OLD} {says}"


def test_many_differences_are_counted(tmp_path):
    written(tmp_path / OLD)
    asked = wanted(
        "--lr", "0.2", "--momentum", "0.5", "--seed", "7", "--weight_decay", "0.3", "--hflip", "0.1"
    )
    line = anew.of_folder(tmp_path, asked, but="")
    assert line.count(" (now ") == 3
    assert line.endswith(" and 2 more")


def test_the_newest_counts(tmp_path):
    written(tmp_path / OLD, is_over=True)
    written(tmp_path / NEW, "--lr", "0.5")
    assert anew.of_folder(tmp_path, wanted(), but="").startswith(
        f"a new run begins: {NEW} was made with lr 0.5"
    )


@pytest.mark.parametrize("text", [None, "{", "lr: [0.1"])
def test_a_run_whose_options_are_not_known(tmp_path, text):
    root = written(tmp_path / OLD)
    (root / "config.yaml").unlink()
    if text:
        (root / "config.yaml").write_text(text)
    for line in (
        anew.of_folder(tmp_path, wanted("--lr", "0.2"), but=""),
        anew.of_bucket(str(tmp_path), wanted("--lr", "0.2")),
    ):
        assert line == f"a new run begins: {OLD} was made with other options"


def test_without_earlier_runs_nothing_is_said(tmp_path):
    assert anew.of_folder(tmp_path / "none", wanted(), but="") == ""
    assert anew.of_folder(tmp_path, wanted(), but="") == ""
    assert anew.of_bucket(str(tmp_path), wanted()) == ""


def test_a_folder_that_the_platform_fills_is_no_difference(tmp_path):
    written(tmp_path / OLD, "--enable_modelarts", "true", "--data_url", "/cache/a", "--lr", "0.3")
    line = anew.of_folder(tmp_path, wanted("--enable_modelarts", "true", "--data_url", "/cache/b"), but="")
    assert line == f"a new run begins: {OLD} was made with lr 0.3 (now 0.1)"
