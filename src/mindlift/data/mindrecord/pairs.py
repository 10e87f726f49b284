"""Pairs of image and label in MindRecord shards, with the schema of the model zoo's build_seg_data.py.

A row has `file_name` (string), `data` (the image as its file is) and `label` (a PNG, as its file was or with the class
numbers as grey values). Shards that the zoo's program wrote are read as well as those of mindlift.cli.build_seg_data; both
name all shards in the header of each. Needs no mindspore.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from mindlift.data import strings
from mindlift.data.mindrecord import file as record_file
from mindlift.data.mindrecord import rows as record_rows
from mindlift.data.mindrecord.rows import Rows
from mindlift.data.segmentation import lists as seg_lists
from mindlift.data.strings import StringArray
from mindlift.errors import DataError
from mindlift.model_utils.staging.shared_arrays import Arrays, Share, alone
from mindlift.model_utils.streaming import arrivals

SCHEMA = {"file_name": {"type": "string"}, "label": {"type": "bytes"}, "data": {"type": "bytes"}}
NAME, IMAGE, LABEL = "file_name", "data", "label"
MAKE = "mindlift data build_seg_data"
FIRST = ("", "0", "00", "000")  # what may follow a --dst_path in the name of its first shard
INDEX = ".db"  # behind the name of a shard
LENGTH_BYTES = 8


def shards_of(data_file: str, root: Path = Path()) -> list[Path]:
    """All shards of the set that one shard, or the --dst_path it was made with, belongs to; DataError for missing ones.

    `root` is the data folder, see seg_lists.find.
    """
    first = first_of(data_file, root)
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
            if not arrivals.is_file(file) and not record_file.is_taken_apart(file):
                raise DataError(f"{file} is missing, one of the files of {len(shards)} shards; fetch it too")
    return shards


def first_of(data_file: str, root: Path) -> Path | None:
    """The first shard, or the folder of its rows; see seg_lists.find."""
    first = seg_lists.find(root, data_file, FIRST)
    if first is None:
        index = seg_lists.find(root, data_file, tuple(end + INDEX for end in FIRST))
        first = index and index.with_name(index.name[: -len(INDEX)])
    return first


class Shards:
    """The rows of all shards, sorted by image name; a `Source` of mindlift.data.segmentation.pairs. Threads may read at once."""

    def __init__(self, data_file: str, root: Path = Path(), share: Share = alone):
        self.paths = shards_of(data_file, root)
        found = share(f"read the indexes of {data_file}", lambda: table_of(self.paths))
        self.names = StringArray(found["letters"], found["ends"]).ordered(found["order"])
        self.shards, self.offsets, self.lengths = found["shards"], found["offsets"], found["lengths"]
        if not self.names:
            raise DataError(f"the {len(self.paths)} shards of {data_file} have no rows")
        self.orders = [record_file.header(path)["schema"][0]["blob_fields"] for path in self.paths]
        self.blobs = record_file.Blobs(self.paths)

    def place(self, index: int) -> tuple[int, int, int]:
        """The shard, and where in it."""
        return int(self.shards[index]), int(self.offsets[index]), int(self.lengths[index])

    def image_name(self, index: int) -> str:
        return f"{self.paths[self.shards[index]]}: {self.names[index]}"

    def label_name(self, index: int) -> str:
        return f"{self.paths[self.shards[index]]}: label of {self.names[index]}"

    def paths_of(self, index: int) -> tuple[str, ...]:
        return self.blobs.files_of(*self.place(index))

    def image_bytes(self, index: int) -> bytes:
        return self.fields(index)[IMAGE]

    def label_bytes(self, index: int) -> bytes:
        return self.fields(index)[LABEL]

    def fields(self, index: int) -> dict[str, bytes]:
        blob = self.blobs.read(*self.place(index), self.image_name(index))
        return fields_of(blob, self.orders[self.shards[index]], self.image_name(index))


def table_of(paths: list[Path]) -> Arrays:
    """The rows of all shards; by `order` they are sorted by name, and so are the other arrays but the names."""
    columns: tuple[list[np.ndarray], ...] = ([], [], [])
    names = strings.Builder()
    for number, path in enumerate(paths):
        rows = rows_of(path)
        for column, found in zip(columns, (np.full(len(rows), number, np.int32), rows.offsets, rows.lengths)):
            column.append(found)
        names.append(rows.texts)
    texts = names.built()
    order = strings.sorting(texts).astype(np.int32)
    shards, offsets, lengths = (strings.end_to_end(column)[order] for column in columns)
    return {
        "letters": texts.letters,
        "ends": texts.ends,
        "order": order,
        "shards": shards,
        "offsets": offsets,
        "lengths": lengths,
    }


def rows_of(path: Path) -> Rows:
    """The rows' places, and as texts the names of files; rows of an index without names are called by their number."""
    if NAME in record_file.indexed_fields(record_file.header(path)):
        return record_rows.read(path, (), NAME)
    rows = record_rows.read(path, ())
    numbered = (f"{path.name} row {number:06d}" for number in range(len(rows)))
    return replace(rows, texts=strings.of(numbered))


def fields_of(blob: bytes, order: list[str], name: str) -> dict[str, bytes]:
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
