"""What the report page says of a run: options that it changed, the command that repeats it, where it stands."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mindlift.model_utils.config import config
from mindlift.report import changes, charts, figures, overview, planned
from mindlift.report import evaluation as evaluated
from mindlift.report.names import folder_names
from mindlift.runs import folder as run_folder
from mindlift.runs import manifest
from mindlift.runs.manifest import Saved
from mindlift.training import schedules
from tests.support import synthetic_runs


@pytest.mark.parametrize(
    "words",
    [
        ["--net", "densenet22", "--dataset", "digits"],
        ["--net", "resnet50", "--dataset", "imagenet"],
        ["--net", "inception_v4", "--dataset", "imagenet"],
    ],
)
def test_the_planned_learning_rate_is_the_trainers(tmp_path, words):
    cfg = config.load([*words, "--max_epoch", "7"])
    root = synthetic_runs.old(tmp_path / "run")
    (root / "config.yaml").write_text(cfg.to_yaml(origins=True))
    (root / "versions.json").write_text('{"ranks": 4}')
    (root / "metrics.jsonl").write_text(
        json.dumps({"event": "start", "step": 0, "images": 5000, "steps_per_epoch": 13})
    )
    steps, rates = planned.learning_rate(run_folder.read(root))
    table = schedules.lr_table(13, schedules.from_config(cfg, 4, 5000))
    assert (steps[0], steps[-1]) == (1, len(table))
    np.testing.assert_allclose(
        np.interp(np.arange(len(table)) + 1, steps, rates), table, rtol=1e-5, atol=1e-12
    )


@pytest.mark.parametrize(
    ("words", "per_epoch"),
    [
        (["--lr_scheduler", "exponential", "--lr_epochs", "31,62,85"], 5004),
        (["--lr_scheduler", "cosine_annealing"], 1251),
        (["--lr_scheduler", "poly"], 313),
    ],
)
def test_the_line_through_the_plan_meets_what_is_used(tmp_path, words, per_epoch):
    """Wherever a line of the log is: the charts draw straight lines between the plan's points."""
    cfg = config.load(["--net", "resnet50", "--dataset", "imagenet", "--max_epoch", "90", *words])
    root = synthetic_runs.old(tmp_path / "run")
    (root / "config.yaml").write_text(cfg.to_yaml(origins=True))
    start = {"event": "start", "step": 0, "images": 256 * per_epoch, "steps_per_epoch": per_epoch}
    (root / "metrics.jsonl").write_text(json.dumps(start))
    steps, rates = planned.learning_rate(run_folder.read(root))
    used = schedules.lr_table(per_epoch, schedules.from_config(cfg, 1, 256 * per_epoch))
    drawn = np.interp(np.arange(len(used)) + 1, steps, rates)
    assert np.max(np.abs(drawn - used)) < 0.003 * used.max(), "a pixel of 300"
    assert len(steps) <= planned.POINTS


def test_a_long_plan_has_few_points(tmp_path):
    root = synthetic_runs.old(tmp_path / "run")
    (root / "config.yaml").write_text(
        config.load(["--net", "resnet50", "--dataset", "imagenet", "--max_epoch", "90"]).to_yaml(True)
    )
    (root / "metrics.jsonl").write_text(
        json.dumps({"event": "start", "step": 0, "images": 10**8, "steps_per_epoch": 10**5})
    )
    steps, _ = planned.learning_rate(run_folder.read(root))
    assert steps[-1] == 9 * 10**6
    assert len(steps) <= planned.POINTS


def changed(run: run_folder.RunData) -> dict[str, changes.Change]:
    return {each.name: each for each in changes.changes(run, changes.known(run)) if changes.is_own(each)}


def test_a_recipe_that_is_gone_leaves_the_defaults(tmp_path):
    (tmp_path / "config.yaml").write_text(
        "model:\n  net: gone  # from command line\n  lr: 0.7  # from command line\n"
    )
    found = changed(run_folder.read(tmp_path))
    assert (found["lr"].value, found["lr"].recipe) == (0.7, None)
    assert found["lr"].default is not None


def test_what_a_run_changed_is_told_with_what_it_would_have_been(tmp_path):
    cfg = config.load(
        ["--net", "densenet22", "--dataset", "digits", "--lr", "0.3", "--seed", "7", "--hflip", "0"]
    )
    (tmp_path / "config.yaml").write_text(cfg.to_yaml(origins=True))
    found = changed(run_folder.read(tmp_path))
    recipe = config.load(["--net", "densenet22", "--dataset", "digits"])
    assert set(found) == {"lr", "seed"}, "not net and hflip, which the recipe has like that"
    assert (found["lr"].value, found["lr"].recipe, found["lr"].by) == (0.3, recipe.lr, "command line")
    assert (found["seed"].value, found["seed"].default) == (7, recipe.seed)


def test_the_command_repeats_the_run(tmp_path):
    words = [
        "--net",
        "densenet22",
        "--dataset",
        "digits",
        "--lr_epochs",
        "3,5",
        "--image_size",
        "16,18",
        "--ckpt_path",
        "a b'c",
        "--is_distributed",
        "false",
    ]
    cfg = config.load(words)
    (tmp_path / "config.yaml").write_text(cfg.to_yaml(origins=True))
    run = run_folder.read(tmp_path)
    program, *given = shlex.split(changes.command(run))[1:]
    assert program == "train.py"
    assert config.load(given) == cfg
    run.versions["ranks"] = 4
    assert changes.command(run).startswith("bash scripts/local_ranks.sh 4 train.py --")


def test_where_a_run_stands(runs, tmp_path):
    first, second, old = (run_folder.read(runs[name]) for name in ("first", "second", "old"))
    last = second.metrics.last
    assert figures.state(first, 0)[0] == "ended"
    assert figures.state(second, last + 60) == ("running", "running, at step 360")
    assert figures.state(second, last + 7200) == ("cut", "cut short: nothing since step 360, 2 h ago")
    stopped = synthetic_runs.old(tmp_path / "run")
    with open(stopped / "metrics.jsonl", "a") as file:
        file.write('\n{"time": 1790000200.0, "event": "stopped", "step": 101}\n')
    assert figures.state(run_folder.read(stopped), 0)[0] == "stopped"
    assert (figures.lost_steps(first), figures.lost_steps(old)) == (36, 0)


def test_single_figures(runs):
    first, segmentation = run_folder.read(runs["first"]), run_folder.read(runs["segmentation"])
    best = figures.best(first, "top1")
    lines = [json.loads(line) for line in (runs["first"] / "metrics.jsonl").read_text().splitlines()]
    assert best.value == max(line["top1"] for line in lines if "top1" in line)
    assert figures.best(first, "miou") is None
    ranks = figures.stragglers(first)
    assert [rank for rank, *_ in ranks] == [0, 1]
    assert 1.2 < ranks[1][3] < 1.4
    assert figures.traffic(first.transfers)[0] == ("staged", 1, 612_000_000, 14.5)
    assert evaluated.of_classes(segmentation, "ious", "miou")["digit 9"] is None
    assert len(charts.boxes(first, "published", 100)) == 8
    assert len(charts.boxes(first, "published", 3)) == 3


def with_lines(root: Path, *lines: dict) -> run_folder.RunData:
    with open(root / "metrics.jsonl", "a") as file:
        file.write("".join("\n" + json.dumps(line) for line in lines))
    return run_folder.read(root)


def test_a_run_that_failed_says_with_what(tmp_path):
    root = synthetic_runs.old(tmp_path / "run")
    error = "loss is nan at step 101 (epoch 2), learning rate 0.1"
    failed = with_lines(root, {"time": 1790000200.0, "event": "failed", "step": 100, "error": error})
    assert figures.state(failed, 0) == ("failed", "failed after step 100")
    assert figures.errors(failed, 0) == [error]
    again = with_lines(root, {"time": 1790000300.0, "event": "continued", "step": 100})
    assert figures.errors(again, again.metrics.last + 9) == []


def test_errors_of_other_ranks_are_those_at_the_ends_of_their_logs(tmp_path):
    root = synthetic_runs.old(tmp_path / "run")
    (root / "logs").mkdir()
    ends = {
        0: "2026-11-29 10:00:00,123 ERROR rank 0 of 3 got no answer",
        1: "2026-11-29 10:00:00,123 ERROR no space left\n2026-11-29 10:00:05,123 INFO went on",
        2: "2026-11-29 10:00:00,123 INFO step\n2026-11-29 10:00:05,123 ERROR disk full",
    }
    for rank, text in ends.items():
        (root / f"logs/rank_{rank}.log").write_text(text + "\n")
    (root / "logs/rank_x.log").write_bytes(b"\xff")
    assert figures.errors(run_folder.read(root), 1.8e9) == ["rank 0 of 3 got no answer", "rank 2: disk full"]


def test_what_has_no_course_is_no_chart(tmp_path):
    root = tmp_path / "run"
    root.mkdir()
    lines = [
        {"time": 1.79e9 + at, "epoch": 0, "step": at, "loss": 1 / at, "lr": 0.1, "images_per_second": 50.0}
        for at in (1, 2, 3)
    ]
    score = {"time": 1.79e9 + 4, "event": "evaluation", "step": 3, "which": "weights", "top1": 91.88}
    run = with_lines(root, *lines, score)
    assert [chart["id"] for chart in charts.build([run])] == ["loss"]
    assert charts.level([run]) == [
        ("Accuracy", "%", 0, "top-1", 91.88),
        ("Learning rate", "", 0, "", 0.1),
        ("Speed", "images/s", 0, "", 50.0),
    ]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "0 s"), (59, "59 s"), (60, "1 min"), (61, "1 min 1 s"), (7260, "2 h 1 min"), (90000, "1 d 1 h")],
)
def test_durations(seconds, words):
    assert figures.span(seconds) == words


def test_folder_names_tell_runs_apart():
    assert folder_names([Path("/a/x/20260101-000000"), Path("/a/y/20260101-000000")]) == [
        "x/20260101-000000",
        "y/20260101-000000",
    ]
    assert folder_names([Path("/a/x"), Path("/a/y")]) == ["x", "y"]
    assert folder_names([Path("/a/x"), Path("/a/x")]) == ["x (1)", "x (2)"]
    assert folder_names([]) == []


def test_the_page_names_the_best_checkpoint(runs, tmp_path):
    """That of `--keep_best`; else the one of the step that was evaluated best, where it is kept."""
    root = synthetic_runs.classification(tmp_path / "20260921-140640")
    steps = [line["step"] for line in scored(root)]
    top = max(scored(root), key=lambda line: line["top1"])
    folder = root / "checkpoints"
    folder.mkdir(exist_ok=True)
    kept = [Saved(f"net-{step}.ckpt", 1, step, 36, 1, 1, "0" * 64, step) for step in steps]
    (folder / "manifest.jsonl").write_text(manifest.as_text(kept))
    named = dict(overview.facts(run_folder.read(root)))["best checkpoint"]
    assert named == f"net-{top['step']}.ckpt (top-1 {top['top1']:.2f} %)"
    others = [each for each in kept if each.step != top["step"]]
    (folder / "manifest.jsonl").write_text(manifest.as_text(others))
    assert "best checkpoint" not in dict(overview.facts(run_folder.read(root))), "it is not kept"
    judged = [*others, replace(others[0], metric="top1", score=12.5)]
    (folder / "manifest.jsonl").write_text(manifest.as_text(judged))
    named = dict(overview.facts(run_folder.read(root)))["best checkpoint"]
    assert named == f"{others[0].file} (top-1 12.50 %)"


def scored(root: Path) -> list[dict]:
    lines = [json.loads(line) for line in (root / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if "top1" in line]
