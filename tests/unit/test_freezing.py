"""Which weights --freeze names, that they stay as they are, and that they learn from --unfreeze_epoch on."""

from __future__ import annotations

import mindspore as ms
import mindspore.nn as nn
import mindspore.ops as ops
import numpy as np
import pytest

from mindlift import models
from mindlift.errors import ConfigError
from mindlift.model_utils.config import config
from mindlift.training import freezing
from mindlift.training.optimizers.formula import Plan
from mindlift.training.optimizers.momentum import sgd_momentum
from mindlift.training.step import StepOptions, TrainStep

RESNET = [
    *("stem.conv.weight", "stem.norm.gamma", "stages.0.0.conv1.conv.weight", "stages.0.1.conv1.norm.gamma"),
    *("stages.1.0.conv1.conv.weight", "stages.2.0.conv1.conv.weight", "classifier.weight", "classifier.bias"),
]
LAYERS = ["conv1.weight", "bn1.gamma", "layer1.0.conv1.weight", "layer2.0.conv1.weight", "fc.weight"]
SWIN = [
    "patch_embed.proj.weight",
    "layers.0.blocks.0.attn.qkv.weight",
    "layers.1.blocks.0.norm1.gamma",
    "head.weight",
]
HEAD = ("classifier.weight", "classifier.bias")


@pytest.mark.parametrize(
    ("text", "names", "frozen"),
    [
        ("backbone", RESNET, RESNET[:-2]),
        ("stem", RESNET, RESNET[:2]),
        ("stem.*, stages.1", RESNET, [*RESNET[:2], RESNET[4]]),
        ("*.gamma", RESNET, [RESNET[1], RESNET[3]]),
        ("stages:0", RESNET, RESNET[:2]),
        ("stages:1", RESNET, RESNET[:4]),
        ("stages:2,classifier.bias", RESNET, [*RESNET[:5], "classifier.bias"]),
        ("stages:1", LAYERS, LAYERS[:3]),
        ("stages:1", SWIN, SWIN[:2]),
    ],
)
def test_what_is_named(text, names, frozen):
    assert freezing.chosen(text, names, lambda: HEAD) == set(frozen)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--freeze", "stgaes.0"],
            r"--freeze stgaes.0: no weight of this network is called so; write backbone",
        ),
        (["--freeze", "stages:9"], r"--freeze stages:9: no weight"),
        (["--freeze", "*"], r"--freeze \* leaves nothing to train"),
        (["--unfreeze_epoch", "2"], r"--unfreeze_epoch 2 has no effect without --freeze"),
    ],
)
def test_what_can_not_be_frozen_is_one_line(arguments, message):
    cfg = config.load(["--net", "densenet22", *arguments])
    net = models.build("densenet22", 10, cfg.to_dict())
    with pytest.raises(ConfigError, match=message):
        freezing.of(cfg, net, lambda: HEAD, 0, 10)


def test_norms_of_frozen_weights_keep_their_statistics_and_give_them_back():
    cfg = config.load(["--net", "densenet22", "--freeze", "stages:1", "--unfreeze_epoch", "2"])
    net = models.build("densenet22", 10, cfg.to_dict())
    every = len(net.trainable_params())
    frozen = freezing.of(cfg, net, lambda: HEAD, 0, 10)
    assert frozen is not None
    assert frozen.until == 20
    frozen.apply()
    assert len(net.trainable_params()) == every - len(frozen.parameters) < every
    images = ms.Tensor(np.random.default_rng(0).normal(size=(4, 3, 16, 16)), ms.float32)
    before = {name: value.asnumpy().copy() for name, value in net.parameters_dict().items()}
    net.set_train(True)(images)
    moved = {name for name, value in net.parameters_dict().items() if (value.asnumpy() != before[name]).any()}
    assert moved
    assert not [name for name in moved if name.startswith("stages.0.")]
    frozen.release()
    assert len(net.trainable_params()) == every
    assert all(norm.use_batch_statistics is None for norm in frozen.norms)


@pytest.mark.parametrize(("done", "is_frozen"), [(0, True), (20, True), (21, False)])
def test_a_training_that_continues_is_frozen_up_to_the_same_step(done, is_frozen):
    """A checkpoint of step 20 is saved before the 21st step, with which all weights learn."""
    cfg = config.load(["--net", "densenet22", "--freeze", "backbone", "--unfreeze_epoch", "2"])
    net = models.build("densenet22", 10, cfg.to_dict())
    assert bool(freezing.of(cfg, net, lambda: HEAD, done, 10)) == is_frozen


class Line(nn.Cell):
    """loss = mean of (a * b * x - y)**2"""

    def __init__(self):
        super().__init__()
        self.a = ms.Parameter(ms.Tensor([0.5], ms.float32), "a")
        self.b = ms.Parameter(ms.Tensor([1.5], ms.float32), "b")

    def construct(self, x, y):
        return ops.mean((self.a * self.b * x - y) ** 2)


def test_released_weights_learn_with_a_moment_that_starts_at_zero_and_the_others_go_on():
    """Held against the rule of momentum, v = m * v + g and w -= lr * v, in NumPy; the average of the weights goes on too."""
    line, rates = Line(), np.array([0.1, 0.05, 0.02, 0.01], np.float32)
    options = StepOptions(loss_scale=8.0, average=0.5)

    def step_for_what_learns() -> TrainStep:
        return TrainStep(line, sgd_momentum(Plan(line.trainable_params(), rates), 0.9), options)

    line.a.requires_grad = False
    step = step_for_what_learns()
    state = [line.a, line.b, *step.state]
    x, y = np.array([1.0, 2.0, -1.0]), np.array([0.5, 1.0, 2.0])
    a, b, va, vb, shadow = 0.5, 1.5, 0.0, 0.0, {"a": 0.5, "b": 1.5}
    for number, rate in enumerate(rates):
        if number == 2:
            assert "moments.a" not in [each.name for each in state]
            line.a.requires_grad = True
            freezing.continue_with(step, step_for_what_learns(), state)
        loss, _ = step([(ms.Tensor(x, ms.float32), ms.Tensor(y, ms.float32))])
        rest = a * b * x - y
        assert loss == pytest.approx((rest**2).mean(), rel=1e-5)
        ga, gb = (2 * rest * b * x).mean(), (2 * rest * a * x).mean()
        va, vb = (0.9 * va + ga if number >= 2 else 0.0), 0.9 * vb + gb
        a, b = a - rate * va, b - rate * vb
        shadow = {"a": 0.5 * (shadow["a"] + a), "b": 0.5 * (shadow["b"] + b)}
        assert (line.a.asnumpy()[0], line.b.asnumpy()[0]) == pytest.approx((a, b), rel=1e-5)
    found = {each.name: each.asnumpy() for each in state}
    assert found["moments.a"][0] == pytest.approx(va, rel=1e-4)
    assert found["moments.b"][0] == pytest.approx(vb, rel=1e-4)
    assert found["global_step"] == 4
    assert (found["ema.a"][0], found["ema.b"][0]) == pytest.approx((shadow["a"], shadow["b"]), rel=1e-5)
    assert len(found) == len(state)
