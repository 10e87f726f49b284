"""A training in phases: each begins again with its own rates, in one job or in several."""

from __future__ import annotations

from pathlib import Path

import mindspore as ms
import numpy as np
import pytest

from tests.support.programs import TINY, run_program
from tests.support.weights import assert_same


@pytest.mark.heavy
def test_phases_begin_anew_also_when_the_job_was_cut_between_them(few_digits, tmp_path):
    command = [
        *TINY,
        "--data_dir",
        few_digits,
        "--optimizer",
        "rmsprop",
        "--lr_scheduler",
        "phases",
        "--phase_epochs",
        "1,1",
        "--phase_lr",
        "0.02,0.01",
        "--phase_warmup",
        "0,0",
        "--phase_decay",
        "1,1",
        "--phase_decay_epochs",
        "1,1",
        "--save_checkpoint_epochs",
        1,
    ]
    whole = run_program("train.py", *command, "--ckpt_path", tmp_path / "whole")
    assert whole.code == 0, whole.err
    checkpoints = Path(whole.result["checkpoint"]).parent
    between = ms.load_checkpoint(str(checkpoints / "densenet22-1_6.ckpt"))
    squares = [tensor for name, tensor in between.items() if name.startswith("mean_square.")]
    assert squares
    assert any(np.abs(tensor.asnumpy() - 1).max() > 0.1 for tensor in squares)
    rest = run_program(
        "train.py",
        *command,
        "--ckpt_path",
        tmp_path / "rest",
        "--resume",
        checkpoints / "densenet22-1_6.ckpt",
    )
    assert rest.code == 0, rest.err
    assert_same(whole.result["checkpoint"], rest.result["checkpoint"])


def test_a_later_phase_needs_the_weights_of_the_one_before(few_digits, tmp_path):
    done = run_program(
        "train.py",
        *TINY,
        "--data_dir",
        few_digits,
        "--ckpt_path",
        tmp_path,
        "--lr_scheduler",
        "phases",
        "--phase",
        2,
    )
    assert done.code == 2
    assert "--phase 2" in done.error
    assert "--pretrained" in done.error
