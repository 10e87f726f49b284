"""The optimisers of models/cpu/optimizer.cpp within a step; test_optimizers.py has their formulas."""

from __future__ import annotations

import subprocess
import sys

import mindspore as ms
import numpy as np
import pytest

from mindlift.model_utils import devices
from mindlift.models.cpu import operators
from mindlift.tasks.objective import Objective
from mindlift.training.average import OnePassAverage
from mindlift.training.optimizers.adaptive import Adam
from mindlift.training.optimizers.formula import Plan
from mindlift.training.optimizers.momentum import sgd_momentum
from mindlift.training.optimizers.one_pass import OnePassAdam, OnePassMomentum, OnePassRMSProp
from mindlift.training.optimizers.rmsprop import RMSPropOptions, rmsprop
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
from tests.support.kernels import library

RMS_PROP = RMSPropOptions(0.9, MOMENTUM, 1.0)


@pytest.fixture
def cell() -> Scaled:
    ms.set_seed(3)
    return Scaled()


def trainer(cell: Scaled, **options) -> TrainStep:
    plan = Plan(cell.trainable_params(), RATES, DECAY)
    optimizer = OnePassMomentum(plan, MOMENTUM, nesterov=False, library=library())
    return TrainStep(Objective(cell, HalfSquares()), optimizer, StepOptions(**options))


@pytest.mark.parametrize("scale", [1.0, 2.0**16])
def test_the_loss_scale_is_divided_out_within_the_pass(cell, scale):
    hand, one = Hand(cell), trainer(cell, loss_scale=scale)
    for (x, y), rate in zip(batches(3), RATES):
        loss, gradients = hand.gradients(x, y)
        hand.update(gradients, rate)
        assert one(tensors((x, y)))[0] == pytest.approx(loss, rel=1e-5)
    close(cell, hand.values)


def test_gradients_of_several_batches_are_added_up(cell):
    """The mean over both halves is that of the whole batch."""
    hand, one = Hand(cell), trainer(cell, accumulation=2)
    for (x, y), rate in zip(batches(3), RATES):
        hand.update(hand.gradients(x, y)[1], rate)
        one(tensors((x[:2], y[:2]), (x[2:], y[2:])))
        close(cell, hand.values)


@pytest.mark.parametrize("looks", [False, True], ids=["within the pass", "before it, for overflows"])
@pytest.mark.parametrize(("largest", "scale"), [(0.1, 1.0), (0.1, 2.0**16), (1e6, 1.0)])
def test_gradients_are_clipped(cell, largest, scale, looks):
    """To a norm of `largest` over all weights (Pascanu et al. 2013, algorithm 1), whatever the loss was multiplied by."""
    hand, one = Hand(cell), trainer(cell, clip=largest, loss_scale=scale, dynamic_loss_scale=looks)
    for (x, y), rate in zip(batches(3), RATES):
        gradients = hand.gradients(x, y)[1]
        norm = np.sqrt(sum((each**2).sum() for each in gradients.values()))
        assert (norm > largest) == (largest < 1)
        share = min(1, largest / norm)
        hand.update({name: each * share for name, each in gradients.items()}, rate)
        one(tensors((x, y)))
        close(cell, hand.values)


def test_the_norm_is_of_all_values_of_all_tensors():
    """Larger and smaller than a thread takes at once, and values whose squares are no float32."""
    rng = np.random.default_rng(0)
    shapes = [(3,), (70, 999), (), (5, 7, 1, 1)]
    for factor in (1.0, 1e25, 1e-30):
        values = [(rng.standard_normal(shape) * factor).astype(np.float32) for shape in shapes]
        norm = operators.norm_of_all(library())(*map(ms.Tensor, values)).asnumpy()
        wanted = np.sqrt(sum(np.sum(np.square(each, dtype=np.float64)) for each in values))
        np.testing.assert_allclose(norm, [wanted], rtol=1e-6)
    assert np.isnan(operators.norm_of_all(library())(ms.Tensor([1.0, np.nan], ms.float32)).asnumpy()).all()


@pytest.mark.parametrize(("warmup", "start"), [(False, 0), (True, 0), (False, 2), (True, 2)])
def test_the_average_is_of_the_weights_behind_the_pass(cell, warmup, start):
    """TensorFlow's ExponentialMovingAverage: num_updates makes the decay min(decay, (1 + t) / (10 + t)), t = 1, 2, ..."""
    one, wanted = trainer(cell, average=0.9, average_warmup=warmup, average_start=start), values(cell)
    assert isinstance(one.average, OnePassAverage)
    for t, (x, y) in enumerate(batches(4), 1 - start):
        one(tensors((x, y)))
        decay = 0.0 if t <= 0 else min(0.9, (1 + t) / (10 + t)) if warmup else 0.9
        wanted = {name: decay * wanted[name] + (1 - decay) * value for name, value in values(cell).items()}
        for shadow in one.average.shadows:
            np.testing.assert_allclose(shadow.asnumpy(), wanted[shadow.name[4:]], rtol=2e-6, atol=2e-6)


def test_an_overflow_leaves_weights_and_state_alone(cell):
    one = trainer(cell, loss_scale=2.0**20, dynamic_loss_scale=True)
    assert one(tensors(*batches(1)))[1] is True
    before = {p.name: p.asnumpy().copy() for p in [*cell.trainable_params(), *one.state]}
    assert one(tensors(*batches(1, scale=1e18)))[1] is False
    after = {p.name: p.asnumpy() for p in [*cell.trainable_params(), *one.state]}
    changed = [name for name in before if (before[name] != after[name]).any()]
    assert sorted(changed) == ["loss_scale.good_steps", "loss_scale.value"]
    assert one(tensors(*batches(1)))[1] is True


@pytest.mark.parametrize("nesterov", [False, True])
def test_a_checkpoint_of_either_form_continues_in_the_other(cell, nesterov):
    """MindSpore's own momentum, and Adam and RMSProp by their formulas, have the same state by the same names."""
    plan = Plan(cell.trainable_params(), RATES, DECAY)
    pairs = [
        (sgd_momentum(plan, MOMENTUM, nesterov), OnePassMomentum(plan, MOMENTUM, nesterov, library())),
        (Adam(plan, (0.9, 0.999), 1e-8), OnePassAdam(plan, (0.9, 0.999), 1e-8, library())),
        (rmsprop(plan, RMS_PROP), OnePassRMSProp(plan, RMS_PROP, library())),
    ]
    for plain, one_pass in pairs:
        shapes = [
            {p.name: (p.shape, p.dtype) for p in optimizer.get_parameters() if p.name != "learning_rate"}
            for optimizer in (plain, one_pass)
        ]
        assert shapes[0] == shapes[1]


STEP = """
import sys
import mindspore as ms, numpy as np
from mindlift.training.optimizers.formula import Plan
from mindlift.training.optimizers.one_pass import OnePassAdam
rng = np.random.default_rng(0)
def drawn(*shape): return ms.Tensor(rng.standard_normal(shape), ms.float32)
weights = [ms.Parameter(drawn(*shape), name=f"w{number}") for number, shape in enumerate([(3,), (70, 999), (5, 7)])]
optimizer = OnePassAdam(Plan(weights, np.full(2, 0.1, np.float32)), (0.9, 0.999), 1e-8, sys.argv[1])
ms.set_context(mode=ms.GRAPH_MODE)
for _ in range(2):
    optimizer(tuple(drawn(*weight.shape) for weight in weights))
np.savez(sys.argv[2], *(weight.asnumpy() for weight in weights))
"""


def test_the_number_of_threads_changes_no_bit(tmp_path):
    """Tensors smaller and larger than what a thread takes at once."""
    (tmp_path / "step.py").write_text(STEP)
    found = []
    for threads in ("1", "3"):
        env = {"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": threads, "PYTHONPATH": ":".join(sys.path)}
        command = [sys.executable, "step.py", library(), f"{threads}.npz"]
        subprocess.run(command, cwd=tmp_path, env=env, check=True)
        found.append(np.load(tmp_path / f"{threads}.npz"))
    assert len(found[0].files) == 3
    assert all((found[0][name] == found[1][name]).all() for name in found[0].files)


def test_they_serve_float32_on_cpus_alone():
    with_kernels = devices.Device("CPU", kernels="a library")
    assert with_kernels.kernels_at("auto") == with_kernels.kernels_at("O0") == "a library"
    assert with_kernels.kernels_at("O2") == ""
    assert devices.of("CPU").kernels_at("O0") == ""
