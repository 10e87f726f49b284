"""Trainings that can't recover are ended, others are not."""

from __future__ import annotations

import math

import pytest

from mindlift.training.divergence import OVERFLOWS_IN_A_ROW, Divergence

CHANCE = math.log(10)


def problems(looks: list[tuple[float, bool, float]], factor: float = 10.0, dynamic: bool = False) -> list:
    watch = Divergence(CHANCE, factor, dynamic)
    return [watch.problem(*look) for look in looks]


@pytest.mark.parametrize(
    ("losses", "ends"),
    [
        ([2.3, 1.0, 0.5, 0.1], False),
        ([2.3, 1.0, 30.0, 1.0, 30.0, 30.0, 1.0], False),  # accidents of single batches
        ([2.3, 1.0, 30.0, 40.0, 50.0], True),
        ([1e-3] * 200 + [0.5, 0.6, 0.7], False),  # far above its median, and still far below guessing
        ([2.0, 30.0, 30.0, 30.0], True),
        ([300.0, 300.0, 300.0, 40.0], False),  # weights that start far off
        ([8.0] * 50 + [70.0] * 3, False),
        ([8.0] * 50 + [90.0] * 3, True),
    ],
)
def test_a_loss_above_its_running_median(losses, ends):
    found = problems([(loss, True, 1024.0) for loss in losses])
    assert not any(found[:-1])
    assert bool(found[-1]) is ends
    if ends:
        what, advice = found[-1]
        assert what.startswith(f"loss is {losses[-1]:.4g}, above 10 x")
        assert "--divergence_factor 0" in advice


def test_factor_0_compares_nothing():
    assert not any(problems([(1e30, True, 1024.0)] * 5, factor=0.0))


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_no_number_ends_a_training_with_a_fixed_scale(loss):
    assert problems([(loss, True, 1024.0)])[0][0] == f"loss is {loss}"
    assert problems([(loss, False, 1024.0)], dynamic=True) == [None]


def test_overflows_in_a_row_end_a_training_whose_scale_does_not_fall():
    several = OVERFLOWS_IN_A_ROW
    assert not any(problems([(1.0, False, 1024.0)] * (several - 1)))
    what, advice = problems([(1.0, False, 1024.0)] * several)[-1]
    assert what == f"gradients overflowed in {several} steps in a row with a loss scale of 1024"
    assert advice == "lower --loss_scale, or pass --is_dynamic_loss_scale 1"
    mixed = [(1.0, number % 5 > 0, 1024.0) for number in range(100)]
    assert not any(problems(mixed))


def test_a_dynamic_scale_may_fall_first():
    assert not any(problems([(math.nan, False, 2.0)] * 100, dynamic=True))
    what, advice = problems([(math.nan, False, 1.0)] * OVERFLOWS_IN_A_ROW, dynamic=True)[-1]
    assert what.endswith("with a loss scale of 1")
    assert advice.startswith("lower --lr")
