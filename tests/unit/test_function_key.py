"""The key of pieces of an evaluation: other for every change of results, equal for the same network built anew."""

from __future__ import annotations

import mindspore as ms
import numpy as np
import pytest

from mindlift import models
from mindlift.models import precision
from mindlift.tasks.classification.multi_crop import CropProbabilities
from mindlift.tasks.function_key import function_key
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
        {"bn_eps": 1e-3},
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


@pytest.mark.parametrize("changed", [{"stem_pool": "same"}, {"conv_pad": "same"}], ids=str)
def test_paddings_of_a_residual_network_show_in_its_cells(changed):
    assert function_key(cell("resnet50", **changed)) != function_key(cell("resnet50"))
