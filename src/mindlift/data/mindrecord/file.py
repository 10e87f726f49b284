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
from typing import Any, Dict

from mindlift import json_text, limits
from mindlift.errors import DataError

VERSION = "3.0"
LENGTH_BYTES = 8
AGAIN = "fetch it again, or convert again"
Header = Dict[str, Any]  # the JSON that MindSpore writes at the beginning of a shard


def header(path: Path) -> Header:
    """The header of a shard; DataError if it is not a MindRecord file of version 3.0 without compression."""
    try:
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(LENGTH_BYTES), "little")
            if length > limits.MINDRECORD_HEADER_BYTES:
                raise DataError(f"{path} is not a MindRecord file: its header would have {length:,} bytes")
            found: Header = json_text.parse(file.read(length))
        if found["version"] != VERSION or found["compression_size"]:
            raise DataError(
                f"{path}: MindRecord version {found['version']}, compression {found['compression_size']};"
                f" need {VERSION} without compression"
            )
        if not all(type(found[name]) is int and found[name] >= 0 for name in ("header_size", "page_size")):
            raise ValueError("its sizes are no numbers")
        return found
    except (OSError, ValueError, KeyError, TypeError) as err:
        if isinstance(err, DataError):
            raise
        raise DataError(f"{path} is not a whole MindRecord file ({type(err).__name__}: {err})") from err


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


def read(descriptor: int, offset: int, length: int, name: str) -> bytes:
    """Part of an open shard; DataError that says `name` if it can't be read or the shard is shorter."""
    try:
        data = os.pread(descriptor, length, offset)
    except OSError as err:
        raise DataError(f"can't read image {name}: {err.strerror}") from err
    if len(data) != length:
        raise DataError(f"can't read image {name}: the shard is cut short; fetch it again")
    return data
