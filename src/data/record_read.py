"""Random access to the rows of MindRecord shards: one `pread` for each image.

mindspore's own readers go through a shard in order or by a sampler's list; the training order here is a
function of (seed, epoch, image), so what is needed is row i, now. Where a row lies is in the SQLite index
beside each shard: blob page and offset. In the file that is header + page * page_size + offset, where 8 bytes
of length come before the image; both sizes are in the JSON header. The format is version 3.0, which all of
MindSpore 1 and 2 write; src.data.record_write compares this reader with mindspore's for every row it writes.
"""

from __future__ import annotations

import json
import os
import sqlite3
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from src.data import record_index
from src.data.layout import SIDE
from src.model_utils.errors import DataError

VERSION = "3.0"
LENGTH_BYTES = 8
MOST_HEADER = 1 << 30
ROWS = """SELECT index_0, label_0, file_0, crc_0, PAGE_ID_BLOB, PAGE_OFFSET_BLOB, PAGE_OFFSET_BLOB_END
    FROM INDEXES ORDER BY ROW_ID"""


class Row(NamedTuple):
    """One image: its number and name in the source, and where it lies in the shard."""

    index: int
    label: int
    file: str
    crc: int
    offset: int
    length: int


def rows_of(path: Path) -> list[Row]:
    """The rows of one shard; DataError if its header or its .db can't be read or names another file."""
    header, page = sizes(path)
    database = path.with_name(path.name + ".db")
    try:
        connection = sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
        try:
            names = [name for (name,) in connection.execute("SELECT NAME FROM SHARD_NAME")]
            found = connection.execute(ROWS).fetchall()
        finally:
            connection.close()
    except sqlite3.Error as err:
        raise DataError(f"{database} can't be read ({err}); fetch it again, or convert again") from err
    if names != [path.name]:
        raise DataError(
            f"{database} belongs to {', '.join(names)}, not to {path.name}; shards keep their names"
        )
    return [
        Row(
            index, label, file, crc, header + number * page + start + LENGTH_BYTES, end - start - LENGTH_BYTES
        )
        for index, label, file, crc, number, start, end in found
    ]


def sizes(path: Path) -> tuple[int, int]:
    """Header and page size of a shard; DataError if it is not a MindRecord file of version 3.0."""
    try:
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header: dict[str, Any] = json.loads(file.read(length)) if length < MOST_HEADER else {}
        if header["version"] != VERSION or header["compression_size"]:
            raise DataError(
                f"{path}: MindRecord version {header['version']}, compression {header['compression_size']};"
                f" need {VERSION} without compression"
            )
        return header["header_size"], header["page_size"]
    except (OSError, ValueError, KeyError, TypeError) as err:
        if isinstance(err, DataError):
            raise
        raise DataError(f"{path} is not a whole MindRecord file ({type(err).__name__}: {err})") from err


class Shards:
    """The rows of a split in the order of the source's images, whatever order the shards have them in.

    `names` (N,) say shard and source file, `labels` are (N,) int32. Threads may read at once.
    """

    def __init__(self, folder: Path, train: bool):
        index = record_index.read(folder)
        _, split = record_index.split_of(index, folder, train)
        self.paths = [folder / shard["file"] for shard in split["shards"] if shard["rows"]]
        found = [(row, number) for number, path in enumerate(self.paths) for row in rows_of(path)]
        found.sort(key=lambda item: item[0].index)
        if len(found) != split["count"]:
            raise DataError(
                f"the shards of {folder} hold {len(found)} images, but {record_index.INDEX} says {split['count']};"
                " fetch them again, or convert again"
            )
        self.names = [f"{self.paths[number]}: {row.file}" for row, number in found]
        self.labels = np.array([row.label for row, _ in found], np.int32)
        self.places = np.array([(n, row.offset, row.length, row.crc) for row, n in found], np.int64)
        self.descriptors = [os.open(path, os.O_RDONLY) for path in self.paths]

    def __len__(self) -> int:
        return len(self.labels)

    def __del__(self) -> None:
        for descriptor in getattr(self, "descriptors", ()):
            os.close(descriptor)

    def read(self, index: int) -> bytes:
        """The bytes of image `index`; DataError that names it if they are not those that were written."""
        number, offset, length, crc = self.places[index].tolist()
        try:
            data = os.pread(self.descriptors[number], length, offset)
        except OSError as err:
            raise DataError(f"can't read image {self.names[index]}: {err.strerror}") from err
        if zlib.crc32(data) != crc:
            raise DataError(
                f"corrupt image {self.names[index]}: its checksum differs; fetch the shard again, or pass"
                " --skip_corrupt true"
            )
        return data

    def pixels(self) -> np.ndarray:
        """All rows as (N, 32, 32, 3) uint8: those of CIFAR-10's layout are stored as they are."""
        return np.frombuffer(b"".join(map(self.read, range(len(self)))), np.uint8).reshape(-1, SIDE, SIDE, 3)


def open_split(folder: Path, train: bool, options: Any) -> Shards:
    """The split that the options ask for, checked as far as names and sizes show it; raises DataError."""
    record_index.check(options.dataset, folder, train, options.num_classes, options.allow_unused_classes)
    return Shards(folder, train)
