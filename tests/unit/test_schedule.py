import numpy as np
import pytest

from src.schedule import ScheduleOptions, lr_at, lr_table

COSINE = ScheduleOptions("cosine_annealing", 0.1, max_epoch=120)
STEPS = ScheduleOptions("exponential", 0.1, max_epoch=300, milestones=(150, 225, 300))


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (0, 0.1),
        (5003, 0.1),
        (5004, 0.09998286636),
        (60 * 5004, 0.05),
        (119 * 5004, 1.7133751e-05),
        (120 * 5004 - 1, 1.7133751e-05),
    ],
)
def test_densenet121_cosine_is_a_staircase_over_epochs(step, expected):
    assert lr_at(step, 5004, COSINE) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("epoch", "expected"), [(0, 0.1), (149, 0.1), (150, 0.01), (224, 0.01), (225, 0.001), (299, 0.001)]
)
def test_densenet100_drops_at_its_milestones(epoch, expected):
    assert lr_at(epoch * 781, 781, STEPS) == pytest.approx(expected)
    assert lr_at(epoch * 781 + 780, 781, STEPS) == pytest.approx(expected)


def test_period_shorter_than_the_training_stays_at_the_floor():
    options = ScheduleOptions("cosine_annealing", 0.1, max_epoch=6, period=4, eta_min=0.001)
    rates = lr_table(1, options)
    assert rates[2] == pytest.approx((0.1 + 0.001) / 2)
    np.testing.assert_allclose(rates[4:], 0.001, rtol=1e-6)


def test_warmup_is_linear_and_ends_on_the_schedule():
    options = ScheduleOptions("exponential", 0.4, max_epoch=3, warmup_epochs=1.0)
    np.testing.assert_allclose(lr_table(4, options)[:5], [0.1, 0.2, 0.3, 0.4, 0.4], rtol=1e-6)


def test_fractional_warmup():
    options = ScheduleOptions("cosine_annealing", 0.4, max_epoch=2, warmup_epochs=0.5)
    np.testing.assert_allclose(lr_table(4, options)[:5], [0.2, 0.4, 0.4, 0.4, 0.2], rtol=1e-6)


def test_milestone_inside_the_warmup_is_not_lost():
    options = ScheduleOptions("exponential", 1.0, max_epoch=6, warmup_epochs=3.0, milestones=(2, 5))
    rates = lr_table(1, options)
    np.testing.assert_allclose(rates, [1 / 3, 2 / 3, 0.1, 0.1, 0.1, 0.01], rtol=1e-6)


def test_table_has_every_step_of_the_training():
    assert lr_table(7, STEPS).shape == (2100,)
    assert lr_table(7, STEPS).dtype == np.float32
