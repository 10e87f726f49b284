"""How a source of weights lays out a network: what `src/mindlift/models/<family>/weights.py` is made of. Pure.

What such a file has is `WeightMap`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Dict, Mapping, Tuple

import numpy as np

from mindlift.backports import Protocol

Shapes = Mapping[str, Tuple[int, ...]]
Tensors = Dict[str, np.ndarray]
HEAD = ("classifier.weight", "classifier.bias")
TORCH_NORM = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}
OURS = "MindLift"
TORCHVISION = "torchvision or timm"
ZOO = "the MindSpore model zoo"
MINDCV = "mindcv"
COLOURS = 3


def own_head() -> tuple[str, ...]:
    """The tensors of the classifier of this project's networks."""
    return HEAD


@dataclass(frozen=True)
class Layout:
    """One source of weights.

    `rename` gives this project's name of a tensor, or the name itself if it knows none. `needs` are options that the
    network must have, with the values that do, the first of which is the one to pass. `unused_row` is the row of a
    1001-way head that is no class of ImageNet. `fold` works in what this project's network has no layers for.
    `unused` and `lacks` are beginnings of names here: of tensors of the source that the network has no use for, and of
    the network's tensors that the source hasn't, which keep what they have. `channels` is the order of the colours that
    the source's first convolution takes. `head` tells the tensors of the classifier. `constants` are tensors of the network
    that are no weights, and that it has by itself.
    """

    source: str
    rename: Callable[[str], str] = str
    needs: Mapping[str, tuple] = field(default_factory=dict)
    unused_row: int | None = None
    fold: Callable[[Tensors], Tensors] = dict
    unused: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    channels: str = "rgb"
    head: Callable[[], tuple[str, ...]] = own_head
    constants: tuple[str, ...] = ()


class WeightMap(Protocol):
    """What a family's weights.py has."""

    @property
    def NETWORK(self) -> Mapping[str, object]:
        """The options that decide what the same tensors compute, with the value that "not set" (None) means, or with a
        function that tells the value of the option from those of all options.
        """

    def layout_of(self, shapes: Shapes) -> Layout | None:
        """Who wrote these tensors, by name -> shape, None if they are not of the family; the names of batch norms are
        MindSpore's already (see `with_mindspore_norms`).
        """

    def variant_of(self, shapes: Shapes, variants: Mapping[str, object]) -> str | None:
        """Which of these variants this project's names and shapes are, the first that fits."""


def with_mindspore_norms(tensors: Mapping[str, np.ndarray]) -> dict[str, str]:
    """Name -> name with MindSpore's words for the parts of batch norms, without PyTorch's counters of batches.

    A batch norm is known by its running mean, not by its name: `downsample.1` and `norm.2` are norms too.
    """
    norms = {name.rpartition(".")[0] for name in tensors if name.rpartition(".")[2] == "running_mean"}
    found = {}
    for name in tensors:
        owner, dot, part = name.rpartition(".")
        if owner in norms and part == "num_batches_tracked":
            continue
        found[name] = owner + dot + TORCH_NORM.get(part, part) if owner in norms else name
    return found


def count_of(shapes: Shapes, pattern: str) -> int:
    """One more than the largest number that the only group of `pattern` finds in a name; 0 if none fits."""
    found = [re.match(pattern, name) for name in shapes]
    return 1 + max((int(match[1]) for match in found if match), default=-1)


def network_options(options: Mapping[str, object], values: Mapping[str, object]) -> dict[str, object]:
    """What `values` say for the options of a weights.py's NETWORK."""
    return {name: settled(name, unset, values) for name, unset in options.items()}


def settled(name: str, unset: object, values: Mapping[str, object]) -> object:
    if callable(unset):
        return unset(values)
    return unset if values[name] is None else values[name]


def first_convolution(shapes: Shapes) -> str:
    """The tensor that takes the colours of an image; KeyError unless exactly one can be it."""
    found = [name for name, shape in shapes.items() if len(shape) == 4 and shape[1] == COLOURS]
    if len(found) != 1:
        raise KeyError(
            f"{len(found)} tensors take {COLOURS} channels ({', '.join(found[:3]) or 'none'}), not one"
        )
    return found[0]
