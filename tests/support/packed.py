"""Compressed files that stand for much more than they are."""

from __future__ import annotations

import zlib

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
