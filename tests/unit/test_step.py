"""One optimiser step against the same step done by hand in numpy."""

from __future__ import annotations

import mindspore as ms
import mindspore.nn as nn
import mindspore.ops as ops
import numpy as np
import pytest

from mindlift.tasks.objective import Objective
from mindlift.training import loss_scale, optimizers, overflow
from mindlift.training.step import StepOptions, TrainStep

RATES = np.array([0.1, 0.05, 0.2, 0.01], np.float32)
MOMENTUM, DECAY = 0.9, 0.01


class Scaled(nn.Cell):
    """x (N, 3) -> gamma * (x W' + b), shape (N, 2): a weight, a bias and a norm's gamma."""

    def __init__(self):
        super().__init__()
        self.dense = nn.Dense(3, 2)
        self.gamma = ms.Parameter(ms.Tensor(np.array([0.7, 1.3]), ms.float32), name="norm.gamma")

    def construct(self, x):
        return self.dense(x) * self.gamma


class HalfSquares(nn.Cell):
    """Mean over the batch of half the squared distance to the target, summed over its columns."""

    def construct(self, outputs, targets):
        return ((outputs - targets) ** 2).sum(1).mean() / 2


class Hand:
    """Scaled, HalfSquares and SGD with momentum in float64."""

    def __init__(self, cell: Scaled):
        parameters = {p.name: p.asnumpy().astype(np.float64) for p in cell.trainable_params()}
        self.values, self.speed = parameters, {name: np.zeros_like(v) for name, v in parameters.items()}

    def gradients(self, x, y):
        w, b, g = (self.values[name] for name in ("dense.weight", "dense.bias", "norm.gamma"))
        linear = x @ w.T + b
        error = (linear * g - y) / len(x)
        loss = ((linear * g - y) ** 2).sum(1).mean() / 2
        found = {
            "dense.weight": (error * g).T @ x,
            "dense.bias": (error * g).sum(0),
            "norm.gamma": (error * linear).sum(0),
        }
        return loss, found

    def update(self, gradients, rate):
        for name, value in self.values.items():
            decay = DECAY if name == "dense.weight" else 0.0
            self.speed[name] = MOMENTUM * self.speed[name] + gradients[name] + decay * value
            self.values[name] = value - rate * self.speed[name]


@pytest.fixture
def cell():
    ms.set_seed(3)
    return Scaled()


def batches(count: int, size: int = 4, scale: float = 1.0) -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(0)
    return [(scale * rng.normal(size=(size, 3)), scale * rng.normal(size=(size, 2))) for _ in range(count)]


def tensors(*pairs) -> list[tuple]:
    return [tuple(ms.Tensor(array, ms.float32) for array in pair) for pair in pairs]


def trainer(cell: nn.Cell, **options) -> TrainStep:
    optimizer = optimizers.sgd_momentum(cell.trainable_params(), RATES, MOMENTUM, DECAY)
    return TrainStep(Objective(cell, HalfSquares()), optimizer, StepOptions(**options))


def values(cell: nn.Cell) -> dict[str, np.ndarray]:
    return {p.name: p.asnumpy().copy() for p in cell.trainable_params()}


def close(cell: nn.Cell, wanted: dict[str, np.ndarray], tolerance: float = 2e-6) -> None:
    for name, value in values(cell).items():
        np.testing.assert_allclose(value, wanted[name], rtol=tolerance, atol=tolerance, err_msg=name)


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


def test_rmsprop_is_tensorflows_and_forgets_when_told(cell):
    """Epsilon inside the root, the mean square from 1 on; forgetting keeps the count of steps and so the rate."""
    optimizer = optimizers.rmsprop(
        cell.trainable_params(), RATES, optimizers.RMSPropOptions(0.8, MOMENTUM, 0.5), DECAY
    )
    one, hand = TrainStep(Objective(cell, HalfSquares()), optimizer, StepOptions()), Hand(cell)
    squares = {name: np.ones_like(value) for name, value in hand.values.items()}
    for step_number, ((x, y), rate) in enumerate(zip(batches(4), RATES)):
        if step_number == 2:
            one.reset_state()
            squares = {name: np.ones_like(value) for name, value in squares.items()}
            hand.speed = {name: np.zeros_like(value) for name, value in squares.items()}
        for name, gradient in hand.gradients(x, y)[1].items():
            gradient = gradient + (DECAY if name == "dense.weight" else 0.0) * hand.values[name]
            squares[name] = 0.8 * squares[name] + 0.2 * gradient**2
            hand.speed[name] = MOMENTUM * hand.speed[name] + rate * gradient / np.sqrt(squares[name] + 0.5)
            hand.values[name] = hand.values[name] - hand.speed[name]
        one(tensors((x, y)))
        close(cell, hand.values)


@pytest.mark.parametrize("size", [4, 8, 1000])
def test_rmsprop_is_the_same_for_every_weight_of_a_tensor(size):
    """nn.RMSProp's is not: its CPU kernel takes eight at a time by another formula."""
    weight = ms.Parameter(ms.Tensor(np.zeros(size), ms.float32), name="x.weight")
    optimizer = optimizers.rmsprop(
        [weight], np.array([0.1], np.float32), optimizers.RMSPropOptions(0.9, 0.0, 1.0), 0.0
    )
    optimizer((ms.Tensor(np.ones(size), ms.float32),))
    np.testing.assert_allclose(weight.asnumpy(), -0.1 / np.sqrt(2), rtol=1e-6)


@pytest.mark.parametrize("epsilon", [1.0, 1e-3])
def test_the_kernel_for_rmsprop_is_given_what_the_formula_has(epsilon):
    """ApplyRMSProp as MindSpore documents it; of seven weights its CPU kernel computes that, too (see RMSProp)."""
    found = []
    for has_kernel in (False, True):
        weight = ms.Parameter(ms.Tensor(np.linspace(-1, 1, 7), ms.float32), name="x.weight")
        optimizer = optimizers.rmsprop(
            [weight], RATES, optimizers.RMSPropOptions(0.9, MOMENTUM, epsilon), DECAY, has_kernel
        )
        for number in range(3):
            optimizer((ms.Tensor(np.linspace(0.5, -2, 7) * (number + 1), ms.float32),))
        found.append([p.asnumpy() for p in optimizer.get_parameters() if p.name != "learning_rate"])
        found[-1].append(weight.asnumpy())
    for formula, kernel in zip(*found):
        np.testing.assert_allclose(kernel, formula, rtol=2e-6, atol=1e-7)


def test_decay_groups_leave_out_bias_gamma_and_beta():
    network = nn.SequentialCell(nn.Conv2d(3, 4, 3, has_bias=True), nn.BatchNorm2d(4), nn.Dense(4, 2))
    decayed, plain = optimizers.decay_groups(network.trainable_params(), 0.01)
    assert sorted(p.name for p in decayed["params"]) == ["0.weight", "2.weight"]
    assert sorted(p.name for p in plain["params"]) == ["0.bias", "1.beta", "1.gamma", "2.bias"]
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.01, 0.0)


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


@pytest.mark.parametrize("scale", [1.0, 1024.0])
def test_the_global_norm_is_clipped_behind_the_loss_scale(cell, scale):
    """Over all weights together, and not where it is small already."""
    hand, one = Hand(cell), trainer(cell, loss_scale=scale, clip_norm=0.5)
    clipped = []
    for (x, y), rate in zip([*batches(3), *batches(1, scale=0.02)], RATES):
        _, gradients = hand.gradients(x, y)
        norm = np.sqrt(sum(np.square(gradient).sum() for gradient in gradients.values()))
        clipped.append(norm > 0.5)
        hand.update({name: g * min(1, 0.5 / norm) for name, g in gradients.items()}, rate)
        one(tensors((x, y)))
        close(cell, hand.values)
    assert any(clipped)
    assert not all(clipped)


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


def test_a_step_that_overflows_leaves_the_average_alone(cell):
    one = trainer(cell, loss_scale=2.0**20, dynamic_loss_scale=True, average=0.5, clip_norm=1.0)
    assert one(tensors(*batches(1)))[1] is True
    before = averaged(one)
    assert one(tensors(*batches(1, scale=1e18)))[1] is False
    after = averaged(one)
    assert all((before[name] == after[name]).all() for name in before)
    assert one(tensors(*batches(1)))[1] is True
    assert any((averaged(one)[name] != after[name]).any() for name in after)


def test_the_averages_of_batch_norms_statistics_are_kept_too():
    network = nn.SequentialCell(nn.Dense(3, 4), nn.BatchNorm1d(4), nn.Dense(4, 2))
    optimizer = optimizers.sgd_momentum(network.trainable_params(), RATES, MOMENTUM, DECAY)
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
