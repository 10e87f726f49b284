"""Gradient clipping against NumPy."""

from __future__ import annotations

import mindspore as ms
import numpy as np
import pytest

from mindlift.tasks.objective import Objective
from mindlift.training import clipping
from mindlift.training.optimizers.formula import Plan
from mindlift.training.optimizers.momentum import sgd_momentum
from mindlift.training.step import StepOptions, TrainStep
from tests.support.by_hand import DECAY, MOMENTUM, RATES, HalfSquares, Hand, Scaled, batches, close, tensors


@pytest.fixture
def cell() -> Scaled:
    ms.set_seed(3)
    return Scaled()


def trainer(cell: Scaled, **options) -> TrainStep:
    optimizer = sgd_momentum(Plan(cell.trainable_params(), RATES, DECAY), MOMENTUM)
    return TrainStep(Objective(cell, HalfSquares()), optimizer, StepOptions(**options))


@pytest.mark.parametrize("scale", [1.0, 1024.0])
def test_the_global_norm_is_clipped_behind_the_loss_scale(cell, scale):
    """Over all weights together, and not where it is small already."""
    hand, one = Hand(cell), trainer(cell, loss_scale=scale, clip=0.5)
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


@pytest.mark.parametrize("accumulation", [1, 2])
def test_each_value_is_clipped(cell, accumulation):
    hand = Hand(cell)
    one = trainer(cell, loss_scale=64.0, clip=0.1, clip_mode="value", accumulation=accumulation)
    groups = [batches(6)[i : i + accumulation] for i in range(0, 3 * accumulation, accumulation)]
    for group, rate in zip(groups, RATES):
        x, y = (np.concatenate(parts) for parts in zip(*group))
        _, gradients = hand.gradients(x, y)
        assert max(np.abs(each).max() for each in gradients.values()) > 0.1
        hand.update({name: np.clip(each, -0.1, 0.1) for name, each in gradients.items()}, rate)
        one(tensors(*group))
        close(cell, hand.values)


def adaptively(g: np.ndarray, w: np.ndarray, largest: float) -> np.ndarray:
    """Brock et al. 2021, eq. 3, unit by unit: rows of what is a matrix or more, else the whole."""
    rows = list(zip(g, w)) if g.ndim > 1 else [(g, w)]
    found = []
    for row, weights in rows:
        size, allowed = np.linalg.norm(row), largest * max(np.linalg.norm(weights), 1e-3)
        found.append(row * (allowed / size if size > allowed else 1.0))
    return np.array(found) if g.ndim > 1 else found[0]


@pytest.mark.parametrize("shape", [(5,), (4, 6), (4, 3, 3, 3)])
def test_units_are_clipped_by_their_weights(shape):
    rng = np.random.default_rng(1)
    w, g = rng.normal(size=shape), rng.normal(size=shape)
    if len(shape) > 1:
        w[0], g[1], g[2] = 0.0, 0.0, 1e-4 * g[2]  # starts at zero; has no gradient; is below the bound
    cell = clipping.clipping("agc", 0.05, ["a", "b"], ["b"])
    given = (ms.Tensor(g, ms.float32), ms.Tensor(g, ms.float32))
    clipped, last = cell(
        given, (ms.Parameter(ms.Tensor(w, ms.float32)), ms.Parameter(ms.Tensor(w, ms.float32)))
    )
    np.testing.assert_allclose(clipped.asnumpy(), adaptively(g, w, 0.05), rtol=2e-6, atol=1e-8)
    np.testing.assert_array_equal(last.asnumpy(), given[1].asnumpy(), err_msg="the last layer")


def test_a_step_clips_all_but_the_last_layer(cell):
    """The last two weights of the network: here the dense layer's, in front of the norm's gamma, are not all of it."""
    hand, one = Hand(cell), trainer(cell, clip=0.01, clip_mode="agc")
    names = [each.name for each in cell.trainable_params()]
    for (x, y), rate in zip(batches(3), RATES):
        _, gradients = hand.gradients(x, y)
        clipped = {
            name: each if name in names[-2:] else adaptively(each, hand.values[name], 0.01)
            for name, each in gradients.items()
        }
        hand.update(clipped, rate)
        one(tensors((x, y)))
        close(cell, hand.values)
