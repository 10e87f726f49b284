"""One MindRecord shard: written beside its place, read back, then renamed into it."""

from __future__ import annotations

import hashlib
import os
import shutil
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Dict

import numpy as np

from mindlift.data import image_folder
from mindlift.data.classification import cifar10
from mindlift.data.mindrecord import read as record_read
from mindlift.data.mindrecord.index import ShardRecord
from mindlift.errors import DataError, StorageError
from mindlift.files import printable, sync
from mindlift.runs.manifest import file_sha256

AT_ONCE = 64  # rows for one call of the writer
LEAST_PAGE, USUAL_PAGE, MOST_PAGE = 1 << 16, 1 << 25, 1 << 28
Row = Dict[str, Any]  # of a shard, by the names and types of its SCHEMA: numbers, text, bytes


@dataclass(frozen=True)
class Task:
    """One shard: a name in the folder `out`, and `rows`, what its rows are made of. Subclasses say how."""

    out: Path
    work: Path
    name: str
    split: str
    rows: list[Any]
    header: int
    page: int

    SCHEMA: ClassVar[dict[str, dict[str, str]]]
    FIELDS: ClassVar[list[str]]  # that are indexed

    def contents(self, skipped: list[str]) -> Iterator[Row]:
        """The rows to write. A corrupt image raises DataError, or its name is added to `skipped`."""
        raise NotImplementedError

    def proof(self, number: int, row: Row) -> tuple[int, tuple]:
        """What tells the row apart from others, and what has to be read back; `number` is its place in the shard."""
        raise NotImplementedError

    def read_back(self, path: Path) -> Iterator[Row]:
        """The rows as this project's reader finds them."""
        raise NotImplementedError

    def complete(self, path: Path) -> None:
        """The last touch to a shard that mindspore has written."""


@dataclass(frozen=True)
class ImageTask(Task):
    """Images with a class each: `rows` are (index, label, name), `name` below `source` where it is a file."""

    source: Path
    pixels: bool
    skip_corrupt: bool

    FIELDS = record_read.FIELDS
    SCHEMA = {  # noqa: RUF012 - a constant
        "index": {"type": "int64"},
        "label": {"type": "int32"},
        "file": {"type": "string"},
        "crc": {"type": "int64"},
        "image": {"type": "bytes"},
    }

    def contents(self, skipped: list[str]) -> Iterator[Row]:
        for index, label, name in self.rows:
            try:
                data = image_bytes(self, index, name)
            except DataError:
                if not self.skip_corrupt:
                    raise
                skipped.append(name)
                continue
            yield {
                "index": index,
                "label": label,
                "file": printable(name),
                "crc": zlib.crc32(data),
                "image": data,
            }

    def proof(self, number: int, row: Row) -> tuple[int, tuple]:
        found = int(row["label"]), str(row["file"]), int(row["crc"]), digest(bytes(row["image"]))
        return int(row["index"]), found

    def read_back(self, path: Path) -> Iterator[Row]:
        with open(path, "rb") as file:
            for row in record_read.rows_of(path):
                yield {**row._asdict(), "image": os.pread(file.fileno(), row.length, row.offset)}


def page_sizes(shard_bytes: int, largest: int) -> tuple[int, int]:
    """Header and page size: the usual 32 MB pages, smaller for small shards, since files are whole pages.

    DataError if the largest image does not fit into a page of the greatest size.
    """
    if 2 * largest > MOST_PAGE:
        raise DataError(f"an image of {largest} bytes is too large for MindRecord; at most {MOST_PAGE // 2}")
    page = LEAST_PAGE
    while page < MOST_PAGE and (page < 2 * largest or (page < USUAL_PAGE and page * 16 < shard_bytes)):
        page *= 2
    return (1 << 24 if shard_bytes > 1 << 33 else 1 << 18), page


def image_bytes(task: ImageTask, index: int, name: str) -> bytes:
    if task.pixels:
        return pixels_of(task.source, task.split)[index].tobytes()
    path = str(task.source / name)
    data = image_folder.read_bytes(path)
    image_folder.decode(data, path)
    return data


@lru_cache(maxsize=1)
def pixels_of(source: Path, split: str) -> np.ndarray:
    return cifar10.load(source, split == "train", 256, allow_unused=True)[0]


def make(task: Task, advance: Callable[[int], None]) -> ShardRecord:
    """Write, verify and rename one shard; returns its record for the index. `advance` hears of rows done."""
    part = task.work / f"{task.name}.{os.getpid()}.part"
    try:
        part.mkdir()
        record = write(task, part / task.name, advance)
        if record["rows"]:
            # the shard itself comes last: where it is, its index is
            os.replace(part / f"{task.name}.db", task.out / f"{task.name}.db")
            os.replace(part / task.name, task.out / task.name)
            sync(task.out)
        return record
    except OSError as err:
        if isinstance(err, StorageError):
            raise
        if err.filename is not None and not str(err.filename).startswith((str(task.work), str(task.out))):
            raise DataError(f"can't read {err.filename}: {err.strerror}") from err
        raise StorageError(f"can't write {task.name} to {task.out}: {err.strerror}{room(task.out)}") from err
    finally:
        shutil.rmtree(part, ignore_errors=True)


def write(task: Task, path: Path, advance: Callable[[int], None]) -> ShardRecord:
    skipped: list[str] = []
    written = write_rows(task, path, task.contents(skipped), advance)
    record: ShardRecord = {
        "file": task.name,
        "split": task.split,
        "rows": len(written),
        "skipped": skipped,
    }
    if not written:
        return {**record, "bytes": 0, "index_bytes": 0}
    task.complete(path)
    verify(task, path, written)
    index = path.with_name(path.name + ".db")
    for file in (path, index):
        os.chmod(file, 0o666 & ~umask())  # mindspore makes them readable for their owner only
        sync(file)
    record["bytes"], record["sha256"] = path.stat().st_size, file_sha256(path)
    record["index_bytes"], record["index_sha256"] = index.stat().st_size, file_sha256(index)
    return record


def write_rows(task: Task, path: Path, rows: Iterator[Row], advance: Callable[[int], None]) -> dict:
    """Writes the shard; returns what has to be in it, by the proofs of its rows."""
    from mindspore.mindrecord import FileWriter

    batch: list[Row] = []
    writer, written = None, {}
    try:
        for number, row in enumerate(rows):
            key, value = task.proof(number, row)
            written[key] = value
            batch.append(row)
            if writer is None:
                writer = FileWriter(str(path), 1)
                writer.set_header_size(task.header)
                writer.set_page_size(task.page)
                writer.add_schema(task.SCHEMA, "images")
                writer.add_index(task.FIELDS)
            if len(batch) == AT_ONCE:
                writer.write_raw_data(batch)
                advance(len(batch))
                batch = []
        if writer is not None:
            if batch:
                writer.write_raw_data(batch)
            writer.commit()
            advance(len(batch))
    except RuntimeError as err:
        reason = str(err).strip().splitlines()[0][:200]
        raise StorageError(f"can't write {task.name} to {task.out}: {reason}{room(task.out)}") from err
    return written


def verify(task: Task, path: Path, written: dict[int, tuple]) -> None:
    """StorageError unless mindspore's reader and ours both find exactly the rows that were written."""
    from mindspore.mindrecord import FileReader

    reader = FileReader([str(path)], num_consumer=1)
    try:
        theirs = dict(task.proof(number, row) for number, row in enumerate(reader.get_next()))
    finally:
        reader.close()
    ours = dict(task.proof(number, row) for number, row in enumerate(task.read_back(path)))
    for who, found in (("mindspore", theirs), ("the index", ours)):
        wrong = [index for index in written.keys() | found.keys() if written.get(index) != found.get(index)]
        if wrong:
            raise StorageError(
                f"{path.name}: {len(wrong)} of {len(written)} rows are not what was written, read by {who}, the first"
                f" is image {min(wrong)}; is the disk all right?"
            )


def digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


def room(folder: Path) -> str:
    """Says how much space is left, for the end of a message; a full disk is the usual cause."""
    free = shutil.disk_usage(folder).free
    return f"; {free / 1e6:.1f} MB free there. Make room and run the same command again: it continues"


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
