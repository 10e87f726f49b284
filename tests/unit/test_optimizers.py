"""The optimisers against NumPy in float64, written from the papers that their classes name."""

from __future__ import annotations

from collections.abc import Callable

import mindspore as ms
import mindspore.nn as nn
import numpy as np
import pytest

from mindlift.errors import ConfigError
from mindlift.tasks.objective import Objective
from mindlift.training.optimizers import groups
from mindlift.training.optimizers.adaptive import LAMB, Adam, AdamW, Lion
from mindlift.training.optimizers.formula import Plan, reset_state
from mindlift.training.optimizers.momentum import LARS, sgd_momentum
from mindlift.training.optimizers.one_pass import OnePassAdam, OnePassMomentum, OnePassRMSProp
from mindlift.training.optimizers.rmsprop import RMSPropOptions, rmsprop
from mindlift.training.step import StepOptions, TrainStep
from tests.support.by_hand import DECAY, MOMENTUM, RATES, HalfSquares, Hand, Scaled, batches, close, tensors
from tests.support.kernels import library

B1, B2, EPS = 0.9, 0.999, 1e-8
State = dict[str, np.ndarray]


def norm(x: np.ndarray) -> float:
    return float(np.sqrt((x**2).sum()))


def moments(state: State, g: np.ndarray, t: int) -> np.ndarray:
    """Kingma and Ba, algorithm 1, without the rate: the moments' estimates and their quotient."""
    state["m"] = B1 * state.get("m", 0.0) + (1 - B1) * g
    state["v"] = B2 * state.get("v", 0.0) + (1 - B2) * g**2
    return (state["m"] / (1 - B1**t)) / (np.sqrt(state["v"] / (1 - B2**t)) + EPS)


def adam(state: State, w: np.ndarray, g: np.ndarray, lr: float, decay: float, t: int) -> np.ndarray:
    return w - lr * moments(state, g + decay * w, t)


def adamw(state: State, w: np.ndarray, g: np.ndarray, lr: float, decay: float, t: int) -> np.ndarray:
    """As torch.optim.AdamW documents it: decay first, then Adam's step."""
    return (1 - lr * decay) * w - lr * moments(state, g, t)


def lamb(state: State, w: np.ndarray, g: np.ndarray, lr: float, decay: float, t: int) -> np.ndarray:
    step = moments(state, g, t) + decay * w
    ratio = norm(w) / norm(step) if decay else 1.0
    return w - lr * ratio * step


def lars(state: State, w: np.ndarray, g: np.ndarray, lr: float, decay: float, t: int) -> np.ndarray:
    ratio = 0.02 * norm(w) / (norm(g) + decay * norm(w)) if decay else 1.0
    state["m"] = MOMENTUM * state.get("m", 0.0) + lr * ratio * (g + decay * w)
    return w - state["m"]


def lion(state: State, w: np.ndarray, g: np.ndarray, lr: float, decay: float, t: int) -> np.ndarray:
    """Algorithm 2: c = b1 m + (1 - b1) g; the moment moves with b2."""
    moment = state.get("m", np.zeros_like(g))
    step = np.sign(B1 * moment + (1 - B1) * g)
    state["m"] = 0.99 * moment + 0.01 * g
    return w - lr * (step + decay * w)


def nesterov(state: State, w: np.ndarray, g: np.ndarray, lr: float, decay: float, t: int) -> np.ndarray:
    """As torch.optim.SGD documents it."""
    g = g + decay * w
    state["m"] = MOMENTUM * state.get("m", 0.0) + g
    return w - lr * (g + MOMENTUM * state["m"])


def momentum(state: State, w: np.ndarray, g: np.ndarray, lr: float, decay: float, t: int) -> np.ndarray:
    state["m"] = MOMENTUM * state.get("m", 0.0) + g + decay * w
    return w - lr * state["m"]


def tensorflows_rmsprop(
    state: State, w: np.ndarray, g: np.ndarray, lr: float, decay: float, t: int
) -> np.ndarray:
    g = g + decay * w
    state["v"] = 0.8 * state.get("v", 1.0) + 0.2 * g**2
    state["m"] = MOMENTUM * state.get("m", 0.0) + lr * g / np.sqrt(state["v"] + 0.5)
    return w - state["m"]


Made = Callable[[Plan], nn.Optimizer]
OPTIMISERS: dict[str, tuple[Made, Callable[..., np.ndarray]]] = {
    "momentum": (lambda plan: sgd_momentum(plan, MOMENTUM), momentum),
    "nesterov": (lambda plan: sgd_momentum(plan, MOMENTUM, nesterov=True), nesterov),
    "rmsprop": (lambda plan: rmsprop(plan, RMSPropOptions(0.8, MOMENTUM, 0.5)), tensorflows_rmsprop),
    "adam": (lambda plan: Adam(plan, (B1, B2), EPS), adam),
    "adamw": (lambda plan: AdamW(plan, (B1, B2), EPS), adamw),
    "lamb": (lambda plan: LAMB(plan, (B1, B2), EPS), lamb),
    "lars": (lambda plan: LARS(plan, MOMENTUM, 0.02), lars),
    "lion": (lambda plan: Lion(plan, (B1, 0.99)), lion),
    "momentum in one pass": (lambda plan: OnePassMomentum(plan, MOMENTUM, False, library()), momentum),
    "nesterov in one pass": (lambda plan: OnePassMomentum(plan, MOMENTUM, True, library()), nesterov),
    "adam in one pass": (lambda plan: OnePassAdam(plan, (B1, B2), EPS, library()), adam),
    "rmsprop in one pass": (
        lambda plan: OnePassRMSProp(plan, RMSPropOptions(0.8, MOMENTUM, 0.5), library()),
        tensorflows_rmsprop,
    ),
    "adamw in one pass": (lambda plan: OnePassAdam(plan, (B1, B2), EPS, library(), apart=True), adamw),
}


@pytest.fixture
def cell() -> Scaled:
    ms.set_seed(3)
    return Scaled()


@pytest.mark.parametrize(
    "scales", [{}, {"dense.weight": 0.25, "dense.bias": 0.25}], ids=["alike", "by layer"]
)
@pytest.mark.parametrize("name", OPTIMISERS)
def test_steps_are_those_of_the_paper_and_begin_anew_when_told(cell, name, scales):
    """Four steps at four rates, decay on the weight alone; before the third, all but the count of the rates is reset."""
    make, formula = OPTIMISERS[name]
    optimizer = make(Plan(cell.trainable_params(), RATES, DECAY, scales=scales))
    one, hand = TrainStep(Objective(cell, HalfSquares()), optimizer, StepOptions()), Hand(cell)
    states: dict[str, State] = {weight: {} for weight in hand.values}
    for number, ((x, y), rate) in enumerate(zip(batches(4), RATES)):
        if number == 2:
            one.reset_state()
            states = {weight: {} for weight in hand.values}
        for weight, g in hand.gradients(x, y)[1].items():
            decay = DECAY if weight == "dense.weight" else 0.0
            lr = float(rate) * scales.get(weight, 1.0)
            hand.values[weight] = formula(states[weight], hand.values[weight], g, lr, decay, 1 + number % 2)
        one(tensors((x, y)))
        close(cell, hand.values, 5e-6)


@pytest.mark.parametrize("name", ["lamb", "lars"])
def test_a_layer_that_starts_at_zero_learns(name):
    """Its norm is 0, and so would be its rate (BiT's head starts so)."""
    weight = ms.Parameter(ms.Tensor(np.zeros((2, 3)), ms.float32), name="x.weight")
    optimizer = OPTIMISERS[name][0](Plan([weight], RATES, DECAY))
    optimizer((ms.Tensor(np.ones((2, 3)), ms.float32),))
    np.testing.assert_allclose(weight.asnumpy(), -0.1, rtol=1e-5)


def test_adams_bias_is_corrected_exactly_after_many_steps():
    """1 - 0.999 ** t in float32 has but four digits at first."""
    weight = ms.Parameter(ms.Tensor(np.zeros(3), ms.float32), name="x.weight")
    optimizer = Adam(Plan([weight], np.full(300, 0.001, np.float32)), (0.9, 0.999), 0.0)
    for _ in range(300):
        optimizer((ms.Tensor([1.0, -2.0, 0.5], ms.float32),))
    # constant gradients: both estimates are exact, so every step is lr times the sign
    np.testing.assert_allclose(weight.asnumpy(), [-0.3, 0.3, -0.3], rtol=2e-5)


def test_what_is_reset_and_what_stays(cell):
    optimizer = AdamW(Plan(cell.trainable_params(), RATES), (B1, B2), EPS)
    one = TrainStep(Objective(cell, HalfSquares()), optimizer, StepOptions())
    one(tensors(*batches(1)))
    state = {p.name: p for p in one.state if p.name not in dict(cell.parameters_dict())}
    assert sorted({name.partition(".")[0] for name in state}) == [
        "global_step",
        "moment1",
        "moment2",
        "updates",
    ]
    reset_state(optimizer)
    left = {name for name, each in state.items() if np.abs(each.asnumpy()).max() > 0}
    assert left == {"global_step"}


@pytest.mark.parametrize("in_one_pass", [False, True])
@pytest.mark.parametrize("size", [4, 8, 1000, 20000])
def test_rmsprop_is_the_same_for_every_weight_of_a_tensor(size, in_one_pass):
    """nn.RMSProp's is not: its CPU kernel takes eight at a time by another formula."""
    weight = ms.Parameter(ms.Tensor(np.zeros(size), ms.float32), name="x.weight")
    plan, options = Plan([weight], np.array([0.1], np.float32)), RMSPropOptions(0.9, 0.0, 1.0)
    optimizer = OnePassRMSProp(plan, options, library()) if in_one_pass else rmsprop(plan, options)
    optimizer((ms.Tensor(np.ones(size), ms.float32),))
    np.testing.assert_allclose(weight.asnumpy(), -0.1 / np.sqrt(2), rtol=1e-6)


@pytest.mark.parametrize("epsilon", [1.0, 1e-3])
def test_the_kernel_for_rmsprop_is_given_what_the_formula_has(epsilon):
    """ApplyRMSProp as MindSpore documents it; of seven weights its CPU kernel computes that, too (see RMSProp)."""
    found = []
    for has_kernel in (False, True):
        weight = ms.Parameter(ms.Tensor(np.linspace(-1, 1, 7), ms.float32), name="x.weight")
        optimizer = rmsprop(Plan([weight], RATES, DECAY), RMSPropOptions(0.9, MOMENTUM, epsilon), has_kernel)
        for number in range(3):
            optimizer((ms.Tensor(np.linspace(0.5, -2, 7) * (number + 1), ms.float32),))
        found.append([p.asnumpy() for p in optimizer.get_parameters() if p.name != "learning_rate"])
        found[-1].append(weight.asnumpy())
    for formula, kernel in zip(*found):
        np.testing.assert_allclose(kernel, formula, rtol=2e-6, atol=1e-7)


def test_decay_groups_leave_out_bias_gamma_and_beta():
    network = nn.SequentialCell(nn.Conv2d(3, 4, 3, has_bias=True), nn.BatchNorm2d(4), nn.Dense(4, 2))
    decayed, plain = groups.decay_groups(network.trainable_params(), 0.01)
    assert sorted(p.name for p in decayed["params"]) == ["0.weight", "2.weight"]
    assert sorted(p.name for p in plain["params"]) == ["0.bias", "1.beta", "1.gamma", "2.bias"]
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.01, 0.0)


def test_patterns_choose_what_decays():
    network = nn.SequentialCell(nn.Conv2d(3, 4, 3, has_bias=True), nn.BatchNorm2d(4), nn.Dense(4, 2))
    chosen = groups.patterns_of(" 0.*, *.gamma ,")
    decayed, plain = groups.decay_groups(network.trainable_params(), 0.01, chosen)
    assert sorted(p.name for p in decayed["params"]) == ["1.beta", "2.bias", "2.weight"]
    assert sorted(p.name for p in plain["params"]) == ["0.bias", "0.weight", "1.gamma"]
    (everything,) = groups.decay_groups(network.trainable_params(), 0.01, groups.patterns_of(""))
    assert everything["weight_decay"] == 0.01


def test_a_pattern_that_fits_nothing_is_refused():
    names = ["stem.weight", "head.bias"]
    groups.check_patterns("weight_decay_exclude", groups.NOT_DECAYED, names)
    with pytest.raises(
        ConfigError, match=r"--weight_decay_exclude: no weight's name fits 'pos_embed'; .*stem.weight"
    ):
        groups.check_patterns("weight_decay_exclude", ["*.bias", "pos_embed"], names)


LAYERS = {
    # what timm's group_matcher of these networks counts, with the stem as layer 0
    "stem.conv.weight stem.norm.gamma stages.0.0.conv1.weight stages.0.1.conv1.weight stages.1.0.conv1.weight "
    "stages.1.0.shortcut.weight norm.gamma classifier.weight": [0, 0, 1, 2, 3, 3, 4, 4],
    "cls_token pos_embed patch_embed.proj.weight blocks.0.attn.qkv.weight blocks.1.mlp.fc1.weight norm.gamma "
    "head.weight": [0, 0, 0, 1, 2, 3, 3],
    "features.0.conv.weight features.3.order.1.weight classifier.bias": [1, 2, 3],
    "conv1.weight layer1.0.conv1.weight between.weight layer2.0.conv1.weight fc.weight": [0, 1, 1, 2, 3],
    "a.weight b.weight": [0, 0],
}


@pytest.mark.parametrize("names", LAYERS)
def test_the_layers_of_a_network(names):
    assert groups.layer_numbers(names.split()) == LAYERS[names]


def test_each_layer_learns_a_share_of_what_the_next_one_does():
    scales = groups.layer_scales("stem.weight blocks.0.weight blocks.1.weight head.weight".split(), 0.5)
    assert scales == [0.125, 0.25, 0.5, 1.0]
