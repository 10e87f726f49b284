"""Whether a step's gradients are numbers, on devices that keep infinities and on those that saturate.

On an Atlas 910A an overflow gives the largest number and a NaN gives 0, so that nothing can be seen in the values; the
chip sets a float status instead, which stays until it is cleared. MindSpore's own steps ask for it in the same way
(mindspore/nn/wrap/loss_scale.py, `start_overflow_check` and `_get_ascend_overflow_status_on_saturation_mode`).
"""

from __future__ import annotations

import mindspore as ms
import mindspore.nn as nn
import mindspore.ops as ops
import numpy as np
from mindspore.ops.operations import math_ops

LARGEST_FLOAT16 = 65504.0
STATUS_WORDS = 8  # int32 words of an Ascend's float status, all 0 as long as nothing has overflowed

found_infinity = ops.MultitypeFuncGraph("found_infinity")
found_largest = ops.MultitypeFuncGraph("found_largest")


@found_infinity.register("Tensor")
def has_infinity(gradient):
    """Scalar float32: 1 if there is an infinity or a NaN."""
    return 1.0 - ops.ReduceAll()(ops.IsFinite()(gradient)).astype(ms.float32)


@found_largest.register("Tensor")
def has_largest(gradient):
    """Scalar float32: 1 if the largest float16 number is there, which is what float16 gradients saturate at."""
    is_largest = (ops.abs(gradient.astype(ms.float32)) == LARGEST_FLOAT16).astype(ms.float32)
    return ops.ReduceMax()(is_largest)


def count(found):
    """Sum of a tuple of scalars."""
    total = ms.Tensor(0.0, ms.float32)
    for each in found:
        total = total + each
    return total


def all_finite(gradients):
    """Scalar bool tensor: no gradient has an infinity or a NaN."""
    return count(ops.HyperMap()(found_infinity, gradients)) == 0.0


class Unseen(nn.Cell):
    """Of a device that keeps infinities: nothing to read, the gradients say it themselves."""

    def clear(self, batch):
        return batch

    def construct(self, gradients):
        return ms.Tensor(0.0, ms.float32)


class FloatStatus(nn.Cell):
    """Gradients of this rank -> scalar float32, not 0 if computing them has overflowed since `clear`.

    `clear_status` and `get_status` are MindSpore's primitives unless a test has others.
    """

    def __init__(self, clear_status=None, get_status=None):
        super().__init__()
        self.clear_status = clear_status or math_ops.NPUClearFloatStatusV2()
        self.get_status = get_status or math_ops.NPUGetFloatStatusV2()
        self.zeros = ms.Tensor(np.zeros(STATUS_WORDS), ms.int32)
        self.map = ops.HyperMap()

    def clear(self, batch):
        """`batch`, to be used only after the status was cleared."""
        return ops.depend(batch, self.clear_status(self.zeros))

    def construct(self, gradients):
        status = self.get_status(ops.depend(self.zeros, gradients))
        is_set = (status != 0).astype(ms.float32).sum()
        return is_set + count(self.map(found_largest, gradients))


def sensor(saturates: bool) -> nn.Cell:
    """What reads the overflows of a device: see devices.Device.saturates."""
    return FloatStatus() if saturates else Unseen()
