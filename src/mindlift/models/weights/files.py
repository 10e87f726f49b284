"""One way in for files of weights: what a file is, is seen by its content and not by its name."""

from __future__ import annotations

import json
import os
import reprlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mindlift import limits
from mindlift.errors import CheckpointError
from mindlift.models.weights import numpy_files, torch_files
from mindlift.models.weights.forms import form_of
from mindlift.models.weights.mindspore_files import read as read_entries
from mindlift.models.weights.stored import BFLOAT16, NETWORK, Stored, flat, network_of
from mindlift.sanitize import single_line

if TYPE_CHECKING:
    import mindspore as ms

LONGEST_NAME = 500
SAFE_TYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": BFLOAT16,
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}


def read(path: Path) -> Stored:
    """All tensors of a file; CheckpointError in one line if it is missing, damaged, or of another kind."""
    readers = {
        "zip": torch_files.read_zip,
        "npz": numpy_files.read_npz,
        "legacy": torch_files.read_legacy,
        "safetensors": read_safetensors,
        "mindspore": read_mindspore,
    }
    form = form_of(path)
    try:
        stored = readers[form](path)
        odd = [name for name in stored.tensors if not name.isprintable() or len(name) > LONGEST_NAME]
        if odd:
            raise CheckpointError(f"it has a tensor named {reprlib.repr(odd[0])}")
        return stored
    except Exception as err:  # of decoders that get any bytes: a dozen classes
        raise CheckpointError(f"can't read weights {path}: {message_of(err):.{LONGEST_NAME}}") from err


def message_of(err: Exception) -> str:
    """What an error says in one line."""
    if isinstance(err, MemoryError):
        return "it takes more memory than this machine has"
    text = single_line(" ".join(str(err).split()))
    if isinstance(err, CheckpointError):
        return text
    if isinstance(err, OSError) and err.strerror:
        return err.strerror
    return f"it is damaged or cut short ({type(err).__name__}: {text})"


def read_safetensors(path: Path) -> Stored:
    import safetensors

    with open(path, "rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        if length > limits.SAFETENSORS_HEADER_BYTES:
            raise CheckpointError(
                f"its header would have {length:,} bytes, more than {limits.SAFETENSORS_HEADER_BYTES:,}"
            )
    found = safetensors.deserialize(path.read_bytes())
    with safetensors.safe_open(str(path), framework="np") as file:
        notes = file.metadata() or {}
    tensors, types = {}, {}
    for name, entry in found:
        kind = SAFE_TYPES.get(entry["dtype"])
        if kind is None:
            raise CheckpointError(
                f"tensor {name} is of type {entry['dtype']}; known are {', '.join(SAFE_TYPES)}"
            )
        tensors[name] = flat(entry["data"], kind).reshape(entry["shape"])
        if kind == BFLOAT16:
            types[name] = BFLOAT16
    return Stored("safetensors", tensors, types, network_of(notes.get(NETWORK)))


def read_mindspore(path: Path) -> Stored:
    """MindSpore goes by the suffix: a file of another name is read through a link."""
    if path.suffix == ".ckpt":
        return as_stored(read_entries(path))
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / "weights.ckpt"
        try:
            os.link(path.resolve(), link)
        except OSError:  # on another disk
            os.symlink(path.resolve(), link)
        return as_stored(read_entries(link))


def as_stored(entries: Mapping[str, ms.Tensor]) -> Stored:
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
