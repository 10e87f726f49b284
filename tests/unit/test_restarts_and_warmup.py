"""Warm restarts, warm-ups in steps, scaled learning rates."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from mindlift.errors import ConfigError
from mindlift.model_utils.config import config
from mindlift.training.schedules import ScheduleOptions, from_config, lr_table, scale_note

RESTARTS = ScheduleOptions("cosine_restarts", 0.4, max_epoch=14, eta_min=0.01, period=2)
DENSENET = ["--net", "densenet22", "--per_batch_size", "16"]


def sgdr(lr: float, floor: float, at: float, length: float) -> float:
    """Loshchilov and Hutter 2017, eq. 5."""
    return floor + 0.5 * (lr - floor) * (1 + math.cos(math.pi * at / length))


@pytest.mark.parametrize(
    ("longer", "lower", "lengths"),
    [(1.0, 1.0, [10] * 7), (2.0, 1.0, [10, 20, 40]), (1.0, 0.5, [10] * 7), (1.5, 0.8, [10, 15, 22.5, 33.75])],
)
def test_sgdr_restarts_after_each_period(longer, lower, lengths):
    """Periods of T_0 = 2 epochs of 5 steps, times T_mult each."""
    rates = lr_table(5, replace(RESTARTS, longer=longer, lower=lower))
    starts = np.cumsum([0, *lengths])
    for step, found in enumerate(rates):
        number = int(np.searchsorted(starts, step, side="right")) - 1
        wanted = sgdr(0.4 * lower**number, 0.01, step - starts[number], lengths[number])
        assert found == pytest.approx(wanted, rel=1e-6), step


def test_without_a_period_it_is_one_wave_to_the_end():
    rates = lr_table(5, replace(RESTARTS, period=None, warmup_steps=4))
    np.testing.assert_allclose(rates[:5], [0.1, 0.2, 0.3, 0.4, 0.4], rtol=1e-6)
    np.testing.assert_allclose(rates[4:], [sgdr(0.4, 0.01, at, 66) for at in range(66)], rtol=1e-6)


BY_STEPS = [
    *(
        "cosine_annealing",
        "cosine_restarts",
        "exponential",
        "linear",
        "poly",
        "cosine",
        "steps",
        "cos",
        "exp",
    ),
    "plateau",
]


@pytest.mark.parametrize("kind", BY_STEPS)
def test_a_warmup_of_steps_is_that_of_as_many_epochs(kind):
    options = ScheduleOptions(kind, 0.4, max_epoch=6, milestones=(4,), lr_init=0.1, steps_per_drop=7)
    by_epochs = lr_table(5, replace(options, warmup_epochs=1.2))
    np.testing.assert_array_equal(lr_table(5, replace(options, warmup_steps=6)), by_epochs)
    assert by_epochs[0] < by_epochs[4] < 0.4
    three = lr_table(5, replace(options, warmup_epochs=1.2, warmup_steps=3))
    assert three[3] > by_epochs[3], "steps count where both are given"
    np.testing.assert_array_equal(
        lr_table(5, replace(options, warmup_epochs=1.2, warmup_steps=0))[0], lr_table(5, options)[0]
    )


def test_bigtransfers_schedules_have_it_too():
    stairs = ScheduleOptions("staircase", 0.02, max_epoch=9, drop=0.5, epochs_per_drop=3)
    np.testing.assert_array_equal(
        lr_table(5, replace(stairs, warmup_steps=10)), lr_table(5, replace(stairs, warmup_epochs=2.0))
    )
    rates = lr_table(5, ScheduleOptions("hyperrule", 0.003, max_epoch=100, images=100, warmup_steps=50))
    np.testing.assert_allclose(rates[[0, 25, 50, 199]], [0, 0.0015, 0.003, 0.003], rtol=1e-6)


def test_phases_have_warmups_of_their_own():
    cfg = config.load([*DENSENET, "--lr_scheduler", "phases", "--warmup_steps", "5"])
    with pytest.raises(ConfigError, match="--warmup_steps 5: each phase has .* see --phase_warmup"):
        from_config(cfg, 1, 100)


def test_a_plateau_plans_the_rate_as_it_is():
    rates = lr_table(5, ScheduleOptions("plateau", 0.4, max_epoch=2, warmup_steps=2))
    np.testing.assert_allclose(rates, [0.2] + [0.4] * 9, rtol=1e-6)


@pytest.mark.parametrize(
    ("more", "size", "rate", "said"),
    [
        ([], 4, 0.2, ""),
        (
            ["--lr_base_batch", "256"],
            4,
            0.05,
            "learning rate 0.05: 0.2 for a global batch of 256, scaled with this job's of 64",
        ),
        (["--lr_base_batch", "32", "--accumulation_steps", "2"], 4, 0.8, "this job's of 128"),
        (
            ["--lr_base_batch", "256", "--lr_base_scale", "sqrt"],
            4,
            0.1,
            "learning rate 0.1: 0.2 for a global batch of 256, scaled with the root of this job's of 64",
        ),
    ],
)
def test_the_learning_rate_follows_the_global_batch(more, size, rate, said):
    cfg = config.load([*DENSENET, "--lr", "0.2", *more])
    assert from_config(cfg, size, 1000).lr == pytest.approx(rate)
    note = scale_note(cfg, size)
    assert said in note
    assert bool(said) == bool(note)


def test_every_phase_is_scaled():
    cfg = config.load(
        [*DENSENET, "--lr_scheduler", "phases", "--phase_lr", "0.4,0.2,0.1", "--lr_base_batch", "32"]
    )
    assert "learning rate 0.2, 0.1, 0.05: 0.4, 0.2, 0.1 for" in scale_note(cfg, 1)
