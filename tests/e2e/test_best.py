"""The best weights are kept, and a training ends early or by the clock: the same after a cut, and on two ranks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mindlift.runs import manifest
from tests.support.programs import TINY, Finished, run_program, run_ranks
from tests.support.weights import assert_same, weights


def lines(done: Finished) -> list[dict]:
    text = (Path(done.result["run"]) / "metrics.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def evaluations(done: Finished) -> dict[int, dict]:
    return {line["step"]: line for line in lines(done) if line.get("event") == "evaluation"}


def checkpoints(done: Finished) -> dict[int, manifest.Saved]:
    return {saved.step: saved for saved in manifest.listed(Path(done.result["run"]) / "checkpoints")}


@pytest.mark.heavy
@pytest.mark.parametrize("metric", ["top1", "loss"])
def test_the_best_are_kept_and_named(metric, few_digits, tmp_path):
    done = run_program(
        "train.py",
        *TINY,
        *("--data_dir", few_digits, "--ckpt_path", tmp_path, "--max_epoch", 2, "--eval_steps", 2),
        *("--keep_best", 2, "--best_metric", metric, "--keep_checkpoint_max", 1, "--ckpt_interval", 5),
    )
    assert done.code == 0, done.err
    found = evaluations(done)
    assert list(found) == [2, 4, 6, 8, 10, 12]
    sign = -1 if metric == "loss" else 1
    ranking = sorted(found, key=lambda step: (-sign * found[step][metric], step))
    kept = checkpoints(done)
    assert set(kept) == {*ranking[:2], 12}
    assert kept[ranking[0]].score == found[ranking[0]][metric]
    result, best = done.result, kept[ranking[0]]
    assert (result["best_metric"], result["best_step"]) == (metric, ranking[0])
    assert result["best"] == pytest.approx(found[ranking[0]][metric], abs=1e-5)
    assert Path(result["best_checkpoint"]).name == best.file
    assert best.file in (Path(result["run"]) / "report.html").read_text(encoding="utf-8")


@pytest.mark.heavy
def test_plateau_and_early_stop_are_the_same_after_a_cut(few_digits, tmp_path):
    """With a delta that nothing reaches the first evaluation is the best, and each of the next halves the rate."""
    command = [
        *(
            *TINY,
            "--data_dir",
            few_digits,
            "--lr_scheduler",
            "plateau",
            "--plateau_patience",
            0,
            "--lr_gamma",
            0.5,
        ),
        *("--min_delta", 1000, "--eval_steps", 2, "--early_stop", 4, "--log_interval", 1),
        *("--optimizer", "adamw", "--lr", 0.01, "--eta_min", 0.002),
    ]
    whole = run_program("train.py", *command, "--ckpt_interval", 1, "--ckpt_path", tmp_path / "whole")
    assert whole.code == 0, whole.err
    assert (whole.result["steps"], whole.result["ended_by"], whole.result["best_step"]) == (
        10,
        "early_stop",
        2,
    )
    assert "ends early after step 10: no better top1 than" in whole.out
    rates = {line["step"]: line["lr"] for line in lines(whole) if "event" not in line}
    assert [round(rates[step], 6) for step in range(1, 11)] == [0.01] * 4 + [0.005] * 2 + [0.0025] * 2 + [
        0.002
    ] * 2
    at = {
        saved.step: saved.path(Path(whole.result["run"]) / "checkpoints")
        for saved in checkpoints(whole).values()
    }
    # after an ordinary step, between a checkpoint and the evaluation that follows it, and when all but the end is done
    for step in (5, 6, 9):
        rest = run_program(
            "train.py",
            *command,
            "--ckpt_interval",
            1,
            "--ckpt_path",
            tmp_path / str(step),
            "--resume",
            at[step],
        )
        assert rest.code == 0, rest.err
        assert (rest.result["steps"], rest.result["ended_by"]) == (10, "early_stop")
        assert_same(whole.result["checkpoint"], rest.result["checkpoint"])
        again = {line["step"]: line["lr"] for line in lines(rest) if "event" not in line}
        assert again == {number: rate for number, rate in rates.items() if number > step}
    assert int(weights(at[10])["monitor.waited"]) == 3, "it is saved before its evaluation"
    ended = run_program("train.py", *command, "--ckpt_path", tmp_path / "10", "--resume", at[10])
    assert ended.code == 0, ended.err
    assert (ended.result["steps"], ended.result["ended_by"]) == (10, "early_stop"), "nothing more is trained"


@pytest.mark.heavy
def test_two_ranks_end_early_together(few_digits, tmp_path):
    done = run_ranks(
        2,
        "train.py",
        *(*TINY, "--data_dir", few_digits, "--ckpt_path", tmp_path, "--lr_scheduler", "plateau"),
        *(
            "--plateau_patience",
            0,
            "--lr_gamma",
            0.5,
            "--min_delta",
            1000,
            "--eval_steps",
            1,
            "--early_stop",
            2,
        ),
        *("--is_save_on_master", 0, "--keep_best", 1),
        LOG_DIR=str(tmp_path / "logs"),
    )
    assert done.code == 0, done.err
    assert "ends early after step 3" in done.out
    (run,) = tmp_path.glob("2*")
    first, second = (manifest.listed(run / folder)[-1] for folder in ("checkpoints", "checkpoints/rank_1"))
    assert first.step == second.step == 3
    one, two = weights(first.path(run / "checkpoints")), weights(second.path(run / "checkpoints/rank_1"))
    for name in (each for each in one if ".moving_" not in each):  # of the rank's own images
        np.testing.assert_array_equal(one[name], two[name], err_msg=name)


@pytest.mark.heavy
@pytest.mark.parametrize("ranks", [1, 2])
def test_the_hours_of_a_job_end_it_and_the_next_one_continues(ranks, few_digits, tmp_path, trained):
    command = [*TINY, "--data_dir", few_digits, "--ckpt_path", tmp_path / "runs", "--ckpt_interval", 9999]

    def train(*more: object) -> Finished:
        if ranks == 1:
            return run_program("train.py", *command, *more)
        return run_ranks(2, "train.py", *command, *more, LOG_DIR=str(tmp_path / "logs"))

    first = train("--max_hours", 0.0001)
    assert first.code == 0, first.err
    assert "the same command continues from step" in first.out
    (run,) = (tmp_path / "runs").iterdir()
    assert not (run / "result.json").exists(), "it has not ended"
    step = manifest.listed(run / "checkpoints")[-1].step
    assert 1 <= step <= ranks
    rest = train("--max_hours", 5)
    assert rest.code == 0, rest.err
    assert f"after step {step}" in rest.out
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [run.name]
    assert (run / "result.json").exists()
    last = manifest.listed(run / "checkpoints")[-1].path(run / "checkpoints")
    if ranks == 1:
        assert_same(trained.result["checkpoint"], last)
    else:
        whole = run_ranks(
            2, "train.py", *command[:-4], "--ckpt_path", tmp_path / "whole", LOG_DIR=str(tmp_path / "l")
        )
        assert whole.code == 0, whole.err
        (other,) = (tmp_path / "whole").iterdir()
        assert_same(manifest.listed(other / "checkpoints")[-1].path(other / "checkpoints"), last)


@pytest.mark.heavy
def test_minutes_between_checkpoints(few_digits, tmp_path):
    """The first step compiles for longer than 0.6 s; all 18 take less than 18 times that."""
    done = run_program(
        "train.py",
        *(
            *TINY,
            "--data_dir",
            few_digits,
            "--ckpt_path",
            tmp_path,
            "--ckpt_interval",
            9999,
            "--ckpt_minutes",
            0.01,
        ),
    )
    assert done.code == 0, done.err
    steps = list(checkpoints(done))
    assert (steps[0], steps[-1]) == (1, 18)
    assert len(steps) < 10
