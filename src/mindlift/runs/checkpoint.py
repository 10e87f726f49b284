"""Checkpoints: written whole or not at all, listed in a manifest, loaded strictly.

A file is complete when `manifest.jsonl` names it: it is written to a `.part` folder, fsynced, renamed,
and only then does a line with its size and SHA-256 follow. What a directory listing shows beyond the
manifest is not looked at.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mindlift import models
from mindlift.errors import CheckpointError
from mindlift.files import append_line, remove_file
from mindlift.models.weights.mindspore_files import no_log, read
from mindlift.runs.manifest import MANIFEST, SUFFIX, Saved, file_sha256, listed, to_keep
from mindlift.runs.sums import check_sum

if TYPE_CHECKING:  # what is wrong with a path is found before mindspore and numpy are imported
    import mindspore as ms

    from mindlift.models.weights.fit import Known
    from mindlift.models.weights.stored import Stored


# How a training stands by its evaluations: of what a checkpoint holds, what options may add or leave out on the way.
MONITOR = "monitor."


@dataclass(frozen=True)
class TrainingInfo:
    """Which training a checkpoint is of: the net's `name`, and the options that decide what its weights compute.

    A `network` with other options refuses the weights.
    """

    name: str
    steps_per_epoch: int
    seed: int
    network: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class LoadOptions:
    """What to take of a file of weights: for `average` and `channels` see known_weights; nothing for `without`.

    `allow_nan`: values that are no weights are taken too, see fit.check_values.
    """

    without: Collection[str] = ()
    average: bool = True
    channels: str = "auto"
    allow_nan: bool = False


def save(folder: Path, parameters: Iterable[ms.Parameter], step: int, training: TrainingInfo) -> Path:
    """Write `folder`/<name>-<epoch>_<step in epoch>.ckpt and its manifest line; returns the file.

    Raises StorageError when the folder is full or can't be written; what was there before stays.
    """
    import mindspore as ms

    from mindlift.models.weights.files import note_of
    from mindlift.models.weights.write import write_whole

    steps_per_epoch, seed = training.steps_per_epoch, training.seed
    epoch, in_epoch = (step - 1) // steps_per_epoch + 1, (step - 1) % steps_per_epoch + 1
    target = folder / f"{training.name}-{epoch}_{in_epoch}{SUFFIX}"
    entries = [{"name": parameter.name, "data": parameter} for parameter in parameters]
    extra: dict[str, object] = {"epoch_num": step // steps_per_epoch, "step_num": step, "seed": seed}
    extra.update(note_of(training.network))

    def write(path: Path) -> None:
        with no_log():
            ms.save_checkpoint(entries, str(path), append_dict=extra)

    write_whole(target, write, "checkpoint", "; earlier checkpoints are unharmed")
    saved = Saved(
        target.name,
        step // steps_per_epoch,
        step,
        steps_per_epoch,
        seed,
        target.stat().st_size,
        file_sha256(target),
        time.time(),
    )
    append_line(folder / MANIFEST, asdict(saved))
    return target


def prune(folder: Path, keep: int, best: int = 0) -> None:
    """Delete all checkpoints but the newest `keep` and the `best` ones."""
    saved = listed(folder)
    kept = to_keep(saved, keep, best)
    for each in saved:
        if each not in kept:
            remove_file(each.path(folder))


def add_score(folder: Path, step: int, metric: str, score: float) -> bool:
    """Note in the manifest what an evaluation of the checkpoint after `step` gave; whether there is that checkpoint."""
    found = next((each for each in listed(folder) if each.step == step), None)
    if found is not None and (found.metric, found.score) != (metric, score):
        append_line(folder / MANIFEST, asdict(replace(found, metric=metric, score=score)))
    return found is not None


def load_weights(
    path: Path,
    network: ms.nn.Cell,
    family: str,
    values: Mapping[str, object],
    options: LoadOptions | None = None,
) -> Known:
    """Fill every tensor of `network` but those in `options.without` from a file of any source that `family` knows.

    A source that is only a part of the network, such as its backbone, leaves the rest as it is: `layout.lacks` of what
    is returned. `values` are the options that the network was built with. Raises CheckpointError, or ConfigError if the
    weights were made with other options.
    """
    import mindspore as ms

    from mindlift.models.weights import fit

    options = options or LoadOptions()
    parameters = network.parameters_dict()
    known = known_weights(path, family, options.average, options.channels)
    fit.check_needs(known.needs, values, str(path), known.layout.source)
    given = fit.fitted(known, {name: p.shape for name, p in parameters.items()}, options.without, str(path))
    if not options.allow_nan:
        fit.check_values(given, known.origins, str(path))
    for name, array in given.items():
        parameters[name].set_data(ms.Tensor(array, parameters[name].dtype))
    return known


def known_weights(path: Path, family: str = "", average: bool = True, channels: str = "auto") -> Known:
    """The weights of a file whose source is known; CheckpointError if none is, or if they are not of `family`.

    Of a file with a moving average and the weights, `average` says which. `channels` is the order of the colours that
    they were trained on: rgb, bgr, or auto for what is known of the source; here they are for rgb.
    """
    from mindlift.models.weights import fit

    maps = models.weight_maps()
    stored = read_stored(path)
    try:
        own = {family: models.weight_map(family)} if family else maps
        known = fit.identified(stored, (own, maps), average)
    except CheckpointError as err:
        raise CheckpointError(f"{path}: {err}") from err
    if known is None:
        names = fit.shortened(list(stored.tensors))
        raise CheckpointError(
            f"{path}: no known source of weights has tensors named {names}; see docs/weights.md"
        )
    if family not in ("", known.family):
        raise CheckpointError(
            f"{path} has weights of {known.family} ({known.layout.source}), not of {family}; see --net"
        )
    try:
        return fit.as_rgb(known, channels)
    except CheckpointError as err:
        raise CheckpointError(f"{path}: {err}") from err


def read_stored(path: Path) -> Stored:
    """All tensors of a file; CheckpointError if it is damaged, as far as it or a manifest beside it shows that."""
    from mindlift.models.weights import files, forms

    forms.form_of(path)  # says what it is instead
    check_sum(path)
    return files.read(path)


def read_state(path: Path) -> tuple[dict[str, ms.Parameter], int]:
    """All tensors of a checkpoint, and the number of optimiser steps done; CheckpointError for a file of weights alone."""
    if path.is_file():
        check_sum(path)
    tensors = read(path)
    if "step_num" not in tensors:
        raise CheckpointError(
            f"{path} holds no training state, only weights; pass it as --pretrained instead of --resume"
        )
    return tensors, int(tensors["step_num"].asnumpy())


def step_of(path: Path) -> int:
    """The number of optimiser steps done."""
    return read_state(path)[1]


def restore(path: Path, parameters: Iterable[ms.Parameter]) -> int:
    """Continue from a checkpoint: fill exactly `parameters`, return the number of optimiser steps done.

    Those of MONITOR stay as they are where the file has none, and are left there where they are not wanted.
    """
    import mindspore as ms

    from mindlift.models.weights.fit import mismatch
    from mindlift.models.weights.stored import NETWORK

    tensors, step = read_state(path)
    wanted = {each.name: each for each in parameters if each.name in tensors or not is_optional(each.name)}
    given = {
        name: tensor
        for name, tensor in tensors.items()
        if name not in ("epoch_num", "step_num", "seed", NETWORK)
        and (name in wanted or not is_optional(name))
    }
    problem = mismatch(
        {n: tuple(p.shape) for n, p in wanted.items()}, {n: tuple(t.shape) for n, t in given.items()}
    )
    if problem:
        raise CheckpointError(f"{path} does not fit this training: {problem}")
    for name, parameter in wanted.items():
        parameter.set_data(ms.Tensor(given[name].asnumpy(), parameter.dtype))
    return step


def is_optional(name: str) -> bool:
    return name.startswith(MONITOR)
