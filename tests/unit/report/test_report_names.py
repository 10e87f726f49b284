"""What runs are called: by what differs between them."""

from __future__ import annotations

from pathlib import Path

from mindlift.model_utils.config import config
from mindlift.report import names
from mindlift.runs import folder as run_folder
from mindlift.runs.folder import RunData


def run_with(root: Path, *words: str, ranks: int = 1) -> RunData:
    root.mkdir()
    text = config.load(["--net", "densenet22", "--dataset", "digits", *words]).to_yaml(origins=True)
    (root / "config.yaml").write_text(text)
    (root / "versions.json").write_text(f'{{"ranks": {ranks}}}')
    return run_folder.read(root)


def titles(*runs: RunData) -> list[str]:
    names.give(runs)
    return [run.title for run in runs]


def test_one_run_is_called_by_what_it_trains_and_changes(tmp_path):
    assert titles(run_with(tmp_path / "a")) == ["densenet22 on digits"]
    assert titles(run_with(tmp_path / "b", "--lr", "0.3", "--lr_epochs", "3,5", "--log_interval", "7")) == [
        "densenet22 on digits, lr 0.3, lr_epochs 3,5"
    ]


def test_several_are_called_by_what_differs(tmp_path):
    first = run_with(tmp_path / "a", "--lr", "0.3", "--ckpt_path", "x")
    second = run_with(tmp_path / "b", "--lr", "0.1", "--ckpt_path", "y")
    assert titles(first, second) == ["lr 0.3", "lr 0.1"]
    third = run_with(tmp_path / "c", "--lr", "0.1", ranks=4)
    assert titles(first, second, third) == ["lr 0.3, 1 rank", "lr 0.1, 1 rank", "lr 0.1, 4 ranks"]


def test_networks_that_differ_are_named_without_all_that_comes_with_them(tmp_path):
    first = run_with(tmp_path / "a")
    second = run_with(tmp_path / "b", "--net", "resnet50", "--dataset", "imagenet")
    assert titles(first, second) == ["densenet22 on digits", "resnet50 on imagenet"]


def test_equal_options_leave_the_folders_names(tmp_path):
    assert titles(run_with(tmp_path / "a"), run_with(tmp_path / "b")) == [
        "densenet22 on digits, a",
        "densenet22 on digits, b",
    ]


def test_runs_without_options_are_called_by_their_folders(tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "old/metrics.jsonl").write_text("")
    old = run_folder.read(tmp_path / "old")
    assert titles(old) == ["old"]
    assert titles(old, run_with(tmp_path / "a", "--lr", "0.3")) == ["old", "densenet22 on digits, lr 0.3"]


def test_values_are_short(tmp_path):
    first = run_with(tmp_path / "a", "--pretrained", "/data/weights/resnet.ckpt")
    second = run_with(tmp_path / "b", "--lr_epochs", ",".join(map(str, range(1, 40))))
    one, other = titles(first, second)
    assert "pretrained resnet.ckpt" in one
    assert other.endswith("…")
    assert len(other) < 90
