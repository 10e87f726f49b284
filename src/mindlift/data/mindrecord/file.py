"""A MindRecord file and the SQLite index beside it, read without mindspore.

The file has 8 bytes with the length of a JSON header, the header, and from header_size on pages of page_size bytes. The
index says in which page a row's blob lies, and where; the blob starts with 8 bytes with its length. The format is
version 3.0, which all of MindSpore 1 and 2 write; mindlift.data.mindrecord.write compares this reader with mindspore's for every
row it writes. Needs neither numpy nor mindspore.
"""

from __future__ import annotations

import json
import os
import sqlite3
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


def rows(path: Path, fields: Sequence[str]) -> list[tuple]:
    """(*values of the indexed `fields`, offset, length) of each row's blob, without its length, in the shard's order.

    DataError if the header or the index can't be read, or if the index names another file.
    """
    head = header(path)
    start, page, end = head["header_size"] + LENGTH_BYTES, head["page_size"], path.stat().st_size
    found = []
    for *values, number, first, last in query(path, fields):
        if {type(number), type(first), type(last)} != {int}:
            raise DataError(f"{path}.db has {(number, first, last)!r:.80} for the place of a row; {AGAIN}")
        offset, length = start + number * page + first, last - first - LENGTH_BYTES
        if not 0 <= length <= offset + length <= end:
            raise DataError(
                f"{path}.db has a row at byte {offset}, of {length}; the shard has {end}; {AGAIN}"
            )
        found.append((*values, offset, length))
    return found


def query(path: Path, fields: Sequence[str]) -> list[tuple]:
    """(*values, page, start and end in the page) of each row, from the index."""
    database = path.with_name(path.name + ".db")
    columns = [f'"{field}_0"' for field in fields] + [
        "PAGE_ID_BLOB",
        "PAGE_OFFSET_BLOB",
        "PAGE_OFFSET_BLOB_END",
    ]
    try:
        connection = sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
        try:
            check_tables(connection, database)
            limit_steps(connection, database.stat().st_size)
            names = [name for (name,) in connection.execute("SELECT NAME FROM SHARD_NAME")]
            found = connection.execute(f"SELECT {', '.join(columns)} FROM INDEXES ORDER BY ROW_ID").fetchall()
        finally:
            connection.close()
    except (sqlite3.Error, OSError, UnicodeDecodeError) as err:
        raise DataError(f"{database} can't be read ({err}); {AGAIN}") from err
    if names != [path.name]:
        raise DataError(
            f"{database} belongs to {', '.join(map(str, names)):.200}, not to {path.name}; shards keep their names"
        )
    return found


def check_tables(connection: sqlite3.Connection, database: Path) -> None:
    """DataError unless the two tables are tables: a view computes its rows, and may have any number of them."""
    question = "SELECT NAME, TYPE FROM SQLITE_MASTER WHERE NAME COLLATE NOCASE IN ('INDEXES', 'SHARD_NAME')"
    kinds = [str(kind) for name, kind in connection.execute(question)]
    hidden = [row for row in connection.execute("PRAGMA table_xinfo(INDEXES)") if row[-1]]
    if kinds != ["table", "table"] or hidden:
        raise DataError(f"{database} is no index of MindRecord: it computes its rows; {AGAIN}")


def limit_steps(connection: sqlite3.Connection, size: int) -> None:
    """An sqlite3.OperationalError, "interrupted", where reading takes more work than a file of this size can need."""
    most = limits.SQLITE_STEPS_FLOOR + limits.SQLITE_STEPS_PER_BYTE * size
    connection.set_progress_handler(lambda: True, min(most, 2**31 - 1))  # a C int


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
