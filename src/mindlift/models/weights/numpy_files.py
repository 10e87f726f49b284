"""NumPy's .npz files, in which Google publishes BigTransfer: a zip archive with one .npy file per array.

Read member by member instead of by numpy.load, which would make room for what a header claims before it looks at what
there is. Arrays of Python objects, which are pickles, are refused.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from mindlift import limits
from mindlift.backports import prod
from mindlift.errors import CheckpointError
from mindlift.models.weights.stored import DEEPEST, WIDTHS, Budget, Stored, check_members

SUFFIX = ".npy"
LONGEST_HEADER = 10_000  # bytes; NumPy's own limit


def read_npz(path: Path) -> Stored:
    """All arrays by the names of their members. CheckpointError if it holds something else, or would take more than it has."""
    size = path.stat().st_size
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        check_members(members, size)
        Budget(size, limits.WEIGHTS_COMPRESSED_RATIO).take(sum(info.file_size for info in members))
        names = [stem_of(info) for info in members]
        if len(set(names)) < len(names):
            raise CheckpointError("it has two arrays of one name")
        return Stored("numpy", {name: array_of(archive, info) for name, info in zip(names, members)})


def stem_of(info: zipfile.ZipInfo) -> str:
    """The array's name."""
    if not info.filename.endswith(SUFFIX):
        raise CheckpointError(f"it has a member {info.filename!r}; those of a .npz end with {SUFFIX}")
    return info.filename[: -len(SUFFIX)]


def array_of(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    """One member, whose header has to claim exactly the bytes that follow it."""
    if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise CheckpointError(f"{info.filename} in it is encrypted, or packed as NumPy never does")
    with archive.open(info) as file:
        start = io.BytesIO(file.read(LONGEST_HEADER))
    version = npy.read_magic(start)
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    if version not in readers:
        raise CheckpointError(
            f"{info.filename} is of version {version[0]}.{version[1]} of .npy; known are 1.0 and 2.0"
        )
    shape, is_fortran, dtype = readers[version](start)
    if dtype.hasobject or dtype.name not in WIDTHS or len(shape) > DEEPEST:
        raise CheckpointError(
            f"{info.filename} is an array of {dtype.name}, {len(shape)} dimensions; known are {', '.join(WIDTHS)}"
        )
    header, count = start.tell(), prod(shape)
    if min(shape, default=0) < 0 or count * dtype.itemsize != info.file_size - header:
        raise CheckpointError(
            f"{info.filename} has {info.file_size - header} bytes for the shape {shape} of {dtype.name}"
        )
    content = archive.read(info)
    numbers = np.frombuffer(content, dtype, count, header).reshape(shape, order="F" if is_fortran else "C")
    return numbers.astype(dtype.newbyteorder("="), order="C", copy=False)
