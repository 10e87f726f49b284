"""The rows of MindRecord shards in a bucket, for those who fetch them one by one (model_utils/streaming/pieces.py).

A row becomes a file in a folder that is called as its shard; `file.Blobs` reads it there.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from mindlift.data.mindrecord import file as record_file
from mindlift.data.mindrecord import rows as record_rows
from mindlift.model_utils.streaming.archived import Found, Place
from mindlift.model_utils.streaming.pieces import Read
from mindlift.storage.store import Entry

INDEX = ".db"  # behind the name of a shard
SUM = "crc"  # a field with the CRC-32 of the row's bytes
FIRST_BYTES = 4096  # that are asked for: most headers are shorter


class RowFinder:
    """See pieces.Finder."""

    def indexes(self, names: Collection[str]) -> dict[str, str]:
        return {name: name + INDEX for name in names if name + INDEX in names}

    def parts(self, folder: Path, name: str, entry: Entry, read: Read) -> list[Found]:
        path, data = folder / name, read(0, min(FIRST_BYTES, entry.size))
        length = record_file.header_bytes(data, path)
        if length > len(data):
            data += read(len(data), min(length, entry.size) - len(data))
        head = record_file.parsed(data[:length], path)
        has_sums = SUM in record_file.indexed_fields(head)
        rows = record_rows.located(path, record_file.Facts(head, entry.size), [SUM] if has_sums else [])
        sums = rows.numbers[0].tolist() if has_sums else [-1] * len(rows)
        found = [Found(f"{name}/{record_file.HEADER}", length, Place(entry, 0, length, 0, -1, -1))]
        for offset, size, crc in zip(rows.offsets.tolist(), rows.lengths.tolist(), sums):
            place = Place(entry, offset, size, 0, crc, -1)
            found.append(Found(f"{name}/{record_file.row_file(offset, size)}", size, place))
        return found
