"""Random access to the rows of MindRecord shards: one `pread` for each image.

mindspore's own readers go through a shard in order or by a sampler's list; the training order here is a
function of (seed, epoch, image), so what is needed is row i, now.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mindlift.data import strings
from mindlift.data.classification.options import ClassificationOptions
from mindlift.data.layout import SIDE
from mindlift.data.mindrecord import file as record_file
from mindlift.data.mindrecord import index as record_index
from mindlift.data.mindrecord import rows as record_rows
from mindlift.data.strings import StringArray
from mindlift.errors import DataError
from mindlift.model_utils.staging.shared_arrays import Arrays, Share, alone
from mindlift.model_utils.streaming import arrivals

FIELDS = ["index", "label", "file", "crc"]
NUMBERS, NAME = ("index", "label", "crc"), "file"
LEAST_ROW_BYTES = 16  # of an index
COLUMNS = ("indices", "labels", "sums", "offsets", "lengths")  # NUMBERS first


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
    rows = record_rows.read(path, NUMBERS, NAME)
    (indices, labels, sums), places = rows.numbers.tolist(), (rows.offsets.tolist(), rows.lengths.tolist())
    return [Row(*values) for values in zip(indices, labels, rows.texts, sums, *places)]


class Shards:
    """The rows of a split in the order of the source's images, whatever order the shards have them in.

    `names` say shard and source file, `labels` are (N,) int32, numbers in `classes`. Threads may read at once.
    """

    def __init__(self, folder: Path, train: bool, share: Share = alone):
        index = record_index.read(folder)
        self.classes = index["classes"]
        _, split = record_index.split_of(index, folder, train)
        self.paths = [folder / shard["file"] for shard in split["shards"] if shard["rows"]]
        found = share(f"read the indexes of {folder}", lambda: table_of(folder, self.paths, split["count"]))
        labels, self.shards, self.sums = found["labels"], found["shards"], found["sums"]
        self.offsets, self.lengths = found["offsets"], found["lengths"]
        self.labels = checked_labels(labels, len(self.classes), folder)
        before = [f"{path}: " for path in self.paths]
        self.names = StringArray(found["letters"], found["ends"], before, self.shards, found["order"])
        self.blobs = record_file.Blobs(self.paths)

    def __len__(self) -> int:
        return len(self.labels)

    def place(self, index: int) -> tuple[int, int, int]:
        """The shard, and where in it."""
        return int(self.shards[index]), int(self.offsets[index]), int(self.lengths[index])

    def paths_of(self, index: int) -> tuple[str, ...]:
        """The file of image `index`, if it has one."""
        return self.blobs.files_of(*self.place(index))

    def read(self, index: int) -> bytes:
        """The bytes of image `index`; DataError that names it if they are not those that were written."""
        data = self.blobs.read(*self.place(index), self.names[index])
        if zlib.crc32(data) != self.sums[index]:
            raise DataError(
                f"corrupt image {self.names[index]}: its checksum differs; fetch the shard again, or pass"
                " --skip_corrupt true"
            )
        return data

    def pixels(self) -> np.ndarray:
        """All rows as (N, 32, 32, 3) uint8: those of CIFAR-10's layout are stored as they are."""
        return np.frombuffer(b"".join(map(self.read, range(len(self)))), np.uint8).reshape(-1, SIDE, SIDE, 3)


def table_of(folder: Path, paths: Sequence[Path], count: int) -> Arrays:
    """The rows of all shards, sorted by the number of the image in the source; DataError if they are not `count`."""
    for path in paths:
        arrivals.await_file(f"{path}.db")
    most = sum(path.with_name(f"{path.name}.db").stat().st_size for path in paths) // LEAST_ROW_BYTES
    room = count if type(count) is int and 0 <= count <= most else 0
    columns: dict[str, np.ndarray] = {name: np.empty(room, np.int64) for name in COLUMNS}
    files, shards, there = strings.Builder(), np.empty(room, np.int32), 0
    for number, path in enumerate(paths):
        rows = record_rows.read(path, NUMBERS, NAME)
        first, there = there, there + len(rows)
        if there <= room:
            for name, found in zip(COLUMNS, [*rows.numbers, rows.offsets, rows.lengths]):
                columns[name][first:there] = found
            shards[first:there] = number
            files.append(rows.texts)
    if there != count:
        raise DataError(
            f"the shards of {folder} hold {there} images, but {record_index.INDEX} says {count}; fetch them again, or"
            " convert again"
        )
    order, names = np.argsort(columns.pop("indices"), kind="stable").astype(np.int32), files.built()
    for column in (*columns.values(), shards):
        column[:] = column[order]
    return {**columns, "shards": shards, "order": order, "letters": names.letters, "ends": names.ends}


def checked_labels(labels: np.ndarray, classes: int, folder: Path) -> np.ndarray:
    """(N,) int32; DataError for a label that numbers no class."""
    is_odd = (labels < 0) | (labels >= classes)
    if is_odd.any():
        raise DataError(
            f"the shards of {folder} have label {labels[is_odd][0]}, but {record_index.INDEX} has {classes} classes;"
            " fetch them again, or convert again"
        )
    return labels.astype(np.int32)


def open_split(
    folder: Path,
    train: bool,
    options: ClassificationOptions,
    known: Sequence[str] = (),
    share: Share = alone,
) -> Shards:
    """The split that the options ask for, checked as far as names and sizes show it; raises DataError.

    Labels number the `known` classes of the training, where there are any.
    """
    record_index.check(
        options.dataset, folder, train, options.num_classes, options.allow_unused_classes, known
    )
    shards = Shards(folder, train, share)
    if known and options.dataset == "imagenet":
        numbers = np.array([known.index(name) for name in shards.classes], np.int32)
        shards.labels = numbers[shards.labels]
    return shards
