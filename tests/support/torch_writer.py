"""Writes .pth files instruction by instruction, good and hostile ones. PyTorch itself is not needed for it."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import numpy as np

STORAGES = {"float32": "FloatStorage", "int64": "LongStorage"}
EMPTY_TUPLE, TRUE_END = b")", b"."


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def items(*parts: bytes) -> bytes:
    """A tuple."""
    return b"(" + b"".join(parts) + b"t"


def name(module: str, attribute: str) -> bytes:
    return f"c{module}\n{attribute}\n".encode()


def mapping(entries: dict[str, bytes]) -> bytes:
    return b"}(" + b"".join(text(key) + value for key, value in entries.items()) + b"u"


def tensor(array: np.ndarray, key: str, rebuild: str = "_rebuild_tensor_v2", **changes) -> bytes:
    """`array` as the whole of storage `key`; `changes` are a wrong count, offset, shape, strides or storage type."""
    strides = [step // array.itemsize for step in array.strides]
    kind = name("torch", changes.get("kind", STORAGES[array.dtype.name]))
    storage = (
        items(text("storage"), kind, text(key), text("cpu"), number(changes.get("count", array.size))) + b"Q"
    )
    parts = [
        storage,
        number(changes.get("offset", 0)),
        items(*map(number, changes.get("shape", array.shape))),
        items(*map(number, changes.get("strides", strides))),
    ]
    if rebuild == "_rebuild_tensor_v2":
        parts += [b"\x89", b"}"]
    return name("torch._utils", rebuild) + items(*parts) + b"R"


def old_parameter(data: bytes) -> bytes:
    """As Parameters were pickled before PyTorch 0.4: torch/_tensor.py, `__setstate__`, still reads it."""
    return (
        name("torch.nn.parameter", "Parameter")
        + EMPTY_TUPLE
        + b"\x81"
        + items(data, b"N", b"}", b"\x88", b"\x89")
        + b"b"
    )


def pickled(body: bytes) -> bytes:
    return b"\x80\x02" + body + TRUE_END


def write_zip(
    path: Path,
    body: bytes,
    storages: dict[str, np.ndarray],
    compress: int = zipfile.ZIP_STORED,
    **more: bytes,
) -> Path:
    with zipfile.ZipFile(path, "w", compress) as archive:
        archive.writestr("net/data.pkl", pickled(body))
        for key, array in storages.items():
            archive.writestr(f"net/data/{key}", array.tobytes())
        for entry, content in more.items():
            archive.writestr(f"net/{entry}", content)
    return path


def write_state(path: Path, tensors: dict[str, np.ndarray]) -> Path:
    """A plain state dict in the zip format."""
    body = mapping({key: tensor(array, str(i)) for i, (key, array) in enumerate(tensors.items())})
    return write_zip(path, body, {str(i): array for i, array in enumerate(tensors.values())})


def write_legacy(
    path: Path, body: bytes, storages: dict[str, np.ndarray], little: bool = True, version: int = 1001
) -> Path:
    magic = b"\x8a\x0a" + (0x1950A86A20F9469CFC6C).to_bytes(10, "little")
    facts = mapping({"little_endian": b"\x88" if little else b"\x89"})
    keys = b"](" + b"".join(map(text, storages)) + b"e"
    content = b"".join(map(pickled, (magic, number(version), facts, body, keys)))
    content += b"".join(struct.pack("<q", array.size) + array.tobytes() for array in storages.values())
    path.write_bytes(content)
    return path
