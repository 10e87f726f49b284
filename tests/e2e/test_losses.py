"""Trainings by each loss, with weights of classes and the balanced sampler: cut in the middle, and on two ranks."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.programs import TINY, run_program
from tests.support.weights import assert_same, of_one_and_two_ranks

pytestmark = pytest.mark.heavy

STEPS, GLOBAL_BATCH = 8, 32
TRAININGS = {
    "focal of a balanced sampler": "--loss focal --sampler balanced --label_smoothing 0.1",
    "binary of mixed images": "--loss bce --bce_target_threshold 0.3 --mixup_alpha 0.4 --lr 1",
    "asymmetric, weighed": "--loss asl --class_weights balanced --sampler balanced --accumulation_steps 2",
    "of three views": "--loss jsd --aug_splits 3 --auto_augment augmix-m3-w3 --random_erase 0.3 --aug_repeats 2",
}
ON_RANKS = {
    "cross entropy, weighed": "--class_weights balanced",
    "focal of a balanced sampler": "--loss focal --sampler balanced",
    "sum of classes": "--loss bce --bce_sum true",
    "of two views": "--loss jsd --aug_splits 2 --auto_augment augmix-m3-w3 --color_jitter 0 --label_smoothing 0.1",
}


@pytest.mark.parametrize("name", TRAININGS)
def test_a_training_that_was_cut_ends_with_the_same_weights(name, few_digits, tmp_path):
    """200 images are 3 steps of 64 an epoch, so that the cut is inside of one."""
    command = ["train.py", *TINY, "--data_dir", few_digits, *TRAININGS[name].split(), "--max_epoch", 4]
    whole = run_program(*command, "--max_steps", 5, "--ckpt_path", tmp_path / "whole")
    assert whole.code == 0, whole.err
    cut = run_program(*command, "--max_steps", 2, "--ckpt_path", tmp_path / "cut")
    assert cut.code == 0, cut.err
    rest = run_program(
        *command, "--max_steps", 5, "--ckpt_path", tmp_path / "cut", "--resume", cut.result["checkpoint"]
    )
    assert rest.code == 0, rest.err
    assert_same(whole.result["checkpoint"], rest.result["checkpoint"])


@pytest.mark.parametrize("name", ON_RANKS)
def test_two_ranks_are_one_with_twice_the_batch(name, few_digits, tmp_path):
    one, first, second = of_one_and_two_ranks(few_digits, tmp_path, STEPS, GLOBAL_BATCH, ON_RANKS[name])
    for key in one.files:
        np.testing.assert_array_equal(first[key], second[key], err_msg=key)
        np.testing.assert_allclose(first[key], one[key], rtol=0, atol=2e-5, err_msg=key)
