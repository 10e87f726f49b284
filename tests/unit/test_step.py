"""One optimiser step against the same step done by hand in numpy."""

from __future__ import annotations

import mindspore as ms
import mindspore.nn as nn
import mindspore.ops as ops
import numpy as np
import pytest

from mindlift.tasks.objective import Objective
from mindlift.training import loss_scale, overflow
from mindlift.training.optimizers.formula import Plan
from mindlift.training.optimizers.momentum import sgd_momentum
from mindlift.training.step import StepOptions, TrainStep
from tests.support.by_hand import (
    DECAY,
    MOMENTUM,
    RATES,
    HalfSquares,
    Hand,
    Scaled,
    batches,
    close,
    tensors,
    values,
)


@pytest.fixture
def cell():
    ms.set_seed(3)
    return Scaled()


def trainer(cell: nn.Cell, **options) -> TrainStep:
    optimizer = sgd_momentum(Plan(cell.trainable_params(), RATES, DECAY), MOMENTUM)
    return TrainStep(Objective(cell, HalfSquares()), optimizer, StepOptions(**options))


def test_steps_are_those_done_by_hand(cell):
    """Momentum, decay on the weight alone, and the learning rate of each step."""
    hand, one = Hand(cell), trainer(cell)
    for (x, y), rate in zip(batches(4), RATES):
        loss, gradients = hand.gradients(x, y)
        hand.update(gradients, rate)
        found, updated = one(tensors((x, y)))
        assert updated is True
        assert found == pytest.approx(loss, rel=1e-5)
        close(cell, hand.values)


@pytest.mark.parametrize("scale", [1.0, 2.0**16])
def test_a_fixed_loss_scale_changes_nothing(cell, scale):
    hand, one = Hand(cell), trainer(cell, loss_scale=scale)
    for (x, y), rate in zip(batches(3), RATES):
        loss, gradients = hand.gradients(x, y)
        hand.update(gradients, rate)
        assert one(tensors((x, y)))[0] == pytest.approx(loss, rel=1e-5)
    close(cell, hand.values)


def test_overflow_halves_a_dynamic_scale_and_skips_the_step(cell):
    one = trainer(cell, loss_scale=2.0**20, dynamic_loss_scale=True)
    scale = {p.name: p for p in one.state}
    assert one(tensors(*batches(1)))[1] is True
    before = {p.name: p.asnumpy().copy() for p in [*cell.trainable_params(), *one.state]}
    x, y = batches(1, scale=1e18)[0]  # its gradients, times the scale, are beyond float32
    assert one(tensors((x, y)))[1] is False
    after = {p.name: p.asnumpy() for p in [*cell.trainable_params(), *one.state]}
    changed = [name for name in before if (before[name] != after[name]).any()]
    assert sorted(changed) == ["loss_scale.good_steps", "loss_scale.value"]
    assert scale["loss_scale.value"].asnumpy() == 2.0**19
    assert scale["loss_scale.good_steps"].asnumpy() == 0
    assert one(tensors(*batches(1)))[1] is True


@pytest.mark.parametrize(("value", "window", "grown"), [(1024.0, 2000, 2048.0), (2.0**24, 100, 2.0**24)])
def test_a_dynamic_scale_doubles_after_a_window_of_good_steps(value, window, grown):
    scale = loss_scale.LossScale(value, window)
    scale.good_steps.set_data(ms.Tensor(window - 2, ms.int32))
    good = ms.Tensor(True)
    scale(good)
    assert (float(scale.value.asnumpy()), int(scale.good_steps.asnumpy())) == (value, window - 1)
    scale(good)
    assert (float(scale.value.asnumpy()), int(scale.good_steps.asnumpy())) == (grown, 0)


def averaged(one: TrainStep) -> dict[str, np.ndarray]:
    return {p.name: p.asnumpy().copy() for p in one.state if p.name.startswith("ema.")}


@pytest.mark.parametrize("warmup", [False, True])
def test_the_average_follows_the_weights(cell, warmup):
    one = trainer(cell, average=0.9, average_warmup=warmup)
    wanted = {f"ema.{name}": value for name, value in values(cell).items()}
    for update, (x, y) in enumerate(batches(4), 1):
        one(tensors((x, y)))
        decay = min(0.9, (1 + update) / (10 + update)) if warmup else 0.9
        for name, value in values(cell).items():
            wanted[f"ema.{name}"] = decay * wanted[f"ema.{name}"] + (1 - decay) * value
        found = averaged(one)
        assert set(found) == set(wanted)
        for name, value in found.items():
            np.testing.assert_allclose(value, wanted[name], rtol=2e-6, atol=2e-6)
    one.average.to_weights()
    close(cell, {name[4:]: value for name, value in wanted.items()})


@pytest.mark.parametrize("warmup", [False, True])
def test_an_average_that_begins_later_is_the_weights_until_then(cell, warmup):
    """Bit by bit; its first update is the one behind `start`, from which the warm-up counts too."""
    one = trainer(cell, average=0.9, average_warmup=warmup, average_start=2)
    wanted: dict[str, np.ndarray] = {}
    for update, (x, y) in enumerate(batches(4), 1):
        one(tensors((x, y)))
        now = {f"ema.{name}": value.astype(np.float64) for name, value in values(cell).items()}
        if update <= 2:
            wanted = now
            for name, value in averaged(one).items():
                np.testing.assert_array_equal(value, now[name], err_msg=name)
            continue
        decay = min(0.9, (1 + update - 2) / (10 + update - 2)) if warmup else 0.9
        wanted = {name: decay * wanted[name] + (1 - decay) * value for name, value in now.items()}
        for name, value in averaged(one).items():
            np.testing.assert_allclose(value, wanted[name], rtol=2e-6, atol=2e-6)


def test_a_step_that_overflows_leaves_the_average_alone(cell):
    one = trainer(cell, loss_scale=2.0**20, dynamic_loss_scale=True, average=0.5, clip=1.0)
    assert one(tensors(*batches(1)))[1] is True
    before = averaged(one)
    assert one(tensors(*batches(1, scale=1e18)))[1] is False
    after = averaged(one)
    assert all((before[name] == after[name]).all() for name in before)
    assert one(tensors(*batches(1)))[1] is True
    assert any((averaged(one)[name] != after[name]).any() for name in after)


def test_the_averages_of_batch_norms_statistics_are_kept_too():
    network = nn.SequentialCell(nn.Dense(3, 4), nn.BatchNorm1d(4), nn.Dense(4, 2))
    optimizer = sgd_momentum(Plan(network.trainable_params(), RATES, DECAY), MOMENTUM)
    one = TrainStep(Objective(network, HalfSquares()), optimizer, StepOptions(average=0.5))
    one(tensors(*batches(1)))
    moved, mean = averaged(one)["ema.1.moving_mean"], network[1].moving_mean.asnumpy()
    assert np.abs(mean).max() > 0
    np.testing.assert_allclose(moved, mean / 2, rtol=1e-6)


@pytest.mark.parametrize("dynamic", [False, True])
def test_accumulated_batches_are_one_large_batch(cell, dynamic):
    hand, one = Hand(cell), trainer(cell, accumulation=3, dynamic_loss_scale=dynamic)
    groups = [batches(6)[i : i + 3] for i in (0, 3)]
    for group, rate in zip(groups, RATES):
        x, y = (np.concatenate(parts) for parts in zip(*group))
        loss, gradients = hand.gradients(x, y)
        hand.update(gradients, rate)
        found, updated = one(tensors(*group))
        assert updated is True
        assert found == pytest.approx(loss, rel=1e-5)
        close(cell, hand.values)


def test_the_loss_that_is_not_a_number_comes_back(cell):
    loss, _ = trainer(cell)(tensors((np.full((4, 3), np.nan), np.zeros((4, 2)))))
    assert np.isnan(loss)


def test_all_finite_sees_infinities_and_nans():
    good = ms.Tensor([1.0, -2.0], ms.float32)
    for bad in (float("inf"), float("-inf"), float("nan")):
        assert not bool(overflow.all_finite((good, ms.Tensor([0.0, bad], ms.float32))).asnumpy())
    assert bool(overflow.all_finite((good, ops.zeros_like(good))).asnumpy())
