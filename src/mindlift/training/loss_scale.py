"""The factor of the loss that keeps small gradients alive in half precision, and what overflows do to it."""

from __future__ import annotations

import mindspore as ms
import mindspore.nn as nn
import mindspore.ops as ops

GROWTH_FACTOR = 2.0
LARGEST_SCALE = 2.0**24


class LossScale(nn.Cell):
    """The scale of the loss; a dynamic one halves on overflow and doubles after `window` good steps.

    Micikevicius et al., Mixed Precision Training (ICLR 2018), section 3.2. It never grows beyond 2**24.
    """

    def __init__(self, value: float, window: int):
        super().__init__()
        self.window = window
        self.value = ms.Parameter(ms.Tensor(value, ms.float32), name="loss_scale.value", requires_grad=False)
        self.good_steps = ms.Parameter(
            ms.Tensor(0, ms.int32), name="loss_scale.good_steps", requires_grad=False
        )

    def construct(self, finite):
        """Account for one step whose gradients were all `finite` (bool tensor)."""
        good = ops.select(finite, self.good_steps + 1, ops.zeros_like(self.good_steps))
        grow = good >= self.window
        grown = ops.minimum(self.value * GROWTH_FACTOR, ms.Tensor(LARGEST_SCALE, ms.float32))
        shrunk = ops.maximum(self.value / GROWTH_FACTOR, ms.Tensor(1.0, ms.float32))
        value = ops.select(finite, ops.select(grow, grown, self.value), shrunk)
        good = ops.select(grow, ops.zeros_like(good), good)
        return ops.depend(ops.assign(self.value, value), ops.assign(self.good_steps, good))
