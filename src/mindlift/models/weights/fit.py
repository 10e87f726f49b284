"""From the tensors of a file to those of a network: every one filled exactly once, or an error that says why. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np

from mindlift.errors import CheckpointError, ConfigError
from mindlift.models.weights.layouts import (
    HEAD,
    OURS,
    Layout,
    WeightMap,
    first_convolution,
    with_mindspore_norms,
)
from mindlift.models.weights.stored import Stored

OPTIMISER_STATE = ("moments.", "moment.", "mean_square.", "mean_grad.", "loss_scale.", "accumulated.")
NOT_WEIGHTS = {
    "learning_rate",
    "momentum",
    "global_step",
    "epoch_num",
    "step_num",
    "scale_sense",
    "seed",
    "current_iterator_step",
    "last_overflow_iterator_step",
}
AVERAGE = "ema."  # of the names of a moving average
PREFIXES = ("module.", "_orig_mod.", "network.")  # of wrappers: data parallel, torch.compile, training cells


@dataclass(frozen=True)
class Known:
    """The tensors of a file whose source is known, by this project's names; `origins` are their names in the file.

    `is_average`: they are the moving average of a training's weights. `is_reversed`: the colours that the first
    convolution takes were reversed. `unused` are the names in the file of what the network has no use for.
    """

    family: str
    layout: Layout
    tensors: dict[str, np.ndarray]
    origins: dict[str, str]
    needs: Mapping[str, tuple]
    is_average: bool = False
    is_reversed: bool = False
    unused: tuple[str, ...] = ()

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: array.shape for name, array in self.tensors.items()}


def recognised(stored: Stored, families: Mapping[str, WeightMap], average: bool = True) -> Known | None:
    """Who wrote these weights, of which family; None if no weights.py of `families` knows them.

    A family whose whole network it is comes before one of which it is a part. Of a file with the moving average beside
    the weights, `average` says which of them. CheckpointError if two tensors would be the same one here.
    """
    origins = plain_names(stored, average)
    is_average = any(origin.startswith(AVERAGE) for origin in origins.values())
    tensors = {name: stored.tensors[origin] for name, origin in origins.items()}
    shapes = {name: array.shape for name, array in tensors.items()}
    layouts = {family: names.layout_of(shapes) for family, names in families.items()}
    found = {family: layout for family, layout in layouts.items() if layout is not None}
    if not found:
        return None
    family = min(found, key=lambda name: bool(found[name].lacks))
    layout = found[family]
    renamed = rename(layout, layout.fold(tensors))
    sources = {layout.rename(name): origin for name, origin in origins.items()}
    unused = tuple(sources[name] for name in renamed if name.startswith(layout.unused))
    renamed = {name: array for name, array in renamed.items() if sources[name] not in unused}
    needs = {**layout.needs, **(noted(stored, families[family]) if layout.source == OURS else {})}
    used = {name: sources[name] for name in renamed}
    return Known(family, layout, renamed, used, needs, is_average, unused=unused)


def as_rgb(known: Known, channels: str = "auto") -> Known:
    """The weights for images in the order red, green, blue, which all networks here see.

    `channels` is the order that they were trained on, rgb or bgr; auto: what is known of their source. CheckpointError
    if there is something to turn round and it is not clear where.
    """
    if (known.layout.channels if channels == "auto" else channels) == "rgb":
        return known
    try:
        name = first_convolution(known.shapes)
    except KeyError as err:
        raise CheckpointError(
            f"can't turn round the colours of {known.layout.source}'s weights: {err.args[0]}"
        ) from err
    turned = {**known.tensors, name: np.ascontiguousarray(known.tensors[name][:, ::-1])}
    return replace(known, tensors=turned, is_reversed=True)


def noted(stored: Stored, names: WeightMap) -> dict[str, tuple]:
    """The options that a file of this project says its network has; "not set" does where it means the same."""
    return {
        name: (value, None) if value == names.NETWORK.get(name) else (value,)
        for name, value in stored.network.items()
    }


def plain_names(stored: Stored, average: bool = True) -> dict[str, str]:
    """MindSpore's name -> name in the file, of the network's tensors alone: no optimiser, no counters, no prefix.

    Of the moving average if there is one and it is wanted, or if there is nothing else.
    """
    names = with_mindspore_norms(stored.tensors)
    if stored.form != "pytorch":
        names = {
            name: ours
            for name, ours in names.items()
            if name not in NOT_WEIGHTS and not name.startswith(OPTIMISER_STATE)
        }
    of_average = {name: ours[len(AVERAGE) :] for name, ours in names.items() if ours.startswith(AVERAGE)}
    raw = {name: ours for name, ours in names.items() if name not in of_average}
    names = of_average if of_average and (average or not raw) else raw
    for prefix in PREFIXES:
        if names and all(ours.startswith(prefix) for ours in names.values()):
            names = {name: ours[len(prefix) :] for name, ours in names.items()}
    return {ours: name for name, ours in names.items()}


def rename(layout: Layout, tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    found: dict[str, str] = {}
    for name in tensors:
        ours = layout.rename(name)
        if ours in found:
            raise CheckpointError(f"{found[ours]} and {name} are both {ours}")
        found[ours] = name
    return {ours: tensors[name] for ours, name in found.items()}


def check_needs(needs: Mapping[str, tuple], values: Mapping[str, object], where: str, source: str) -> None:
    """ConfigError if the network that `values` describe is not the one that the weights were made with.

    Options that `values` lacks are not checked.
    """
    other = [name for name, fitting in needs.items() if name in values and values[name] not in fitting]
    if other:
        wanted = " ".join(f"--{name} {as_argument(needs[name][0])}" for name in other)
        given = ", ".join(shown(values[name]) for name in other)
        raise ConfigError(
            f"{where} ({source}) is for a network with other options: pass {wanted} (now {given})"
        )


def as_argument(value: object) -> str:
    return "null" if value is None else shown(value)


def shown(value: object) -> str:
    return "not set" if value is None else f"{value:g}" if isinstance(value, float) else str(value).lower()


def fitted(
    known: Known, wanted: Mapping[str, tuple[int, ...]], without: Collection[str], where: str
) -> dict[str, np.ndarray]:
    """The tensors for a network whose names and shapes are `wanted`; CheckpointError unless they fill it.

    But for those in `without`, and those that the source lacks.
    """
    given = {name: array for name, array in known.tensors.items() if name not in without}
    given = without_unused_row(known.layout, given, wanted)
    left = {name for name in wanted if name in without or name.startswith(known.layout.lacks)}
    problem = mismatch(
        {name: tuple(shape) for name, shape in wanted.items() if name not in left},
        {name: array.shape for name, array in given.items()},
    )
    if problem:
        raise CheckpointError(
            f"{where} ({known.layout.source}) does not fit this network: {other_head(given, wanted) or problem}"
        )
    return given


def other_head(given: Mapping[str, np.ndarray], wanted: Mapping[str, tuple[int, ...]]) -> str:
    """What to do if a head of another number of classes is all that does not fit, else ''."""
    rows = {name: (len(given[name]), wanted[name][0]) for name in HEAD if name in given and name in wanted}
    body = [
        {name: tuple(shape) for name, shape in shapes.items() if name not in HEAD}
        for shapes in (wanted, {name: array.shape for name, array in given.items()})
    ]
    if len(rows) < len(HEAD) or len(set(rows.values())) > 1 or mismatch(*body):
        return ""
    have, need = rows[HEAD[0]]
    return (
        f"its classifier has {have} classes, this network's {need}; pass --filter_head true to start with a new one, or"
        f" --num_classes {have}"
    )


def without_unused_row(
    layout: Layout, tensors: Mapping[str, np.ndarray], wanted: Mapping[str, tuple[int, ...]]
) -> dict[str, np.ndarray]:
    """A 1001-way head for 1000 classes, without the row that the source has no class for."""
    result = dict(tensors)
    for name in HEAD:
        rows = (
            (len(tensors[name]), *wanted.get(name, ())[:1]) if name in tensors and tensors[name].ndim else ()
        )
        if rows == (1001, 1000) and layout.unused_row is not None:
            result[name] = np.delete(tensors[name], layout.unused_row, 0)
    return result


def mismatch(wanted: Mapping[str, tuple], given: Mapping[str, tuple]) -> str:
    """'' or one line: which tensors are missing, unexpected or of another shape. Arguments: name -> shape."""
    missing = [name for name in wanted if name not in given]
    unexpected = [name for name in given if name not in wanted]
    other = [
        f"{name} {given[name]} instead of {wanted[name]}"
        for name in wanted
        if name in given and given[name] != wanted[name]
    ]
    parts = [("missing", missing), ("unexpected", unexpected), ("of other shape", other)]
    return "; ".join(f"{len(names)} {what} ({shortened(names)})" for what, names in parts if names)


def shortened(names: list[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
