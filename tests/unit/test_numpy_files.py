"""Weights in .npz files: what NumPy writes is read, and nothing else is believed."""

from __future__ import annotations

import io
import random
import resource
import zipfile
from pathlib import Path

import numpy as np
import pytest

from mindlift.errors import CheckpointError
from mindlift.models.weights import files

ARRAYS = {
    "resnet/block1/unit01/a/kernel": np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4),
    "resnet/fortran": np.asfortranarray(np.arange(6, dtype=np.float64).reshape(2, 3)),
    "half": np.arange(5, dtype=np.float16),
    "big_endian": np.arange(5, dtype=">f4"),
    "scalar": np.array(2.5, np.float32),
    "empty": np.zeros((0, 3), np.float32),
    "whole": np.arange(4),
}


def member(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def archive(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_what_numpy_writes_is_read_under_any_name(save, tmp_path):
    save(tmp_path / "x.npz", **ARRAYS)
    (tmp_path / "x.npz").rename(tmp_path / "weights.bin")
    stored = files.read(tmp_path / "weights.bin")
    assert stored.form == "numpy"
    assert stored.tensors.keys() == ARRAYS.keys()
    for name, value in ARRAYS.items():
        np.testing.assert_array_equal(
            stored.tensors[name], value.astype(value.dtype.newbyteorder("=")), strict=True
        )
        assert stored.tensors[name].flags.c_contiguous


HEADER = member(ARRAYS["half"])
HOSTILE = {
    "objects": ({"a.npy": member(np.array([print], object))}, "object"),
    "text": ({"a.npy": member(np.array(["x"]))}, "array of str"),
    "more than there is": ({"a.npy": HEADER.replace(b"(5,)", b"(9,)")}, "bytes for the shape"),
    "far more than there is": (
        {"a.npy": HEADER.replace(b"(5,), }             ", b"(99999999999999,), }")},
        "bytes for the shape",
    ),
    "less than there is": ({"a.npy": HEADER.replace(b"(5,)", b"(4,)")}, "bytes for the shape"),
    "no array": ({"a.npy": b"hello"}, "damaged"),
    "another version": ({"a.npy": b"\x93NUMPY\x09\x00" + HEADER[8:]}, "version 9.0"),
    "a header that is a call": (
        {"a.npy": HEADER.replace(b"{'descr': '<f2'", b"__import__('os')")},
        "damaged",
    ),
    "another member": ({"a.npy": HEADER, "b.txt": b"x"}, r"'b\.txt'"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_file_that_claims_something_else_is_one_line(case, tmp_path):
    members, expected = HOSTILE[case]
    with pytest.raises(CheckpointError, match=expected) as found:
        files.read(archive(tmp_path / "x.npz", members))
    assert "\n" not in str(found.value)
    assert "x.npz" in str(found.value)


def test_two_arrays_of_one_name(tmp_path):
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(tmp_path / "x.npz", "w") as file:
        for _ in range(2):
            file.writestr("a.npy", HEADER)
    with pytest.raises(CheckpointError, match="two arrays of one name"):
        files.read(tmp_path / "x.npz")


def outcome(path: Path) -> str:
    """What is wrong with a file, '' if nothing is."""
    try:
        files.read(path)
    except CheckpointError as err:
        return str(err)
    return ""


@pytest.mark.parametrize("seed", range(4))
def test_cut_and_changed_files_are_one_line_or_read(seed, tmp_path):
    """Never another exception, whatever byte is changed and wherever the file ends."""
    np.savez(tmp_path / "x.npz", **ARRAYS)
    whole, rng = (tmp_path / "x.npz").read_bytes(), random.Random(seed)
    read = 0
    for _ in range(250):
        content = bytearray(whole)
        if rng.random() < 0.3:
            del content[rng.randrange(len(content)) :]
        for _ in range(rng.randrange(3)):
            if content:
                content[rng.randrange(len(content))] = rng.randrange(256)
        (tmp_path / "y.npz").write_bytes(content)
        message = outcome(tmp_path / "y.npz")
        read += not message
        assert "\n" not in message
    assert 0 < read < 250


def test_reading_needs_little_more_than_the_numbers(tmp_path):
    """One array at a time is held twice, not the file."""
    arrays = {f"a{i}": np.zeros(2_000_000, np.float32) for i in range(25)}  # 200 MB
    np.savez(tmp_path / "x.npz", **arrays)
    del arrays
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    stored = files.read(tmp_path / "x.npz")
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1000
    assert sum(value.nbytes for value in stored.tensors.values()) == 200_000_000
    assert grown < 300
