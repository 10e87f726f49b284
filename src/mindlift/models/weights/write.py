"""Writes weights: whole or not at all."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Mapping

import numpy as np

from mindlift.files import atomic_path
from mindlift.models.weights.files import note_of
from mindlift.models.weights.mindspore_files import no_log
from mindlift.models.weights.stored import NETWORK

Tensors = Mapping[str, np.ndarray]


def write_whole(target: Path, write: Callable[[Path], None], what: str, advice: str = "") -> None:
    """Let `write` make a file of the name of `target` elsewhere, and move that there once it is on the disk.

    Raises StorageError `can't save <what> <target>: ...` when the folder is full or can't be written; what was at
    `target` before stays.
    """
    with contextlib.suppress(OSError):  # the file can't be written then, which is said
        target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(target, f"can't save {what} {target}", advice) as part:
        try:
            write(part)
        except (RuntimeError, ValueError) as err:  # mindspore's
            raise OSError(str(err).strip().splitlines()[0]) from err
        part.chmod(0o644)


def write_weights(target: Path, tensors: Tensors, network: Mapping[str, object]) -> None:
    """A .ckpt of MindSpore or a .safetensors, by the suffix of `target`, with a note of the network's options."""
    write = write_safetensors if target.suffix == ".safetensors" else write_ckpt
    write_whole(target, lambda path: write(path, tensors, network), "weights")


def write_ckpt(path: Path, tensors: Tensors, network: Mapping[str, object]) -> None:
    import mindspore as ms

    entries = [{"name": name, "data": ms.Tensor(array)} for name, array in tensors.items()]
    with no_log():
        ms.save_checkpoint(entries, str(path), append_dict=note_of(network))


def write_safetensors(path: Path, tensors: Tensors, network: Mapping[str, object]) -> None:
    from safetensors.numpy import save_file

    contiguous = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    save_file(contiguous, str(path), metadata={NETWORK: json.dumps(network)})
