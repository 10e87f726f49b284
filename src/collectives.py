"""Sums and copies over ranks, outside the training graph."""

from __future__ import annotations

import functools
from collections.abc import Iterable

import mindspore as ms
import mindspore.nn as nn
import mindspore.ops as ops
import numpy as np

CHUNK = 1 << 24  # values per all-reduce: 64 MiB of float32
SHIFTS = (0, 16, 32)


@functools.lru_cache(maxsize=1)
def summing() -> Sum:
    """One cell for all sums, so that each shape is compiled once."""
    return Sum()


class Sum(nn.Cell):
    """All-reduce (sum) of one tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.reduce = ops.AllReduce()

    def construct(self, x):
        return self.reduce(x)


def group_gradients(ends: tuple[int, ...] | None) -> None:
    """Reduce the gradients in groups that end at these numbers (the zoo's split points); None: as MindSpore does."""
    if ends:
        ms.set_auto_parallel_context(all_reduce_fusion_config=list(ends))


def all_sum(values: np.ndarray, size: int) -> np.ndarray:
    """Element-wise sum over the ranks of a float32 or a non-negative integer array (n,).

    The CPU's all-reduce knows only floats, so integers below 2**48 travel as parts of 16 bits, whose sums are exact
    in float32 for up to 256 ranks.
    """
    if size == 1:
        return values
    if values.dtype.kind == "f":
        return summing()(ms.Tensor(values, ms.float32)).asnumpy()
    parts = np.stack([values >> shift & 0xFFFF for shift in SHIFTS]).astype(np.float32)
    sums = summing()(ms.Tensor(parts)).asnumpy().astype(np.int64)
    return sum(part << shift for part, shift in zip(sums, SHIFTS))


def of_all_ranks(value: float, rank: int, size: int) -> list[float]:
    """Every rank's value, in the order of the ranks."""
    own = np.zeros(size, np.float32)
    own[rank] = value
    return all_sum(own, size).tolist()


def copy_from_rank0(parameters: Iterable[ms.Parameter], rank: int, size: int) -> None:
    """Give every rank rank 0's values, bit for bit: the others add zeros. Integers must not be negative."""
    if size == 1:
        return
    parameters = list(parameters)
    for is_kind, dtype in ((is_float32, np.float32), (is_integer, np.int64)):
        chosen = [parameter for parameter in parameters if is_kind(parameter)]
        if chosen:
            joined = np.concatenate([parameter.asnumpy().ravel() for parameter in chosen]).astype(dtype)
            give(chosen, from_rank0(joined, rank, size))


def is_float32(parameter: ms.Parameter) -> bool:
    return parameter.dtype == ms.float32


def is_integer(parameter: ms.Parameter) -> bool:
    return parameter.dtype in (ms.int32, ms.int64)


def from_rank0(values: np.ndarray, rank: int, size: int) -> np.ndarray:
    mine = np.zeros_like(values) if rank else values
    return np.concatenate([all_sum(mine[i : i + CHUNK], size) for i in range(0, len(mine), CHUNK)])


def give(parameters: list[ms.Parameter], values: np.ndarray) -> None:
    """Cut `values` up among the parameters, in their order."""
    position = 0
    for parameter in parameters:
        mine = values[position : position + parameter.size].reshape(parameter.shape)
        parameter.set_data(ms.Tensor(mine, parameter.dtype))
        position += parameter.size
