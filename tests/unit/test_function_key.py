"""The key of pieces of an evaluation: other for every change of results, equal for the same network built anew."""

from __future__ import annotations

import functools
import subprocess
import sys

import mindspore as ms
import mindspore.nn as nn
import numpy as np
import pytest

from mindlift import models
from mindlift.models import precision
from mindlift.tasks.classification.multi_crop import CropProbabilities
from mindlift.tasks.function_key import Description, function_key
from tests.support.programs import ROOT, environment
from tests.unit.test_models import DEFAULTS

STATISTICS = [0.5] * 3, [0.25] * 3


def cell(net="densenet22", level="O0", statistics=STATISTICS, **options) -> CropProbabilities:
    ms.set_seed(1)
    network = precision.apply(models.build(net, 3, {**DEFAULTS, **options}, on_cpu=True), level)
    for parameter in network.get_parameters():
        values = np.random.default_rng(len(parameter.name)).random(parameter.shape)
        parameter.set_data(ms.Tensor(values, parameter.dtype))
    return CropProbabilities(network, *statistics).set_train(False)


@pytest.fixture(scope="module")
def usual() -> str:
    return function_key(cell())


def test_it_is_that_of_the_same_network_built_anew_and_after_its_use(usual):
    again = cell()
    assert function_key(again) == usual
    again(ms.Tensor(np.zeros((2, 16, 16, 3)), ms.uint8))
    assert function_key(again) == usual


@pytest.mark.parametrize(
    "changed",
    [
        {"transition_pool": "max"},
        {"level": "O2"},
        {"statistics": ([0.5, 0.5, 0.4], [0.25] * 3)},
    ],
    ids=str,
)
def test_it_is_another_where_no_parameter_says_what_has_changed(usual, changed):
    assert function_key(cell(**changed)) != usual


def test_it_is_another_for_a_flipped_bit(usual):
    changed = cell()
    weight = next(iter(changed.trainable_params()))
    values = weight.asnumpy().copy()
    values.view(np.uint32).flat[0] ^= 1
    weight.set_data(ms.Tensor(values))
    assert function_key(changed) != usual


@pytest.mark.parametrize("changed", [{"stem_pool": "same"}, {"conv_pad": "same"}, {"bn_eps": 1e-3}], ids=str)
def test_options_of_a_residual_network_show_in_its_cells(changed):
    assert function_key(cell("resnet50", **changed)) != function_key(cell("resnet50"))


SMALLEST = ["densenet22", "resnet50", "bit_r50x1", "inception_v4", "deeplab_v3_r26_s16"]


@pytest.mark.parametrize("net", SMALLEST)
def test_no_network_holds_what_differs_between_processes(net):
    """An address, or the order of a set, would make a key that no later command finds again."""
    text = Description(cell(net)).text()
    assert " at 0x" not in text
    assert len(text) > 10_000, "settings and parameters of all cells"


@pytest.mark.heavy
def test_another_process_with_other_hashes_finds_the_same_key(usual):
    code = "from tests.unit.test_function_key import cell, function_key; print(function_key(cell()))"
    paths = f"{ROOT}:{ROOT / 'src'}"
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment(PYTHONHASHSEED=seed, PYTHONPATH=paths),
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.split()[-1] == usual


class Odd(nn.Cell):
    """A cell with something that no parameter shows."""

    def __init__(self, held: object):
        super().__init__()
        self.held = held

    def construct(self, x):
        return x


class Settings:
    def __init__(self, size: int):
        self.size = size


def power(exponent: int):
    return lambda x: x**exponent


def scaled(x, factor=2.0):
    return x * factor


HELD = {
    "an operator": (ms.ops.ReduceMean(keep_dims=True), ms.ops.ReduceMean(keep_dims=False)),
    "an operator by its settings": (ms.ops.MaxPool(kernel_size=3), ms.ops.MaxPool(kernel_size=2)),
    "a function": (ms.ops.relu, ms.ops.sigmoid),
    "a built-in function": (max, min),
    "what a function closes over": (power(2), power(3)),
    "the code of a function": (lambda x: x + 1, lambda x: x + 2),
    "a partial function": (functools.partial(scaled, factor=2.0), functools.partial(scaled, factor=3.0)),
    "a dict": ({"stride": 1}, {"stride": 2}),
    "a set": ({1, 2}, {1, 3}),
    "an object": (Settings(1), Settings(2)),
    "a list of operators": ([ms.ops.ReLU()], [ms.ops.Sigmoid()]),
    "a list of cells": ([Odd(1)], [Odd(2)]),
    "an array": (np.ones(3), np.zeros(3)),
    "a constant": (ms.Tensor([1.0]), ms.Tensor([2.0])),
    "a type": (ms.float16, ms.float32),
}


@pytest.mark.parametrize("what", HELD)
def test_nothing_that_a_cell_holds_drops_out(what):
    one, other = HELD[what]
    assert function_key(Odd(one)) != function_key(Odd(other))
    assert function_key(Odd(one)) == function_key(Odd(one))


def test_a_private_setting_counts_too():
    one, other = Odd(1), Odd(1)
    other._stride = 2
    assert function_key(one) != function_key(other)


def test_what_has_no_content_is_an_error_and_no_key():
    with pytest.raises(TypeError, match="holds a generator"):
        function_key(Odd(iter(() for _ in ())))
