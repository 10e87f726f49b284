"""One way in for files of weights: what a file is, is seen by its content and not by its name."""

from __future__ import annotations

from pathlib import Path

from src.model_utils.errors import CheckpointError
from src.weights import mindspore_files, torch_files
from src.weights.stored import BFLOAT16, NETWORK, Stored, flat, network_of

FORMS = "a .ckpt of MindSpore, a .pth of PyTorch or a .safetensors file"
SAFE_TYPES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": BFLOAT16, "I64": "int64", "I32": "int32",
    "I16": "int16", "I8": "int8", "U8": "uint8", "BOOL": "bool",
}  # fmt: skip


def read(path: Path) -> Stored:
    """All tensors of a file; CheckpointError in one line if it is missing, damaged, or of another kind."""
    readers = {
        "zip": torch_files.read_zip, "legacy": torch_files.read_legacy, "safetensors": read_safetensors,
        "mindspore": mindspore_files.read_arrays,
    }  # fmt: skip
    form = form_of(path)
    try:
        return readers[form](path)
    except CheckpointError as err:
        raise CheckpointError(f"can't read weights {path}: {err}") from err
    except OSError as err:
        raise CheckpointError(f"can't read weights {path}: {err.strerror or err}") from err


def form_of(path: Path) -> str:
    """zip, legacy, safetensors or mindspore, from the first bytes; CheckpointError if it is none of these."""
    if not path.is_file():
        raise CheckpointError(f"no such checkpoint: {path}")
    with open(path, "rb") as file:
        start = file.read(64)
    if start.startswith(b"PK\x03\x04"):
        return "zip"
    if start.startswith(torch_files.LEGACY_START):
        return "legacy"
    if is_safetensors(start, path.stat().st_size):
        return "safetensors"
    if start.startswith(b"\n"):  # the tag of the first field of a protocol buffer
        return "mindspore"
    raise CheckpointError(f"{path} is {guess(start)}; expected {FORMS}")


def is_safetensors(start: bytes, size: int) -> bool:
    return 8 < int.from_bytes(start[:8], "little") + 8 <= size and start[8:9] == b"{"


def guess(start: bytes) -> str:
    """What a file that holds no weights may be."""
    if not start:
        return "empty"
    if start.startswith(b"version https://git-lfs"):
        return "a pointer of Git LFS, not the file itself (git lfs pull fetches it)"
    if start.lstrip()[:1] == b"<":
        return "a page of HTML or XML, perhaps of a failed download"
    if start.startswith(b"\x80"):
        return "a pickle, but not one of torch.save"
    if start.startswith((b"\x1f\x8b", b"\xfd7zXZ", b"BZh")) or start[57:] == b"ustar":
        return "a packed archive"
    return "not a file of weights, or cut short"


def read_safetensors(path: Path) -> Stored:
    import safetensors

    try:
        found = safetensors.deserialize(path.read_bytes())
        with safetensors.safe_open(str(path), framework="np") as file:
            notes = file.metadata() or {}
    except safetensors.SafetensorError as err:
        raise CheckpointError(f"it is damaged or cut short: {err}") from err
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
