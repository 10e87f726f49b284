"""Seeded damage to bytes, as fuzzers do it (AFL's stages: flips, interesting values, blocks, splices)."""

from __future__ import annotations

import random
import struct

EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1)
DICTIONARY = (
    *(b"../", b"/etc/passwd", b"\0", b"\x1b]0;x\x07", b"\\", b"[" * 3000, b"{" * 3000, b"&a [*a]", b"<<: *a"),
    *(
        b"999999999999999999999",
        b"-1",
        b"1e999",
        b"NaN",
        b"null",
        b"true",
        b'"',
        b"\n",
        b"<!DOCTYPE x>",
        b"&x;",
    ),
    *(
        b"GNU.sparse.major=1",
        b"hdrcharset=BINARY",
        b"PK\1\2",
        b"PK\5\6",
        b"\x93NUMPY",
        b"\x80\x02",
        b"cos\nsystem\n",
    ),
    *("\ud7ff\u2028\u202e\U0001f600".encode(), b"\xff\xfe", b"\xc3", b"=1+1", b"x" * 300, b"a/" * 600),
)


def mutated(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """One to eight changes of `data`; some take a piece of another sample."""
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 8))):
        rng.choice(CHANGES)(found, others, rng)
    return bytes(found)


def flip(data: bytearray, others: list[bytes], rng: random.Random) -> None:
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def number(data: bytearray, others: list[bytes], rng: random.Random) -> None:
    """An extreme integer of 1 to 8 bytes, in either order."""
    value, width = rng.choice(EXTREMES), rng.choice((1, 2, 4, 8))
    packed = struct.pack(rng.choice("<>") + "Q", value)
    piece = packed[:width] if packed[0] else packed[-width:]
    at = rng.randrange(len(data) + 1)
    data[at : at + width] = piece


def cut(data: bytearray, others: list[bytes], rng: random.Random) -> None:
    del data[rng.randrange(len(data) + 1) :]


def remove(data: bytearray, others: list[bytes], rng: random.Random) -> None:
    at = rng.randrange(len(data) + 1)
    del data[at : at + rng.randrange(1, 600)]


def repeat(data: bytearray, others: list[bytes], rng: random.Random) -> None:
    at = rng.randrange(len(data) + 1)
    data[at:at] = data[at : at + rng.randrange(1, 600)] * rng.choice((1, 2, 50))


def insert(data: bytearray, others: list[bytes], rng: random.Random) -> None:
    at = rng.randrange(len(data) + 1)
    data[at : at + rng.choice((0, 8))] = rng.choice(DICTIONARY)


def splice(data: bytearray, others: list[bytes], rng: random.Random) -> None:
    other = rng.choice(others)
    at = rng.randrange(len(other) + 1)
    place = rng.randrange(len(data) + 1)
    data[place : place + rng.randrange(600)] = other[at : at + rng.randrange(600)]


CHANGES = (flip, flip, number, number, cut, remove, repeat, insert, insert, splice)
