"""Trainings with a teacher: that they learn from it, can be cut, and notice another teacher."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.support.programs import TINY, Finished, run_program, run_ranks
from tests.support.weights import assert_same, weights

KINDS = {
    "soft": ["--distill", "soft", "--distill_alpha", "0.7", "--distill_temperature", "3"],
    "hard with MixUp": ["--distill", "hard", "--mixup_alpha", "0.4", "--enable_ema", "true"],
}


@pytest.fixture(scope="module")
def teacher(few_digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of a short training."""
    out = tmp_path_factory.mktemp("teacher")
    done = run_program("train.py", *TINY, "--data_dir", few_digits, "--max_steps", 4, "--ckpt_path", out)
    assert done.code == 0, done.err
    return Path(done.result["checkpoint"])


def command(data: Path, teacher: Path, kind: str, steps: int = 6) -> list[object]:
    seed = ["--seed", "5"]  # of other initial weights than the teacher's
    named = ["--teacher", "densenet22", "--teacher_weights", teacher]
    return [
        *TINY,
        *seed,
        "--data_dir",
        data,
        *named,
        *KINDS[kind],
        "--max_steps",
        steps,
        "--ckpt_interval",
        3,
    ]


def train(out: Path, *words: object) -> Finished:
    done = run_program("train.py", *words, "--ckpt_path", out)
    assert done.code == 0, done.err
    return done


@pytest.mark.heavy
@pytest.mark.parametrize("kind", KINDS)
def test_a_training_that_was_cut_ends_with_the_same_weights(few_digits, teacher, tmp_path, kind):
    words = command(few_digits, teacher, kind)
    whole = train(tmp_path / "whole", *words)
    assert f"teacher: densenet22 of {teacher}" in whole.out
    last = Path(whole.result["checkpoint"])
    tensors = weights(last)
    assert not [name for name in tensors if name.startswith("teacher.")], "its weights are not the run's"
    (middle,) = [path for path in last.parent.glob("*.ckpt") if int(weights(path)["step_num"]) == 3]
    rest = train(tmp_path / "rest", *words, "--resume", middle)
    assert_same(last, rest.result["checkpoint"])
    alone = train(tmp_path / "alone", *words[: words.index("--teacher")], "--max_steps", 6)
    others = weights(alone.result["checkpoint"])
    assert any((tensors[name] != others[name]).any() for name in others if name.endswith("weight"))


@pytest.mark.heavy
def test_another_teacher_of_the_same_name_is_noticed(few_digits, teacher, tmp_path):
    mine = tmp_path / "teacher.ckpt"
    shutil.copy(teacher, mine)
    begun = train(tmp_path / "out", *command(few_digits, mine, "soft", steps=3))
    shutil.copy(begun.result["checkpoint"], mine)
    words = [*command(few_digits, mine, "soft"), "--resume", begun.result["checkpoint"]]
    done = run_program("train.py", *words, "--ckpt_path", tmp_path / "out")
    assert done.code == 2, done.out
    assert "is trained with other weights of the teacher than --teacher_weights has here now" in done.error


@pytest.mark.heavy
def test_two_ranks_and_an_evaluation(few_digits, teacher, tmp_path):
    words = [*command(few_digits, teacher, "soft"), "--per_batch_size", 8, "--ckpt_path", tmp_path / "out"]
    done = run_ranks(2, "train.py", *words, "--is_save_on_master", 0, LOG_DIR=str(tmp_path / "logs"))
    assert done.code == 0, done.err
    (run,) = (tmp_path / "out").iterdir()
    files = sorted(run.glob("checkpoints/**/*-*.ckpt"))
    by_step: dict[int, list[dict[str, np.ndarray]]] = {}
    for path in files:
        found = weights(path)
        by_step.setdefault(int(found["step_num"]), []).append(found)
    assert sorted(by_step) == [3, 6]
    for first, second in by_step.values():
        for name in first:
            if not name.endswith(("moving_mean", "moving_variance")):
                np.testing.assert_array_equal(first[name], second[name], err_msg=name)
    judged = run_program("eval.py", run, "--data_dir", few_digits)
    assert judged.code == 0, judged.err
