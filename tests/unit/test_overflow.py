"""Overflows on a device that saturates, with a stand-in for its float status.

What the stand-in does is from two sources: the documentation of NPUGetFloatStatusV2 (the flag stays set until
NPUClearFloatStatusV2, and is 0 as long as nothing has overflowed), and CANN's of overflow detection in saturation mode:
the result is the largest number, and a NaN is 0.
"""

from __future__ import annotations

import mindspore as ms
import numpy as np
import pytest

from mindlift.model_utils import devices
from mindlift.training.overflow import LARGEST_FLOAT16, FloatStatus, Unseen, sensor
from tests.support.saturating import Clear, Get, Register, batch, trainer


@pytest.mark.parametrize("accumulation", [1, 2])
def test_a_saturated_step_is_skipped_and_halves_a_dynamic_scale(accumulation):
    """Its loss and gradients are finite: only the status tells. It is cleared before the next step."""
    step, weight = trainer(loss_scale=8.0, dynamic_loss_scale=True, accumulation=accumulation)
    good, bad = batch(1.0), batch(1e5)
    loss, finite = step([good] * accumulation)
    assert finite
    before = float(weight.asnumpy()[0])
    loss, finite = step([bad, good][:accumulation])
    assert np.isfinite(loss)
    assert not finite
    assert float(weight.asnumpy()[0]) == before
    assert float(step.scale.value.asnumpy()) == 4.0
    assert step([good] * accumulation)[1]
    assert float(weight.asnumpy()[0]) < before


def test_a_fixed_scale_skips_too_and_stays():
    step, weight = trainer(loss_scale=8.0)
    before = float(weight.asnumpy()[0])
    assert step([batch(1e5)])[1] is False
    assert float(weight.asnumpy()[0]) == before
    assert float(step.scale.value.asnumpy()) == 8.0
    assert step([batch(1.0)])[1] is True


def test_gradients_at_the_largest_number_count_without_the_status():
    register = Register()
    status = FloatStatus(Clear(register), Get(register))
    gradients = tuple(ms.Tensor(values, ms.float32) for values in ([1.0, -2.0], [LARGEST_FLOAT16 - 32, 0.5]))
    assert float(status(gradients).asnumpy()) == 0
    saturated = (*gradients, ms.Tensor([3.0, -LARGEST_FLOAT16], ms.float32))
    assert float(status(saturated).asnumpy()) > 0


@pytest.mark.parametrize(
    ("chip", "mode", "saturates"),
    [
        ("ascend910", "", True),
        ("ascend910b", "", False),
        ("ascend910_93", "INFNAN_MODE", False),
        ("ascend910b", "SATURATION_MODE", True),
        ("", "", True),  # a version that can't tell: the status of a chip that keeps infinities is never set
    ],
)
def test_which_chips_saturate(chip, mode, saturates):
    """As mindspore/amp.py has it: _ascend_910a_target, _ascend_910b_target and MS_ASCEND_CHECK_OVERFLOW_MODE."""
    device = devices.of(devices.ASCEND, chip, {devices.OVERFLOW_MODE: mode} if mode else {})
    assert device.saturates is saturates
    assert isinstance(sensor(device.saturates), FloatStatus if saturates else Unseen)


def test_other_devices_keep_infinities():
    assert not any(devices.of(target).saturates for target in (devices.CPU, devices.GPU, devices.ANY))
