"""The SQLite index beside a MindRecord file: which rows the shard has and where they lie, as columns. Needs no mindspore."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mindlift import limits
from mindlift.data import strings
from mindlift.data.mindrecord import file as record_file
from mindlift.data.mindrecord.file import AGAIN, LENGTH_BYTES
from mindlift.data.strings import StringArray
from mindlift.errors import DataError
from mindlift.model_utils.streaming import arrivals

AT_ONCE = 1 << 12  # rows that are Python objects at the same time
PLACE = ("PAGE_ID_BLOB", "PAGE_OFFSET_BLOB", "PAGE_OFFSET_BLOB_END")


@dataclass(frozen=True)
class Rows:
    """The rows of a shard in its order: indexed fields that are numbers (fields, N) int64, one that is text, and where each
    row's blob lies, without its length: `offsets` and `lengths` (N,) int64.
    """

    numbers: np.ndarray
    texts: StringArray
    offsets: np.ndarray
    lengths: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets)


def read(path: Path, numbers: Sequence[str], text: str = "") -> Rows:
    """The rows of a shard with those of its indexed fields; without `text`, texts are empty.

    DataError if the header or the index can't be read, if the index names another file, or if a row lies outside.
    """
    return located(path, record_file.facts(path), numbers, text)


def located(path: Path, shard: record_file.Facts, numbers: Sequence[str], text: str = "") -> Rows:
    """The same of a shard that may be elsewhere, with its index as if it were at `path`."""
    head, end = shard
    start, page = min(end, head["header_size"] + LENGTH_BYTES), min(end + 1, head["page_size"])
    columns, texts = [np.zeros((len(numbers) + len(PLACE), 0), np.int64)], strings.Builder()
    for rows in portions(path, [*numbers, *([text] if text else [])]):
        found = list(zip(*rows))
        if text:
            add_texts(texts, found.pop(len(numbers)), path)
        columns.append(integers(found, rows, len(numbers), path))
    whole = np.concatenate(columns, 1)
    pages, firsts, lasts = whole[len(numbers) :]
    offsets, lengths = start + pages * page + firsts, lasts - firsts - LENGTH_BYTES
    is_inside = (
        (pages >= 0) & (pages <= end // max(1, page)) & (firsts >= 0) & (firsts <= end) & (lasts <= end)
    )
    is_inside &= (lengths >= 0) & (offsets + lengths <= end)
    if not is_inside.all():
        odd = int(is_inside.argmin())
        raise DataError(
            f"{path}.db has a row at byte {offsets[odd]}, of {lengths[odd]}; the shard has {end}; {AGAIN}"
        )
    return Rows(whole[: len(numbers)], texts.built(), offsets, lengths)


def integers(columns: Sequence[tuple], rows: list[tuple], values: int, path: Path) -> np.ndarray:
    """(columns, N) int64; DataError for another kind of value. The first `values` columns are of images, the others places."""
    for number, column in enumerate(columns):
        kinds = set(map(type, column))
        if kinds != {int}:
            odd = rows[next(at for at, value in enumerate(column) if type(value) is not int)]
            what, said = (
                ("an image", odd[:4]) if number < values else ("the place of a row", odd[-len(PLACE) :])
            )
            raise DataError(f"{path}.db has {said!r:.80} for {what}; {AGAIN}")
    return np.array(columns, np.int64)


def add_texts(texts: strings.Builder, column: tuple, path: Path) -> None:
    try:
        texts.extend(map(str, column))
    except ValueError:
        odd = next(text for text in map(str, column) if strings.END in text)
        raise DataError(f"{path}.db has {odd!r:.80} for the name of an image; {AGAIN}") from None


def portions(path: Path, fields: Sequence[str]) -> Iterator[list[tuple]]:
    """(*values, page, start and end in the page) of each row, from the index, up to AT_ONCE at a time."""
    database = path.with_name(path.name + ".db")
    columns = [*(f'"{field}_0"' for field in fields), *PLACE]
    try:
        arrivals.await_file(str(database))
        with contextlib.closing(
            sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
        ) as connection:
            check_tables(connection, database)
            limit_steps(connection, database.stat().st_size)
            check_name(connection, database, path)
            cursor = connection.execute(f"SELECT {', '.join(columns)} FROM INDEXES ORDER BY ROW_ID")
            yield from iter(lambda: cursor.fetchmany(AT_ONCE), [])
    except (sqlite3.Error, OSError, UnicodeDecodeError) as err:
        raise DataError(f"{database} can't be read ({err}); {AGAIN}") from err


def check_name(connection: sqlite3.Connection, database: Path, path: Path) -> None:
    names = [name for (name,) in connection.execute("SELECT NAME FROM SHARD_NAME")]
    if names != [path.name]:
        raise DataError(
            f"{database} belongs to {', '.join(map(str, names)):.200}, not to {path.name}; shards keep their names"
        )


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
