"""Files of weights that were made to take all time or memory: one line, soon, and little memory."""

from __future__ import annotations

import io
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mindlift import limits
from mindlift.errors import CheckpointError
from mindlift.models.weights import files, torch_files
from tests.support import torch_writer as write
from tests.support.packed import little_memory, overlapping_zip

MIB = 1 << 20


BIG = np.zeros((1024, 1024), np.float32)
SIZE = write.name("torch", "Size")


def npz_of_zeros(path: Path) -> None:
    """200 KB that stand for 200 MB."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        head, {"descr": "<f4", "fortran_order": False, "shape": (200 * MIB // 4,)}
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("w.npy", "w") as out:
        out.write(head.getvalue())
        for _ in range(200):
            out.write(bytes(MIB))


def npz_of_brackets(path: Path) -> None:
    """A header of 9,000 opening brackets, which Python's parser goes into."""
    text = b"(" * 9000
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("w.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text)


def npz_of_bzip2(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("w.npy", bytes(100))


def views(path: Path) -> None:
    """600 transposed tensors of one storage of 4 MB: each is a copy."""
    entries = {f"w{n}": write.tensor(BIG, "0", strides=(1, 1024)) for n in range(600)}
    write.write_zip(path, write.mapping(entries), {"0": BIG})


def sizes(path: Path) -> None:
    """A list of 100,000 numbers, made a torch.Size 600 times."""
    body = b"](" + write.number(1) * 100_000 + b"eq\x01" + (SIZE + b"h\x01\x85R") * 600
    write.write_zip(path, body, {})


def one_byte(path: Path) -> None:
    write.write_zip(path, b"N" * 3_000_000, {})


def long_text(path: Path) -> None:
    write.write_zip(path, write.text("x" * (65 * MIB)), {})


def in_itself(path: Path) -> None:
    """A dict that is in itself under all names that trainings give to weights, beside 3,000 others."""
    names = [*torch_files.WRAPPERS, *map(str, range(3000))]
    body = b"}q\x00(" + b"".join(write.text(each) + b"h\x00" for each in names) + b"u"
    write.write_zip(path, body, {})


def safetensors_header(path: Path) -> None:
    path.write_bytes(struct.pack("<Q", 100 * MIB) + b"{" + b" " * MIB)
    os.truncate(path, 101 * MIB)


CASES: dict[str, tuple[Callable[[Path], object], str]] = {
    "x.npz": (npz_of_zeros, "take more than 67,108,864 bytes"),
    "brackets.npz": (npz_of_brackets, "damaged or cut short"),
    "bzip2.npz": (npz_of_bzip2, "packed as NumPy never does"),
    "overlap.npz": (lambda path: path.write_bytes(overlapping_zip("a.npy", "b.npy")), "overlap"),
    "overlap.pth": (lambda path: path.write_bytes(overlapping_zip("x/data.pkl", "x/data/0..")), "overlap"),
    "views.pth": (views, "take more than"),
    "sizes.pth": (sizes, "more than 300,000 instructions"),
    "one_byte.pth": (one_byte, "more than 300,000 instructions"),
    "long_text.pth": (long_text, "pickle has 68,157,4"),
    "in_itself.pth": (in_itself, "no dict of named tensors"),
    "header.safetensors": (safetensors_header, "header would have 104,857,600 bytes"),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", CASES)
def test_a_file_that_would_take_all_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(limits, "PICKLE_INSTRUCTIONS", 300_000)  # a tenth, as the files here are
    make, why = CASES[name]
    make(tmp_path / name)
    with little_memory(400 * MIB), pytest.raises(CheckpointError, match=why) as caught:
        files.read(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_tied_weights_and_slices_are_no_attack(tmp_path: Path) -> None:
    """An embedding that is the last layer too, and rows of one storage."""
    entries = {
        "first": write.tensor(BIG, "0"),
        "last": write.tensor(BIG, "0"),
        "turned": write.tensor(BIG, "0", strides=(1, 1024)),
    }
    stored = files.read(write.write_zip(tmp_path / "x.pth", write.mapping(entries), {"0": BIG}))
    assert {name: each.shape for name, each in stored.tensors.items()} == dict.fromkeys(entries, (1024, 1024))
