"""Event files next to tensorboardX's messages and checksums."""

from __future__ import annotations

import struct
from pathlib import Path

import mindspore  # noqa: F401 - before protobuf, which takes its messages in the Python implementation only
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.record_writer import masked_crc32c

from mindlift.report import event_file
from mindlift.report.event_file import EventFile


def test_checksums_of_the_standard() -> None:
    """RFC 3720, appendix B.4."""
    known = {bytes(32): 0x8A9136AA, b"\xff" * 32: 0x62A8AB43, bytes(range(32)): 0x46DD794E}
    for checksums in (event_file.crc_of_each, event_file.crc_of_all):
        assert dict(zip(known, checksums([*known]).tolist())) == known


@given(st.lists(st.binary(max_size=70), min_size=1, max_size=60))
def test_checksums_of_any_messages(messages: list[bytes]) -> None:
    expected = [struct.pack("<I", masked_crc32c(message)) for message in messages]
    assert event_file.masked(event_file.crc32c(messages)) == expected


@given(
    st.dictionaries(st.text(max_size=20), st.floats(allow_nan=False)),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(0, 4e9),
)
def test_scalars_are_messages_of_protobuf(values: dict[str, float], step: int, at: float) -> None:
    found = Event.FromString(event_file.scalars(values, step, at))
    with np.errstate(over="ignore"):
        expected = [(name, float(np.float32(value))) for name, value in values.items()]
    assert [(value.tag, value.simple_value) for value in found.summary.value] == expected
    assert (found.step, found.wall_time) == (step, at)


@pytest.mark.parametrize("count", [1, 500])
def test_frames_of_a_file(tmp_path: Path, count: int) -> None:
    file = EventFile(tmp_path)
    file.write([event_file.scalars({"train/loss": 0.5}, step, 1.7e9) for step in range(count)])
    file.close()
    (path,) = tmp_path.glob("events.out.tfevents.*")
    data, found = path.read_bytes(), []
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        assert struct.unpack("<I", data[8:12]) == (masked_crc32c(data[:8]),)
        message, data = data[12 : 12 + length], data[12 + length :]
        assert struct.unpack("<I", data[:4]) == (masked_crc32c(message),)
        found.append(Event.FromString(message))
        data = data[4:]
    assert found[0].file_version == "brain.Event:2"
    assert [event.step for event in found[1:]] == list(range(count))
