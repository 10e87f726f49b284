"""Pairs of image and label in MindRecord shards, with the schema of the model zoo's build_seg_data.py.

A row has `file_name` (string), `data` (the image as its file is) and `label` (a PNG, as its file was or with the class
numbers as grey values). Shards that the zoo's program wrote are read as well as those of mindlift.cli.build_seg_data; both
name all shards in the header of each. Needs neither numpy nor mindspore.
"""

from __future__ import annotations

import os
from pathlib import Path

from mindlift.data.mindrecord import file as record_file
from mindlift.data.segmentation import lists as seg_lists
from mindlift.errors import DataError

SCHEMA = {"file_name": {"type": "string"}, "label": {"type": "bytes"}, "data": {"type": "bytes"}}
NAME, IMAGE, LABEL = "file_name", "data", "label"
MAKE = "mindlift data build_seg_data"
FIRST = ("", "0", "00", "000")  # what may follow a --dst_path in the name of its first shard
LENGTH_BYTES = 8


def shards_of(data_file: str, root: Path = Path()) -> list[Path]:
    """All shards of the set that one shard, or the --dst_path it was made with, belongs to; DataError for missing ones.

    `root` is the data folder, see seg_lists.find.
    """
    first = seg_lists.find(root, data_file, FIRST)
    if first is None:
        raise DataError(
            f"no such file: {data_file}; --data_file names the first shard that {MAKE} wrote, such as voc.mindrecord0"
        )
    head = record_file.header(first)
    fields = set(head["schema"][0]["schema"])
    if not fields >= set(SCHEMA):
        raise DataError(
            f"{first} has rows of {', '.join(sorted(fields))}, but a segmentation needs {', '.join(SCHEMA)}; make shards"
            f" with {MAKE}"
        )
    names = [Path(name).name for name in head["shard_addresses"]]
    if first.name not in names:
        raise DataError(f"{first} was written as one of {', '.join(names)}; shards keep their names")
    shards = [first.with_name(name) for name in names]
    for path in shards:
        for file in (path, path.with_name(path.name + ".db")):
            if not file.is_file():
                raise DataError(f"{file} is missing, one of the files of {len(shards)} shards; fetch it too")
    return shards


class Shards:
    """The rows of all shards, sorted by image name; a `Source` of mindlift.data.segmentation.pairs. Threads may read at once."""

    def __init__(self, data_file: str, root: Path = Path()):
        self.paths = shards_of(data_file, root)
        rows = [(*row, number) for number, path in enumerate(self.paths) for row in rows_of(path)]
        if not rows:
            raise DataError(f"the {len(self.paths)} shards of {data_file} have no rows")
        rows.sort(key=lambda row: row[0])
        self.names = [row[0] for row in rows]
        self.places = [row[1:] for row in rows]
        self.orders = [record_file.header(path)["schema"][0]["blob_fields"] for path in self.paths]
        self.descriptors = [os.open(path, os.O_RDONLY) for path in self.paths]

    def __del__(self) -> None:
        for descriptor in getattr(self, "descriptors", ()):
            os.close(descriptor)

    def image_name(self, index: int) -> str:
        return f"{self.paths[self.places[index][2]]}: {self.names[index]}"

    def label_name(self, index: int) -> str:
        return f"{self.paths[self.places[index][2]]}: label of {self.names[index]}"

    def paths_of(self, index: int) -> tuple[str, ...]:
        return ()

    def image_bytes(self, index: int) -> bytes:
        return self.fields(index)[IMAGE]

    def label_bytes(self, index: int) -> bytes:
        return self.fields(index)[LABEL]

    def fields(self, index: int) -> dict[str, bytes]:
        offset, length, number = self.places[index]
        blob = record_file.read(self.descriptors[number], offset, length, self.image_name(index))
        return taken_apart(blob, self.orders[number], self.image_name(index))


def rows_of(path: Path) -> list[tuple[str, int, int]]:
    """(file name, offset, length) of each row's blob; rows of an index without names are called by their number."""
    indexed = record_file.indexed_fields(record_file.header(path))
    rows = record_file.rows(path, [NAME] if NAME in indexed else [])
    return [
        (str(row[0]) if NAME in indexed else f"{path.name} row {number:06d}", *row[-2:])
        for number, row in enumerate(rows)
    ]


def taken_apart(blob: bytes, order: list[str], name: str) -> dict[str, bytes]:
    """The byte fields of a row: each follows its length, 8 bytes with the highest first."""
    found, start = {}, 0
    for field in order:
        length = int.from_bytes(blob[start : start + LENGTH_BYTES], "big")
        start += LENGTH_BYTES
        found[field] = blob[start : start + length]
        start += length
    if start != len(blob):
        raise DataError(f"can't read image {name}: its row is damaged; fetch the shard again")
    return found
