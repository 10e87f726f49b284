"""What a file of weights holds, and how its numbers are written. Pure."""

from __future__ import annotations

import reprlib
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from zipfile import ZipInfo

import numpy as np

from mindlift import json_text, limits
from mindlift.backports import prod
from mindlift.errors import CheckpointError

BFLOAT16 = (
    "bfloat16"  # NumPy has no such type: the arrays of these tensors are float32, which holds every value
)
WIDTHS = {
    "float64": 8,
    "float32": 4,
    "float16": 2,
    BFLOAT16: 2,
    "int64": 8,
    "int32": 4,
    "int16": 2,
    "int8": 1,
    "uint8": 1,
    "bool": 1,
}
NETWORK = "network_options"  # the entry of this project's files that holds Stored.network as JSON
DEEPEST = 16  # dimensions; NumPy takes 32, no weight has more than 5


@dataclass(frozen=True)
class Stored:
    """The tensors of one file by the names it gives them.

    `form` is "pytorch", "safetensors" or "mindspore"; `types` names the type in the file where it is not the
    array's; `network` holds the options of the network that the weights were made with, if the file says them;
    `said` is what somebody should know of where in the file they were.
    """

    form: str
    tensors: dict[str, np.ndarray]
    types: Mapping[str, str] = field(default_factory=dict)
    network: Mapping[str, object] = field(default_factory=dict)
    said: tuple[str, ...] = ()

    def type_of(self, name: str) -> str:
        return self.types.get(name, self.tensors[name].dtype.name)


class Budget:
    """The bytes that the tensors of a file may take, by the file's own size: views of one storage cost a file nothing."""

    def __init__(self, size: int, ratio: int = limits.WEIGHTS_RATIO):
        self.size = size
        self.most = self.left = max(limits.WEIGHTS_FLOOR, ratio * size)

    def take(self, count: int) -> None:
        """CheckpointError where they would be more."""
        self.left -= count
        if self.left < 0:
            raise CheckpointError(
                f"its tensors would take more than {self.most:,} bytes, and it has {self.size:,}; no network's do"
            )


def check_members(members: Iterable[ZipInfo], size: int) -> None:
    """CheckpointError if the members of an archive of `size` bytes lie upon each other."""
    if sum(info.compress_size for info in members) > size:
        raise CheckpointError("it is damaged: the members of its archive overlap")


def flat(content: bytes | memoryview, kind: str) -> np.ndarray:
    """The numbers of a little-endian buffer, one after another; `kind` is a key of WIDTHS."""
    numbers = np.frombuffer(content, np.uint16 if kind == BFLOAT16 else kind)
    if sys.byteorder == "big":
        numbers = numbers.byteswap()
    return (
        (numbers.astype(np.uint32) << 16).view(np.float32) if kind == BFLOAT16 else numbers
    )  # its upper half


def view(numbers: np.ndarray, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> np.ndarray:
    """A tensor in a flat array: `offset` and `strides` count elements, as PyTorch's do.

    CheckpointError if it would reach outside, or be larger than what holds it.
    """
    sizes = (offset, *shape, *strides)
    fits = len(shape) == len(strides) <= DEEPEST and all(type(n) is int and n >= 0 for n in sizes)
    if fits and 0 in shape:
        return np.empty(shape, numbers.dtype)
    last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides)) if fits else 0
    if not fits or last >= numbers.size or prod(shape) > numbers.size:
        raise CheckpointError(
            f"a tensor of shape {reprlib.repr(shape)} at {reprlib.repr(offset)} with strides {reprlib.repr(strides)} does not lie in its {numbers.size} numbers"
        )
    steps = tuple(stride * numbers.itemsize for stride in strides)
    return np.ascontiguousarray(np.lib.stride_tricks.as_strided(numbers[offset:], shape, steps)).reshape(
        shape
    )


def network_of(text: object) -> dict[str, object]:
    """The options of the network in a file's note; {} if it has none."""
    if not isinstance(text, str):
        return {}
    try:
        found = json_text.parse(text)
    except ValueError as err:
        raise CheckpointError(f"its note {NETWORK} is no JSON: {text[:80]!r}") from err
    return found if isinstance(found, dict) else {}
