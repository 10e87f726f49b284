"""Sums and copies over ranks, outside the training graph."""

from __future__ import annotations

import bisect
import functools
import itertools
from collections.abc import Iterable, Sequence

import mindspore as ms
import mindspore.nn as nn
import mindspore.ops as ops
import numpy as np

from mindlift.backports import Protocol
from mindlift.errors import ConfigError

CHUNK = 1 << 24  # values per all-reduce: 64 MiB of float32
SHIFTS = (0, 16, 32)
FLOAT32 = 4  # bytes; the reducer casts gradients to float32
FIRST_GROUP_BYTES, GROUP_BYTES = 1 << 20, 32 << 20
FIRST_FUSION = (
    1 << 10
)  # as MindSpore numbers its own groups (nn/wrap/grad_reducer.py); 0 and 1 have meanings of their own


class Peers(Protocol):
    """What a computation has to know of the ranks that share it, as mindlift.model_utils.ranks.Ranks does."""

    @property
    def rank(self) -> int: ...

    @property
    def size(self) -> int: ...

    @property
    def is_main(self) -> bool: ...


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


def fuse_all_reduces(parameters: Sequence[ms.Parameter], ends: tuple[int, ...] | None, by_size: bool) -> None:
    """Say which gradients are reduced together, before the step is made; nothing changes in what it computes.

    `parameters` are the trainable ones in the network's order. `ends` are the numbers of the last gradient of each
    group but the last one, from 0 on, as in the model zoo's all_reduce_fusion_config; ConfigError if there are no such
    gradients. Without them, groups are chosen `by_size`, or left to MindSpore.

    nn.DistributedGradReducer looks at `comm_fusion` where it differs among parameters. Indices in MindSpore's context
    would count in the optimiser's order, which is by weight decay. Where it is the same for all, the reducer gives all
    gradients its own fusion of 1, which is one group too.
    """
    if ends:
        groups = groups_by_end(ends, len(parameters))
    elif by_size:
        backward = groups_by_size([FLOAT32 * parameter.size for parameter in reversed(parameters)])
        groups = backward[::-1]
    else:
        return
    for parameter, group in zip(parameters, groups):
        parameter.comm_fusion = FIRST_FUSION + group


def groups_by_size(sizes: Sequence[int]) -> list[int]:
    """The group of each gradient, from 0 on. `sizes` are in bytes, in the order in which gradients are computed.

    A small first group starts early, and as many groups as are nearest to GROUP_BYTES share the rest equally. So does
    PyTorch's DistributedDataParallel (Li et al. 2020, 3.2.3: a first bucket of 1 MiB). Where the rest would be smaller
    than the first group, one all-reduce is as good.
    """
    groups, first_bytes = [], 0
    for size in sizes:
        if first_bytes >= FIRST_GROUP_BYTES:
            break
        groups.append(0)
        first_bytes += size
    rest = sizes[len(groups) :]
    if sum(rest) < FIRST_GROUP_BYTES:
        return [0] * len(sizes)
    share = sum(rest) / max(1, round(sum(rest) / GROUP_BYTES))
    # a gradient goes where its middle lies; large ones can leave a group empty, whose number goes to the next
    middles = [before + size / 2 for before, size in zip(itertools.accumulate([0, *rest]), rest)]
    numbers = [int(middle / share) for middle in middles]
    order = {number: group for group, number in enumerate(dict.fromkeys(numbers), start=1)}
    return groups + [order[number] for number in numbers]


def groups_by_end(ends: Sequence[int], count: int) -> list[int]:
    """The group of each of `count` gradients; `ends` as for fuse_all_reduces."""
    if list(ends) != sorted(set(ends)) or ends[-1] >= count:
        raise ConfigError(
            f"--all_reduce_fusion {','.join(map(str, ends))}: expected rising numbers of gradients, and the network has"
            f" {count} (0 to {count - 1})"
        )
    return [bisect.bisect_left(ends, number) for number in range(count)]


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
