import math
from dataclasses import replace

import numpy as np
import pytest

from mindlift.training.schedules import Phase, ScheduleOptions, lr_of, lr_table, phase_starts

COSINE = ScheduleOptions("cosine_annealing", 0.1, max_epoch=120)
STEPS = ScheduleOptions("exponential", 0.1, max_epoch=300, milestones=(150, 225, 300))


def lr_at(step: int, steps_per_epoch: int, options: ScheduleOptions) -> float:
    return lr_of(np.array([step]), steps_per_epoch, options)[0]


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


# The documents' ResNet-50 on ImageNet: 90 epochs of 625 steps (1,281,167 images, 2,048 each).
LINEAR = ScheduleOptions("linear", 0.8, max_epoch=90)


@pytest.mark.parametrize(
    ("kind", "step", "expected"),
    [
        ("linear", 0, 0.8),
        ("linear", 45 * 625, 0.4),
        ("linear", 90 * 625 - 1, 0.8 / (90 * 625)),
        ("poly", 0, 0.8),
        ("poly", 45 * 625, 0.2),
        ("cosine", 0, 0.8 * (1 + 1e-5)),
        ("cosine", 45 * 625, 0.8 * (0.25 * (1 + math.cos(0.47 * math.pi)) + 1e-5)),
        ("steps", 27 * 625 - 1, 0.8),
        ("steps", 27 * 625, 0.08),
        ("steps", 54 * 625, 0.008),
        ("steps", 72 * 625, 0.0008),
    ],
)
def test_resnets_curves(kind, step, expected):
    assert lr_at(step, 625, replace(LINEAR, kind=kind)) == pytest.approx(expected, rel=1e-9)


def test_curves_fall_from_the_end_of_the_warmup():
    options = ScheduleOptions("linear", 1.0, max_epoch=4, warmup_epochs=2.0, eta_min=0.2, lr_init=0.5)
    np.testing.assert_allclose(lr_table(2, options), [0.625, 0.75, 0.875, 1.0, 1.0, 0.8, 0.6, 0.4], rtol=1e-6)


PHASES = (Phase(40, 0.2, 5, 0.94, 2), Phase(35, 0.05, 2, 0.95, 1), Phase(20, 0.002, 2, 0.95, 1))
INCEPTION = ScheduleOptions("phases", 0.2, max_epoch=95, phases=PHASES)
S = 1251  # steps per epoch: 1,281,167 images, 1,024 each


def of_epochs(reading: str) -> list[list[float]]:
    """The rate at the first step of each epoch, phase by phase."""
    rates = lr_table(S, replace(INCEPTION, reading=reading))[::S]
    return [list(rates[:40]), list(rates[40:75]), list(rates[75:])]


def test_inceptions_phases_as_the_text_says():
    one, two, three = of_epochs("text")
    decays = [0.94**n for n in range(18) for _ in range(2)][:35]
    np.testing.assert_allclose(one, [0, 0.04, 0.08, 0.12, 0.16, *(0.2 * d for d in decays)], rtol=1e-6)
    np.testing.assert_allclose(two, [0, 0.025, *(0.05 * 0.95**n for n in range(33))], rtol=1e-6)
    np.testing.assert_allclose(three, [0, 0.001, *(0.002 * 0.95**n for n in range(18))], rtol=1e-6)


def test_inceptions_phases_as_the_program_computes_them():
    """The rate reached by the warm-up is one step short of the peak; decays come at multiples of the period."""
    one, two, three = of_epochs("code")
    for found, peak, warmup, decay, exponents in (
        (one, 0.2, 5, 0.94, [0, *(n // 2 - 2 for n in range(6, 40))]),
        (two, 0.05, 2, 0.95, [n - 1 for n in range(2, 35)]),
        (three, 0.002, 2, 0.95, [n - 1 for n in range(2, 20)]),
    ):
        reached = 1e-5 + (peak - 1e-5) * (warmup * S - 1) / (warmup * S)
        ramp = [1e-5 + (peak - 1e-5) * n / warmup for n in range(warmup)]
        np.testing.assert_allclose(found, [*ramp, *(reached * decay**n for n in exponents)], rtol=1e-6)
    assert one[-1] == pytest.approx(0.0699, abs=2e-4)
    assert three[-1] == pytest.approx(0.00079, abs=1e-5)


def test_the_optimiser_starts_anew_with_each_phase():
    assert phase_starts(S, INCEPTION) == {40 * S, 75 * S}
    assert phase_starts(S, replace(INCEPTION, phases=PHASES[1:2])) == frozenset()
    assert phase_starts(S, LINEAR) == frozenset()


def test_phases_end_the_training():
    assert len(lr_table(3, INCEPTION)) == 95 * 3
    assert len(lr_table(3, replace(INCEPTION, phases=PHASES[2:]))) == 20 * 3
    assert len(lr_table(3, replace(INCEPTION, max_epoch=50))) == 50 * 3


# The document's BigTransfer: 50,000 images over 8 cards of 64, 200 epochs of 97 steps.
BIT = ScheduleOptions("staircase", 0.02, max_epoch=200, warmup_epochs=6.0, drop=0.98, epochs_per_drop=2.5)


def test_bigtransfers_rate_is_the_ports_at_every_step():
    """Written out as the port computes it: 582 steps of warm-up, a drop every int(97 * 2.5) = 242 steps."""
    rates, wanted = lr_table(97, BIT), []
    for step in range(19_400):
        wanted.append(0.02 * step / 582 if step < 582 else 0.02 * 0.98 ** ((step - 582) // 242))
    np.testing.assert_allclose(rates, np.array(wanted), rtol=1e-6)
    assert rates[0] == 0
    assert rates[582] == pytest.approx(0.02)
    assert rates[-1] == pytest.approx(0.02 * 0.98**77)
    assert rates[-1] == pytest.approx(0.00422, abs=5e-6)
    assert len(set(rates[582:])) == 78, "77 drops"


@pytest.mark.parametrize(
    ("images", "milestones"),
    [
        (357, (100, 200, 300, 400, 500)),
        (19_999, (100, 200, 300, 400, 500)),
        (50_000, (500, 3000, 6000, 9000, 10_000)),
        (1_281_167, (500, 6000, 12_000, 18_000, 20_000)),
    ],
)
def test_bit_hyperrule_counts_steps(images, milestones):
    options = ScheduleOptions("hyperrule", 0.003, max_epoch=1000, images=images)
    rates, (warmup, *drops, end) = lr_table(max(1, images // 512), options), milestones
    assert len(rates) == min(end, 1000 * max(1, images // 512))
    assert rates[0] == 0
    assert rates[warmup // 2] == pytest.approx(0.0015)
    for number, drop in enumerate(drops):
        assert rates[drop] == pytest.approx(0.003 * 0.1**number)
        assert rates[drop + 1] == pytest.approx(0.003 * 0.1 ** (number + 1))


def test_bit_hyperrule_ends_with_max_epoch():
    options = ScheduleOptions("hyperrule", 0.003, max_epoch=2, images=50_000)
    assert len(lr_table(97, options)) == 194


@pytest.mark.parametrize(
    ("epochs", "per_epoch", "base"), [(300, 41, 0.08), (800, 82, 0.02), (300, 11, 0.008)]
)
def test_deeplabs_half_wave_at_every_step(epochs, per_epoch, base):
    """The three stages of DeepLabV3's documents: no warm-up, and the wave ends where the training does."""
    total = epochs * per_epoch
    rates = lr_table(per_epoch, ScheduleOptions("cos", base, max_epoch=epochs))
    expected = [base * 0.5 * (1 + math.cos(math.pi * step / total)) for step in range(total)]
    np.testing.assert_allclose(rates, expected, rtol=1e-5)
    assert rates[0] == np.float32(base)


def test_deeplabs_poly_and_exp():
    poly = lr_table(10, ScheduleOptions("poly", 0.007, max_epoch=3, power=0.9))
    np.testing.assert_allclose(poly, [0.007 * (1 - step / 30) ** 0.9 for step in range(30)], rtol=1e-5)
    exp = lr_table(10, ScheduleOptions("exp", 0.007, max_epoch=3, steps_per_drop=12, rate_of_drop=0.1))
    np.testing.assert_allclose(exp, [0.007] * 12 + [0.0007] * 12 + [0.00007] * 6, rtol=1e-5)
