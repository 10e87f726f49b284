"""A training with frozen weights that are released at an epoch: what stays, what learns, and that it can be killed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.programs import TINY, Finished, run_program
from tests.support.weights import assert_same, weights

# six steps an epoch; the first stage and the stem learn from the second epoch on
FROZEN = [*TINY, "--freeze", "stages:1", "--unfreeze_epoch", 1, "--enable_ema", "true", "--eval_interval", 1]
FROZEN += ["--max_epoch", 3, "--ckpt_interval", 2]


def train(data: Path, output: Path, *more: object) -> Finished:
    done = run_program("train.py", *FROZEN, "--data_dir", data, "--ckpt_path", output, *more)
    assert done.code == 0, done.err
    return done


@pytest.fixture(scope="module")
def trained(few_digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return train(few_digits, tmp_path_factory.mktemp("frozen"))


def saved(done: Finished, name: str) -> Path:
    return Path(done.result["run"]) / "checkpoints" / f"densenet22-{name}.ckpt"


@pytest.mark.heavy
def test_frozen_weights_stay_and_then_learn(trained):
    first, last_frozen, after = (weights(saved(trained, name)) for name in ("1_2", "1_6", "2_2"))
    frozen = [name for name in first if name.startswith(("stem.", "stages.0."))]
    learned = [name for name in first if name.startswith(("stages.2.", "classifier."))]
    assert len(frozen) > 10
    for name in frozen:
        np.testing.assert_array_equal(first[name], last_frozen[name], err_msg=name)
    assert all((first[name] != last_frozen[name]).any() for name in learned)
    assert all((last_frozen[name] != after[name]).any() for name in frozen if name.endswith("weight"))
    assert all((last_frozen[name] != after[name]).any() for name in frozen if name.endswith("moving_mean"))
    moments = {name for name in after if name.startswith("moments.")} - set(first)
    assert {name[len("moments.") :] for name in moments} == {
        name for name in frozen if not name.rpartition(".")[2].startswith("moving")
    }
    assert f"frozen: {len(moments)} of the weights' tensors (--freeze stages:1)" in trained.out


@pytest.mark.heavy
@pytest.mark.parametrize("name", ["1_4", "1_6", "2_2"])
def test_it_continues_bit_identically_from_before_at_and_after_the_release(
    trained, few_digits, tmp_path, name
):
    done = train(few_digits, tmp_path, "--resume", saved(trained, name))
    assert_same(trained.result["checkpoint"], done.result["checkpoint"])
