"""Writes weights: whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from mindlift.errors import StorageError
from mindlift.files import sync
from mindlift.models.weights.files import note_of
from mindlift.models.weights.mindspore_files import no_log
from mindlift.models.weights.stored import NETWORK

Tensors = Mapping[str, np.ndarray]


def write_whole(target: Path, write: Callable[[Path], None], what: str, advice: str = "") -> None:
    """Let `write` make a file of the name of `target` beside it, and move that there once it is on the disk.

    Raises StorageError `can't save <what> <target>: ...` when the folder is full or can't be written; what was at
    `target` before stays.
    """
    part = target.parent / f".{target.stem}.{os.getpid()}.part"
    try:
        part.mkdir(parents=True, exist_ok=True)
        written = part / target.name
        write(written)
        os.chmod(written, 0o644)
        sync(written)
        os.replace(written, target)
        sync(target.parent)
    except (OSError, RuntimeError, ValueError) as err:
        reason = (
            err.strerror if isinstance(err, OSError) and err.strerror else str(err).strip().splitlines()[0]
        )
        raise StorageError(f"can't save {what} {target}: {reason}{advice}") from err
    finally:
        shutil.rmtree(part, ignore_errors=True)


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
