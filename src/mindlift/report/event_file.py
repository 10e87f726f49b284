"""TensorBoard's event files: Event messages of protobuf, framed as TensorFlow's records.

tensorboardX knows the messages, and frames them one by one: the checksum of a line of metrics takes it 0.3 ms. Here scalars
are written as bytes at once (`event.proto`, `summary.proto` of TensorFlow), and the checksums of many records together.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from mindlift.backports import Protocol

VERSION = "brain.Event:2"
POLYNOMIAL = 0x82F63B78  # CRC-32C (Castagnoli), lowest bit first: RFC 3720, section 12.1
FEW = 32  # messages, of which some are pictures: NumPy takes longer for each byte than Python does
MASK = 0xA282EAD8  # added to the turned checksum: tensorflow/core/lib/hash/crc32c.h
FLOAT_BYTES = 4
# the number and the type of each field, as protobuf writes them before its value
WALL_TIME, STEP, FILE_VERSION, SUMMARY = b"\x09", b"\x10", b"\x1a", b"\x2a"
VALUE, TAG, SIMPLE_VALUE = b"\x0a", b"\x0a", b"\x15"


class Message(Protocol):
    """Of tensorboardX's."""

    def SerializeToString(self) -> bytes: ...


class EventFile:
    """A new file; what is written is in it after `flush` or `close`."""

    def __init__(self, folder: Path):
        # the nanoseconds keep two files of one second apart, and in order
        now, host = time.time(), socket.gethostname()
        self.file = open(  # noqa: SIM115 - closed by `close`
            folder / f"events.out.tfevents.{int(now)}.{host}.{time.time_ns()}", "wb"
        )
        version = VERSION.encode()
        self.write([WALL_TIME + struct.pack("<d", now) + FILE_VERSION + varint(len(version)) + version])

    def write_event(self, event: Message) -> None:
        self.write([event.SerializeToString()])

    def write(self, events: Sequence[bytes]) -> None:
        """Messages that are bytes already."""
        self.file.write(framed(events))

    def flush(self) -> None:
        self.file.flush()
        os.fsync(self.file.fileno())

    def close(self) -> None:
        self.file.close()


def scalars(values: Mapping[str, float], step: int, at: float) -> bytes:
    """An Event with a scalar of each name, of the time `at` in seconds since the epoch."""
    summary = b"".join([begin(name) + float32(value) for name, value in values.items()])
    return b"".join(
        [WALL_TIME, struct.pack("<d", at), STEP, varint(step), SUMMARY, varint(len(summary)), summary]
    )


@lru_cache(maxsize=4096)
def begin(name: str) -> bytes:
    """A Summary.Value up to its number."""
    tag = TAG + varint(len(name.encode())) + name.encode() + SIMPLE_VALUE
    return VALUE + varint(len(tag) + FLOAT_BYTES) + tag


def float32(value: float) -> bytes:
    try:
        return struct.pack("<f", value)
    except OverflowError:  # protobuf makes it infinite
        return struct.pack("<f", float("inf") if value > 0 else float("-inf"))


def varint(number: int) -> bytes:
    """Seven bits in a byte, the lowest first; a negative number as 64 bits."""
    number &= 2**64 - 1
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def framed(messages: Sequence[bytes]) -> bytes:
    """Length, its checksum, message, its checksum, of each."""
    lengths = [struct.pack("<Q", len(message)) for message in messages]
    parts = zip(lengths, masked(crc32c(lengths)), messages, masked(crc32c(messages)))
    return b"".join([part for each in parts for part in each])


def masked(sums: np.ndarray) -> list[bytes]:
    turned = (sums >> np.uint32(15)) | (sums << np.uint32(17))
    return [each.tobytes() for each in (turned + np.uint32(MASK)).astype("<u4")]


@lru_cache(maxsize=1)
def table() -> np.ndarray:
    """What each value of a byte does to a checksum, (256,) uint32."""
    found = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        found = np.where(found & 1, (found >> 1) ^ np.uint32(POLYNOMIAL), found >> 1)
    return found


def crc32c(messages: Sequence[bytes]) -> np.ndarray:
    """(N,) uint32."""
    many = crc_of_each if len(messages) < FEW else crc_of_all
    return many(messages)


def crc_of_each(messages: Sequence[bytes]) -> np.ndarray:
    effect, found = table().tolist(), []
    for message in messages:
        crc = 0xFFFFFFFF
        for byte in message:
            crc = effect[(crc ^ byte) & 0xFF] ^ (crc >> 8)
        found.append(crc ^ 0xFFFFFFFF)
    return np.array(found, np.uint32)


def crc_of_all(messages: Sequence[bytes]) -> np.ndarray:
    """Byte after byte, of all messages at once; the longest come first, so that those that go on stay together."""
    lengths = np.array([len(message) for message in messages])
    order = np.argsort(-lengths, kind="stable")
    letters = np.frombuffer(b"".join(messages), np.uint8)
    at = (np.cumsum(lengths) - lengths)[order]
    going_on = np.searchsorted(-lengths[order], -np.arange(lengths.max(initial=0)), "left")
    sums, effect = np.full(len(messages), 0xFFFFFFFF, np.uint32), table()
    for count in going_on.tolist():
        before = sums[:count]
        sums[:count] = effect[(before ^ letters[at[:count]]) & 0xFF] ^ (before >> np.uint32(8))
        at[:count] += 1
    found = np.empty_like(sums)
    found[order] = ~sums
    return found
