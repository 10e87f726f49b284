"""From the tensors of a file to those of a network: every one filled exactly once, or an error that says why. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mindlift.errors import CheckpointError, ConfigError
from mindlift.models.weights import prefixes
from mindlift.models.weights.layouts import (
    OURS,
    Layout,
    WeightMap,
    first_convolution,
    with_mindspore_norms,
)
from mindlift.models.weights.stored import Stored

OPTIMISER_STATE = (
    *("moments.", "moment.", "mean_square.", "mean_grad.", "loss_scale.", "accumulated."),
    "distillation.",  # which teacher there was
)
TRAINING_STATE = ("moment1.", "moment2.", "monitor.")  # of Adam and its kin; of evaluations while training
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
    "updates",
    "n_averaged",  # of PyTorch's AveragedModel
}
AVERAGE = "ema."  # of the names of a moving average


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
    said: tuple[str, ...] = ()

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: array.shape for name, array in self.tensors.items()}


def identified(
    stored: Stored, choices: Sequence[Mapping[str, WeightMap]], average: bool = True
) -> Known | None:
    """The first of `choices` that recognises the weights, by the names that they have without what wraps them."""
    origins, removed = plain_names(stored, average), prefixes_of(stored, average)
    while True:
        for families in choices:
            known = named_by(stored, families, origins)
            if known:
                said = [f"without the prefix '{prefix}'" for prefix in removed]
                return replace(known, said=(*stored.said, *said))
        prefix = prefixes.another(origins)
        if not prefix:
            return None
        removed = [*removed, prefix]
        origins = prefixes.without(origins, prefix)


def recognised(stored: Stored, families: Mapping[str, WeightMap], average: bool = True) -> Known | None:
    """`identified` by names as they are, but for the prefixes that wrappers give to all."""
    return named_by(stored, families, plain_names(stored, average))


def named_by(stored: Stored, families: Mapping[str, WeightMap], origins: Mapping[str, str]) -> Known | None:
    """Who wrote these weights, of which family; None if no weights.py of `families` knows them.

    A family whose whole network it is comes before one of which it is a part. `origins`: the name that is looked at ->
    the name in the file. CheckpointError if two tensors would be the same one here.
    """
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
    dropped = [name for name in renamed if name.startswith(layout.unused)]
    unused = tuple(sources.get(name, name) for name in dropped)
    renamed = {name: array for name, array in renamed.items() if name not in dropped}
    needs = {**layout.needs, **(noted(stored, families[family]) if layout.source == OURS else {})}
    used = {name: sources.get(name, name) for name in renamed}  # a part of a tensor has no name in the file
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
    names = chosen_names(stored, average)
    for prefix in prefixes_of(stored, average):
        names = prefixes.without(names, prefix)
    return names


def prefixes_of(stored: Stored, average: bool = True) -> list[str]:
    """What wrappers have put before the names of all tensors, outermost first."""
    return prefixes.of_wrappers(chosen_names(stored, average))


def chosen_names(stored: Stored, average: bool) -> dict[str, str]:
    """As plain_names, with prefixes."""
    names = with_mindspore_norms(stored.tensors)
    others = NOT_WEIGHTS if stored.form != "pytorch" else {"n_averaged"}
    states = (*OPTIMISER_STATE, *TRAINING_STATE) if stored.form != "pytorch" else ()
    names = {name: ours for name, ours in names.items() if name not in others and not name.startswith(states)}
    of_average = {name: ours[len(AVERAGE) :] for name, ours in names.items() if ours.startswith(AVERAGE)}
    raw = {name: ours for name, ours in names.items() if name not in of_average}
    names = of_average if of_average and (average or not raw) else raw
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
    return "null" if value is None else shown(value) if value != "" else "''"


def shown(value: object) -> str:
    if value is None or value == "":
        return "not set"
    return f"{value:g}" if isinstance(value, float) else str(value).lower()


def fitted(
    known: Known, wanted: Mapping[str, tuple[int, ...]], without: Collection[str], where: str
) -> dict[str, np.ndarray]:
    """The tensors for a network whose names and shapes are `wanted`; CheckpointError unless they fill it.

    But for those in `without`, and those that the source lacks.
    """
    given = {name: array for name, array in known.tensors.items() if name not in without}
    given = without_unused_row(known.layout, given, wanted)
    layout = known.layout
    left = {
        name
        for name in wanted
        if name in without or name in layout.constants or name.startswith(layout.lacks)
    }
    problem = mismatch(
        {name: tuple(shape) for name, shape in wanted.items() if name not in left},
        {name: array.shape for name, array in given.items()},
    )
    if problem:
        raise CheckpointError(
            f"{where} ({known.layout.source}) does not fit this network:"
            f" {other_head(known.layout, given, wanted) or problem}"
        )
    return given


def check_values(tensors: Mapping[str, np.ndarray], origins: Mapping[str, str], where: str) -> None:
    """CheckpointError for values that no training leaves behind.

    Of NaN a ReLU on a CPU makes zeros, and figures look fine; integers are what a quantised file has without its scales.
    """
    integers = [name for name, array in tensors.items() if array.dtype.kind != "f"]
    endless = [name for name in tensors if name not in integers and not np.isfinite(tensors[name]).all()]
    for odd, what in ((endless, "NaN or infinity"), (integers, "integers, not floating point numbers")):
        if odd:
            holds = "1 tensor holds" if len(odd) == 1 else f"{len(odd)} tensors hold"
            names = shortened([origins.get(name, name) for name in odd])
            raise CheckpointError(
                f"{where}: {holds} {what} ({names}); --allow_nan true takes them all the same"
            )


def other_head(layout: Layout, given: Mapping[str, np.ndarray], wanted: Mapping[str, tuple[int, ...]]) -> str:
    """What to do if a head of another number of classes is all that does not fit, else ''."""
    head = layout.head()
    rows = {name: (len(given[name]), wanted[name][0]) for name in head if name in given and name in wanted}
    body = [
        {name: tuple(shape) for name, shape in shapes.items() if name not in head}
        for shapes in (wanted, {name: array.shape for name, array in given.items()})
    ]
    if not rows or len(rows) < len(head) or len(set(rows.values())) > 1 or mismatch(*body):
        return ""
    have, need = rows[head[0]]
    return (
        f"its classifier has {have} classes, this network's {need}; pass --filter_head true to start with a new one, or"
        f" --num_classes {have}"
    )


def without_unused_row(
    layout: Layout, tensors: Mapping[str, np.ndarray], wanted: Mapping[str, tuple[int, ...]]
) -> dict[str, np.ndarray]:
    """A 1001-way head for 1000 classes, without the row that the source has no class for."""
    result, unused = dict(tensors), layout.unused_row
    if unused is None:
        return result
    for name in layout.head():
        rows = (
            (len(tensors[name]), *wanted.get(name, ())[:1]) if name in tensors and tensors[name].ndim else ()
        )
        if rows == (1001, 1000):
            result[name] = np.delete(tensors[name], unused, 0)
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
    return ", ".join(sorted(names)[:most]) + (", ..." if len(names) > most else "")
