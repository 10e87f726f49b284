"""Trainings by each optimiser: cut in the middle they end with the same weights, bit by bit, and so on two ranks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.programs import TINY, run_program
from tests.support.weights import assert_same, of_one_and_two_ranks, weights

STEPS, GLOBAL_BATCH = 8, 32
TRAININGS = {
    "nesterov": "--nesterov true --layer_decay 0.8 --lr_scheduler poly --warmup_steps 4",
    "adam": "--optimizer adam --lr 0.01 --enable_clip_norm true --clip_mode value --gradient_norm 0.05"
    " --lr_scheduler cosine_restarts --T_max 1 --lr_cycle_mul 2 --lr_cycle_decay 0.5",
    "adamw": "--optimizer adamw --lr 0.01 --weight_decay 0.05 --layer_decay 0.7 --enable_clip_norm true"
    " --clip_mode agc --gradient_norm 0.02 --warmup_steps 3 --accumulation_steps 2 --max_epoch 6",
    "lamb": "--optimizer lamb --lr 0.02 --weight_decay 0.01 --enable_ema true --ema_decay 0.9",
    "lars": "--optimizer lars --lr 2 --lars_coefficient 0.02 --is_dynamic_loss_scale true --loss_scale_window 4",
    "lion": "--optimizer lion --lr 0.002 --weight_decay 0.1 --weight_decay_exclude *.bias --lr_base_batch 64",
    "recomputed": "--recompute true --dropout 0.1 --head_dropout 0.2 --enable_ema true --ema_start_epoch 1",
}
STATE = {"nesterov": "moments.", "lars": "moments.", "lion": "moments.", "recomputed": "moments."}


@pytest.mark.heavy
@pytest.mark.parametrize("name", TRAININGS)
def test_a_training_that_was_cut_ends_with_the_same_weights(name, few_digits, tmp_path):
    command = [
        *TINY,
        "--data_dir",
        few_digits,
        *TRAININGS[name].split(),
        "--max_steps",
        9,
        "--ckpt_interval",
        4,
    ]
    whole = run_program("train.py", *command, "--ckpt_path", tmp_path / "whole")
    assert whole.code == 0, whole.err
    last = weights(whole.result["checkpoint"])
    gathered = [value for key, value in last.items() if key.startswith(STATE.get(name, "moment2."))]
    assert len(gathered) > 50
    assert all(np.isfinite(value).all() for value in gathered)
    if name in ("adam", "adamw", "lamb"):
        assert last["updates"].tolist() == [9]
    checkpoints = Path(whole.result["checkpoint"]).parent
    (middle,) = [path for path in checkpoints.glob("*.ckpt") if int(weights(path)["step_num"]) == 4]
    rest = run_program("train.py", *command, "--ckpt_path", tmp_path / "rest", "--resume", middle)
    assert rest.code == 0, rest.err
    assert_same(whole.result["checkpoint"], rest.result["checkpoint"])


@pytest.mark.heavy
def test_recomputing_changes_no_weight(few_digits, tmp_path):
    """Bit by bit, also with norms that are frozen for an epoch; moving statistics are summed in another order.

    By MindSpore's operators: the kernels for CPUs sum in another order, and don't compute norms that are recomputed.
    """
    words = [*TINY, "--data_dir", few_digits, "--freeze", "stages:1", "--unfreeze_epoch", 1, "--max_steps", 9]
    words += ["--cpu_kernels", "false"]
    plain, again = (
        run_program("train.py", *words, "--recompute", value, "--ckpt_path", tmp_path / value)
        for value in ("false", "true")
    )
    assert plain.code == again.code == 0, plain.err + again.err
    wanted, found = (weights(done.result["checkpoint"]) for done in (plain, again))
    assert wanted.keys() == found.keys()
    moving = [name for name in wanted if name.endswith(("moving_mean", "moving_variance"))]
    assert len(moving) == 42
    for name, value in wanted.items():
        if name in moving:
            np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-5, err_msg=name)
        else:
            np.testing.assert_array_equal(found[name], value, err_msg=name)


# epsilon keeps what is almost 0 on one rank and on two from becoming a whole step
ON_RANKS = {
    "adamw": "--optimizer adamw --epsilon 0.001 --weight_decay 0.05 --enable_clip_norm true --clip_mode agc --gradient_norm 0.05",
    "lamb": "--optimizer lamb --epsilon 0.001 --weight_decay 0.05 --enable_clip_norm true --gradient_norm 1",
    "lars": "--optimizer lars --lars_coefficient 0.1 --enable_clip_norm true --clip_mode value --gradient_norm 0.1",
    "lion": "--optimizer lion --weight_decay 0.05",
}


@pytest.mark.heavy
@pytest.mark.parametrize("name", ON_RANKS)
def test_two_ranks_are_one_with_twice_the_batch(name, few_digits, tmp_path):
    one, first, second = of_one_and_two_ranks(few_digits, tmp_path, STEPS, GLOBAL_BATCH, ON_RANKS[name])
    assert len(set(one["losses"].tolist())) == STEPS, "each step sees other images and other weights"
    for key in one.files:
        np.testing.assert_array_equal(first[key], second[key], err_msg=key)
        if name == "lion":  # a sign may turn where its sum is almost 0: few weights, by two steps at most
            apart = np.abs(first[key] - one[key]) > 1e-5
            assert apart.mean() < 0.01, key
        else:
            np.testing.assert_allclose(first[key], one[key], rtol=0, atol=2e-5, err_msg=key)
