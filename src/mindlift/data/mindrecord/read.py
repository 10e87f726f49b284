"""Random access to the rows of MindRecord shards: one `pread` for each image.

mindspore's own readers go through a shard in order or by a sampler's list; the training order here is a
function of (seed, epoch, image), so what is needed is row i, now.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mindlift.data.classification.options import ClassificationOptions
from mindlift.data.layout import SIDE
from mindlift.data.mindrecord import file as record_file
from mindlift.data.mindrecord import index as record_index
from mindlift.errors import DataError

FIELDS = ["index", "label", "file", "crc"]


class Row(NamedTuple):
    """One image: its number and name in the source, and where it lies in the shard."""

    index: int  # type: ignore[assignment]  # as shards name it; hides tuple.index
    label: int
    file: str
    crc: int
    offset: int
    length: int


def rows_of(path: Path) -> list[Row]:
    """The rows of one shard; DataError if its header or its .db can't be read or names another file."""
    found = [Row(*values) for values in record_file.rows(path, FIELDS)]
    odd = next((row for row in found if {type(row.index), type(row.label), type(row.crc)} != {int}), None)
    if odd:
        raise DataError(f"{path}.db has {odd[:4]!r:.80} for an image; {record_file.AGAIN}")
    return found


class Shards:
    """The rows of a split in the order of the source's images, whatever order the shards have them in.

    `names` (N,) say shard and source file, `labels` are (N,) int32, numbers in `classes`. Threads may read at once.
    """

    def __init__(self, folder: Path, train: bool):
        index = record_index.read(folder)
        self.classes = index["classes"]
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
        data = record_file.read(self.descriptors[number], offset, length, self.names[index])
        if zlib.crc32(data) != crc:
            raise DataError(
                f"corrupt image {self.names[index]}: its checksum differs; fetch the shard again, or pass"
                " --skip_corrupt true"
            )
        return data

    def pixels(self) -> np.ndarray:
        """All rows as (N, 32, 32, 3) uint8: those of CIFAR-10's layout are stored as they are."""
        return np.frombuffer(b"".join(map(self.read, range(len(self)))), np.uint8).reshape(-1, SIDE, SIDE, 3)


def open_split(
    folder: Path, train: bool, options: ClassificationOptions, known: Sequence[str] = ()
) -> Shards:
    """The split that the options ask for, checked as far as names and sizes show it; raises DataError.

    Labels number the `known` classes of the training, where there are any.
    """
    record_index.check(
        options.dataset, folder, train, options.num_classes, options.allow_unused_classes, known
    )
    shards = Shards(folder, train)
    if known and options.dataset == "imagenet":
        numbers = np.array([known.index(name) for name in shards.classes], np.int32)
        shards.labels = numbers[shards.labels]
    return shards
