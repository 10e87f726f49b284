"""Sums and copies over ranks, outside the training graph."""

from __future__ import annotations

from collections.abc import Iterable

import mindspore as ms
import mindspore.nn as nn
import mindspore.ops as ops
import numpy as np

CHUNK = 1 << 24  # values per all-reduce: 64 MiB of float32


class Sum(nn.Cell):
    """All-reduce (sum) of one tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.reduce = ops.AllReduce()

    def construct(self, x):
        return self.reduce(x)


def all_sum(values: np.ndarray, size: int) -> np.ndarray:
    """Element-wise sum over the ranks of a float32 or a non-negative integer array (n,).

    The CPU's all-reduce knows only floats, so integers below 2**32 travel as two 16-bit halves, whose
    sums are exact in float32 for up to 256 ranks.
    """
    if size == 1:
        return values
    if values.dtype.kind == "f":
        return Sum()(ms.Tensor(values, ms.float32)).asnumpy()
    halves = np.stack([values & 0xFFFF, values >> 16]).astype(np.float32)
    low, high = Sum()(ms.Tensor(halves)).asnumpy().astype(np.int64)
    return low + (high << 16)


def copy_from_rank0(parameters: Iterable[ms.Parameter], rank: int, size: int) -> None:
    """Give every rank rank 0's values, bit for bit: the others add zeros."""
    if size == 1:
        return
    flat = [p for p in parameters if p.dtype == ms.float32]
    joined = np.concatenate([p.asnumpy().ravel() for p in flat])
    if rank:
        joined = np.zeros_like(joined)
    parts = [all_sum(joined[i : i + CHUNK], size) for i in range(0, len(joined), CHUNK)]
    joined, position = np.concatenate(parts), 0
    for parameter in flat:
        values = joined[position : position + parameter.size].reshape(parameter.shape)
        parameter.set_data(ms.Tensor(values))
        position += parameter.size
