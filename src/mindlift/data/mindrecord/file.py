"""A MindRecord file, read without mindspore; the SQLite index beside it is read in `rows.py`.

The file has 8 bytes with the length of a JSON header, the header, and from header_size on pages of page_size bytes. The
index says in which page a row's blob lies, and where; the blob starts with 8 bytes with its length. The format is
version 3.0, which all of MindSpore 1 and 2 write; mindlift.data.mindrecord.write compares this reader with mindspore's for every
row it writes. Needs neither numpy nor mindspore.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Dict, NamedTuple

from mindlift import json_text, limits
from mindlift.errors import DataError
from mindlift.model_utils.streaming import arrivals

VERSION = "3.0"
LENGTH_BYTES = 8
HEADER = "header"  # of a shard that is taken apart: its first bytes
UNKNOWN = 1 << 50  # the size of such a shard: who fetches its rows has looked whether they are in it
AGAIN = "fetch it again, or convert again"
Header = Dict[str, Any]  # the JSON that MindSpore writes at the beginning of a shard


class Facts(NamedTuple):
    """What has to be known of a shard to find its rows; `size` is that of the whole file."""

    head: Header
    size: int


def is_taken_apart(path: Path) -> bool:
    """Whether `path` is not the shard itself but a folder, into which its rows are fetched one by one."""
    return path.is_dir()


def facts(path: Path) -> Facts:
    """DataError as `header`."""
    head = header(path)  # which waits for a shard that is still arriving
    return Facts(head, UNKNOWN if is_taken_apart(path) else path.stat().st_size)


def header(path: Path) -> Header:
    """The header of a shard; DataError if it is not a MindRecord file of version 3.0 without compression."""
    file = path / HEADER if is_taken_apart(path) else path
    try:
        arrivals.await_file(str(file))
        with open(file, "rb") as stream:
            data = stream.read(LENGTH_BYTES)
            return parsed(data + stream.read(header_bytes(data, path) - len(data)), path)
    except OSError as err:
        raise no_shard(path, err) from err


def header_bytes(data: bytes, path: Path) -> int:
    """How long the header is, by how a shard begins; DataError for more than any header has."""
    length = int.from_bytes(data[:LENGTH_BYTES], "little")
    if length > limits.MINDRECORD_HEADER_BYTES:
        raise DataError(f"{path} is not a MindRecord file: its header would have {length:,} bytes")
    return LENGTH_BYTES + length


def no_shard(path: Path, err: Exception) -> DataError:
    return DataError(f"{path} is not a whole MindRecord file ({type(err).__name__}: {err})")


def parsed(data: bytes, path: Path) -> Header:
    """The header in the first bytes of the shard `path`; DataError as `header`."""
    try:
        found: Header = json_text.parse(data[LENGTH_BYTES:])
        if found["version"] != VERSION or found["compression_size"]:
            raise DataError(
                f"{path}: MindRecord version {found['version']}, compression {found['compression_size']};"
                f" need {VERSION} without compression"
            )
        if not all(type(found[name]) is int and found[name] >= 0 for name in ("header_size", "page_size")):
            raise ValueError("its sizes are no numbers")
        return found
    except (ValueError, KeyError, TypeError) as err:
        if isinstance(err, DataError):
            raise
        raise no_shard(path, err) from err


def indexed_fields(head: Header) -> list[str]:
    return [str(each["index_field"]) for each in head["index_fields"]]


def join(path: Path, shards: Sequence[str], number: int) -> None:
    """Make a shard that was written alone the one of that number among `shards`, for readers that are given one name."""
    head = header(path)
    head["shard_addresses"], head["shard_id"] = list(shards), number
    for page in head["page"]:
        page["shard_id"] = number
    text = json.dumps(head, ensure_ascii=False, separators=(",", ":")).encode()
    if len(text) + LENGTH_BYTES > head["header_size"]:
        raise DataError(
            f"{path}: the names of {len(shards)} shards don't fit into its header; make fewer shards"
        )
    with open(path, "r+b") as file:
        file.write(len(text).to_bytes(LENGTH_BYTES, "little") + text)


def row_file(offset: int, length: int) -> str:
    """What the file of a row is called, in the folder of a shard that is taken apart."""
    return f"{offset}-{length}"


class Blobs:
    """The bytes of rows, in shards or in files of their own. Threads may read at once."""

    def __init__(self, paths: Sequence[Path]):
        self.descriptors: list[int] = []
        self.paths = [str(path) for path in paths]
        for path in paths:
            self.descriptors.append(-1 if is_taken_apart(path) else os.open(path, os.O_RDONLY))

    def __del__(self) -> None:
        for descriptor in self.descriptors:
            if descriptor >= 0:
                os.close(descriptor)

    def files_of(self, shard: int, offset: int, length: int) -> tuple[str, ...]:
        """The file of a row; none where it is in its shard."""
        is_alone = self.descriptors[shard] < 0
        return (f"{self.paths[shard]}/{row_file(offset, length)}",) if is_alone else ()

    def read(self, shard: int, offset: int, length: int, name: str) -> bytes:
        """A row, once it is here; DataError that says `name` if it can't be read or is not whole."""
        for file in self.files_of(shard, offset, length):
            return row_of(file, length, name)
        return read(self.descriptors[shard], offset, length, name)


def row_of(file: str, length: int, name: str) -> bytes:
    try:
        data = arrivals.read_bytes(file)
    except OSError as err:
        raise DataError(f"can't read image {name}: {err.strerror}") from err
    if len(data) != length:
        raise DataError(f"can't read image {name}: {file} is cut short; remove it, and start again")
    return data


def read(descriptor: int, offset: int, length: int, name: str) -> bytes:
    """Part of an open shard; DataError that says `name` if it can't be read or the shard is shorter."""
    try:
        data = os.pread(descriptor, length, offset)
    except OSError as err:
        raise DataError(f"can't read image {name}: {err.strerror}") from err
    if len(data) != length:
        raise DataError(f"can't read image {name}: the shard is cut short; fetch it again")
    return data
