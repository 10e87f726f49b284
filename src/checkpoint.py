"""Checkpoints: written whole or not at all, listed in a manifest, loaded strictly.

A file is complete when `manifest.jsonl` names it: it is written to a `.part` folder, fsynced, renamed,
and only then does a line with its size and SHA-256 follow. What a directory listing shows beyond the
manifest is not looked at.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from src.model_utils.checkpoint_manifest import (
    MANIFEST,
    SUFFIX,
    Saved,
    file_sha256,
    listed,
    plan_prune,
)
from src.model_utils.errors import CheckpointError, StorageError
from src.model_utils.run_paths import append_line

if TYPE_CHECKING:  # what is wrong with a path is found before mindspore is imported
    import mindspore as ms
    import numpy as np

OPTIMISER_STATE = ("moments.", "moment.", "mean_square.", "mean_grad.", "loss_scale.", "accumulated.")
NOT_WEIGHTS = {
    "learning_rate", "momentum", "global_step", "epoch_num", "step_num", "scale_sense", "seed",
    "current_iterator_step", "last_overflow_iterator_step",
}  # fmt: skip


def save(
    folder: Path, name: str, parameters: Iterable[ms.Parameter], step: int, steps_per_epoch: int, seed: int
) -> Path:
    """Write `folder`/`name`-<epoch>_<step in epoch>.ckpt and its manifest line; returns the file.

    Raises StorageError when the folder is full or can't be written; what was there before stays.
    """
    import mindspore as ms

    epoch, in_epoch = (step - 1) // steps_per_epoch + 1, (step - 1) % steps_per_epoch + 1
    target = folder / f"{name}-{epoch}_{in_epoch}{SUFFIX}"
    part = folder / f".{target.stem}.{os.getpid()}.part"
    entries = [{"name": parameter.name, "data": parameter} for parameter in parameters]
    extra = {"epoch_num": step // steps_per_epoch, "step_num": step, "seed": seed}
    try:
        part.mkdir(parents=True, exist_ok=True)
        written = part / target.name
        with no_log():
            ms.save_checkpoint(entries, str(written), append_dict=extra)
        os.chmod(written, 0o644)
        sync(written)
        saved = Saved(
            target.name, step // steps_per_epoch, step, steps_per_epoch, seed,
            written.stat().st_size, file_sha256(written), time.time(),
        )  # fmt: skip
        os.replace(written, target)
        sync(folder)
    except (OSError, RuntimeError, ValueError) as err:
        reason = (
            err.strerror if isinstance(err, OSError) and err.strerror else str(err).strip().splitlines()[0]
        )
        raise StorageError(
            f"can't save checkpoint {target}: {reason}; earlier checkpoints are unharmed"
        ) from err
    finally:
        shutil.rmtree(part, ignore_errors=True)
    append_line(folder / MANIFEST, asdict(saved))
    return target


@contextlib.contextmanager
def no_log() -> Generator[None, None, None]:
    """Without log lines: mindspore would log a failure that it raises as well."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def sync(path: Path) -> None:
    """fsync a file or a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def prune(folder: Path, keep: int) -> None:
    for saved in plan_prune(listed(folder), keep):
        (folder / saved.file).unlink(missing_ok=True)


def read(path: Path) -> dict[str, ms.Parameter]:
    """All tensors of a checkpoint file; raises CheckpointError if it is missing or damaged."""
    check_file(path)
    import mindspore as ms

    try:
        with no_log():
            return ms.load_checkpoint(str(path))
    except (ValueError, TypeError, RuntimeError) as err:
        raise CheckpointError(f"can't read checkpoint {path}: damaged or not a MindSpore checkpoint") from err


def check_file(path: Path) -> None:
    if not path.is_file():
        raise CheckpointError(f"no such checkpoint: {path}")
    if path.suffix != SUFFIX:
        raise CheckpointError(f"{path} is not a {SUFFIX} file of MindSpore")


def weights_of(tensors: Mapping[str, ms.Parameter], rename: Callable[[str], str]) -> dict[str, np.ndarray]:
    """Network tensors by this network's names: optimiser state left out, `rename` applied."""
    return {
        rename(name): tensor.asnumpy()
        for name, tensor in tensors.items()
        if name not in NOT_WEIGHTS and not name.startswith(OPTIMISER_STATE)
    }


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


def load_weights(
    path: Path,
    network: ms.nn.Cell,
    rename: Callable[[str], str] = lambda name: name,
    without: tuple[str, ...] = (),
) -> None:
    """Fill every tensor of `network` but those in `without` from the file; raises CheckpointError otherwise."""
    import mindspore as ms

    parameters = {name: p for name, p in network.parameters_dict().items() if name not in without}
    given = {name: array for name, array in weights_of(read(path), rename).items() if name not in without}
    problem = mismatch(
        {n: tuple(p.shape) for n, p in parameters.items()}, {n: tuple(a.shape) for n, a in given.items()}
    )
    if problem:
        raise CheckpointError(f"{path} does not fit this network: {problem}")
    for name, parameter in parameters.items():
        parameter.set_data(ms.Tensor(given[name], parameter.dtype))


def restore(path: Path, parameters: Iterable[ms.Parameter]) -> int:
    """Continue from a checkpoint: fill exactly `parameters`, return the number of optimiser steps done."""
    import mindspore as ms

    tensors = read(path)
    if "step_num" not in tensors:
        raise CheckpointError(
            f"{path} holds no training state, only weights; pass it as --pretrained instead of --resume"
        )
    step = int(tensors["step_num"].asnumpy())
    wanted = {parameter.name: parameter for parameter in parameters}
    given = {
        name: tensor for name, tensor in tensors.items() if name not in ("epoch_num", "step_num", "seed")
    }
    problem = mismatch(
        {n: tuple(p.shape) for n, p in wanted.items()}, {n: tuple(t.shape) for n, t in given.items()}
    )
    if problem:
        raise CheckpointError(f"{path} does not fit this training: {problem}")
    for name, parameter in wanted.items():
        parameter.set_data(ms.Tensor(given[name].asnumpy(), parameter.dtype))
    return step


def candidates(path: Path) -> list[Path]:
    """The checkpoints that `--pretrained` names: a file, or all of a folder or run folder, newest first."""
    if not path.is_dir():
        return [path]
    folder = path / "checkpoints" if (path / "checkpoints").is_dir() else path
    files = [folder / saved.file for saved in reversed(listed(folder))]
    if not files:
        files = sorted(folder.glob(f"*{SUFFIX}"), key=lambda file: file.stat().st_mtime, reverse=True)
    if not files:
        raise CheckpointError(f"no {SUFFIX} files in {path}")
    return files
