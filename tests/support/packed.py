"""Compressed files that stand for much more than they are."""

from __future__ import annotations

import io
import os
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

MIB = 1 << 20

NESTED = "[" * 200_000
LAUGHS = "\n".join(
    ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
)  # CWE-776, "billion laughs"
MERGES = "\n".join(
    ["m0: &m0 {k: v}"] + [f"m{n}: &m{n} {{<<: [{', '.join([f'*m{n - 1}'] * 9)}]}}" for n in range(1, 9)]
)


def repeated_gzip(head: bytes, zeros: int) -> bytes:
    """A gzip file (RFC 1952) of `head` and so many zeros."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    pieces = [packer.compress(head)]
    pieces += [packer.compress(bytes(1 << 20)) for _ in range(zeros >> 20)]
    return b"".join([*pieces, packer.flush()])


def overlapping_zip(*names: str) -> bytes:
    """Entries of a central directory (APPNOTE.TXT 4.3.12) that share the bytes of one member; 20 for a single name."""
    entries = list(names) if len(names) > 1 else [names[0][:-1] + chr(97 + n) for n in range(20)]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr(entries[0], os.urandom(100_000))
    data = buffer.getvalue()
    start, end = data.index(b"PK\1\2"), data.index(b"PK\5\6")
    directory = b"".join(data[start : start + 46] + name.encode() for name in entries)
    count = len(entries)
    tail = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, len(directory), start, 0)
    assert {len(name) for name in entries} == {end - start - 46}
    return data[:start] + directory + tail


@contextmanager
def little_memory(most: int = 96 * MIB) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()
