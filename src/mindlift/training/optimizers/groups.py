"""Which weights decay, and how much of the learning rate each layer gets. By names alone; imports no mindspore."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from mindlift.backports import TypedDict
from mindlift.errors import ConfigError

if TYPE_CHECKING:
    import mindspore as ms

NOT_DECAYED = ("*.gamma", "*.beta", "*.bias")


class Group(TypedDict):
    """Parameters with a weight decay of their own, as MindSpore's optimisers take them."""

    params: list[ms.Parameter]
    weight_decay: float


def decay_groups(
    parameters: Iterable[ms.Parameter], weight_decay: float, excluded: Sequence[str] = NOT_DECAYED
) -> list[Group]:
    """Two groups: weights with `weight_decay`, and with none those whose name one of the patterns `excluded` fits.

    The second group states its 0 because a group without a value inherits the optimiser's.
    """
    decayed: list[ms.Parameter] = []
    plain: list[ms.Parameter] = []
    for parameter in parameters:
        (plain if fits(parameter.name, excluded) else decayed).append(parameter)
    groups: list[Group] = [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def fits(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def patterns_of(text: str) -> tuple[str, ...]:
    """The patterns of an option: `*.bias, *.gamma`."""
    return tuple(filter(None, map(str.strip, text.split(","))))


def check_patterns(option: str, patterns: Iterable[str], names: Sequence[str]) -> None:
    """ConfigError for a pattern that fits no weight; the usual ones need not, for not every network has norms."""
    for pattern in patterns:
        if pattern not in NOT_DECAYED and not any(fits(name, [pattern]) for name in names):
            raise ConfigError(
                f"--{option}: no weight's name fits {pattern!r}; names are such as {', '.join(names[:2])} and"
                f" {names[-1]}, * stands for anything"
            )


def layer_scales(names: Sequence[str], decay: float) -> list[float]:
    """`decay` ** (layers between a weight's layer and the last one), for the weights of a network in their order.

    Clark et al., ELECTRA (ICLR 2020), section 3 and table 6, and Bao et al., BEiT (ICLR 2022), appendix: the last
    layer learns with the whole rate, each one before it with `decay` times that of the next. Layers are counted as
    timm's param_groups_layer_decay does: stem, blocks, head.
    """
    layers = layer_numbers(names)
    return [decay ** (max(layers) - layer) for layer in layers]


def layer_numbers(names: Sequence[str]) -> list[int]:
    """The layer of each weight: a block is what the numbers behind the first word count (`stages.0.3`, `blocks.11`).

    Weights in no block are of the stem, which is layer 0, where they come before all blocks, of the head where they
    come behind all, else of the block before them.
    """
    blocks = [block_of(name) for name in names]
    order = list(dict.fromkeys(filter(None, blocks)))
    last = max((at for at, block in enumerate(blocks) if block), default=-1)
    found, current = [], 0
    for at, block in enumerate(blocks):
        if block:
            current = order.index(block) + 1
        found.append(len(order) + 1 if at > last >= 0 else current)
    return found


def block_of(name: str) -> str:
    """`stages.0.3.conv1.weight` -> stages.0.3; '' for a name without numbers behind its first word."""
    first, *rest = name.split(".")
    count = next((at for at, word in enumerate(rest) if not word.isdigit()), len(rest))
    return ".".join([first, *rest[:count]]) if count else ""
