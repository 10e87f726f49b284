"""MindSpore's checkpoints, .ckpt."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import tempfile
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from src.model_utils.errors import CheckpointError
from src.weights.stored import BFLOAT16, NETWORK, Stored, network_of

if TYPE_CHECKING:
    import mindspore as ms


@contextlib.contextmanager
def no_log() -> Generator[None, None, None]:
    """Without log lines: mindspore would log a failure that it raises as well."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def read(path: Path) -> dict[str, ms.Parameter]:
    """All entries of a checkpoint file; raises CheckpointError if it is missing or damaged."""
    if not path.is_file():
        raise CheckpointError(f"no such checkpoint: {path}")
    import mindspore as ms

    try:
        with no_log():
            return ms.load_checkpoint(str(path))
    except (ValueError, TypeError, RuntimeError) as err:
        raise CheckpointError(f"can't read checkpoint {path}: damaged or not a MindSpore checkpoint") from err


def read_arrays(path: Path) -> Stored:
    """MindSpore goes by the suffix: a file of another name is read through a link."""
    if path.suffix == ".ckpt":
        return as_stored(read(path))
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / "weights.ckpt"
        try:
            os.link(path.resolve(), link)
        except OSError:  # on another disk
            os.symlink(path.resolve(), link)
        return as_stored(read(link))


def as_stored(entries: dict[str, Any]) -> Stored:
    """Parameters as arrays; texts that somebody added are no tensors."""
    parameters = {
        name: value for name, value in entries.items() if hasattr(value, "asnumpy") and name != NETWORK
    }
    types = {name: BFLOAT16 for name, value in parameters.items() if "bfloat16" in str(value.dtype).lower()}
    tensors = {
        name: np.asarray((value.float() if name in types else value).asnumpy())
        for name, value in parameters.items()
    }
    note = bytes(entries[NETWORK].asnumpy()).decode("utf-8", "replace") if NETWORK in entries else None
    return Stored("mindspore", tensors, types, network_of(note))


def note_of(network: Mapping[str, object]) -> dict[str, ms.Tensor]:
    """The entry that says for which network a checkpoint is: JSON as bytes, for tools that expect tensors only."""
    import mindspore as ms

    text = json.dumps(network).encode()
    return {NETWORK: ms.Tensor(np.frombuffer(text, np.uint8).copy())} if network else {}
