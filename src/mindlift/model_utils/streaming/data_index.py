"""An index of a folder in a bucket: what it holds, written once, so that later jobs need not list it.

A gzip file of JSON lines: a head with the folder's URL, then `[name, bytes, ETag, time in ns]` for each object, in the order
of names. The objects are the store's, and are checked as they are read. For archives the head has these, and the lines are
the files in them, with their places.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

from mindlift import json_text
from mindlift.errors import DataError, StageError
from mindlift.files import atomic_file, remove_file
from mindlift.model_utils.streaming import archived
from mindlift.model_utils.streaming.archived import Found, Place
from mindlift.storage.copying.copy import listing
from mindlift.storage.copying.progress import Progress, Say
from mindlift.storage.places import locate
from mindlift.storage.store import Entry
from mindlift.storage.url import as_folder

VERSION, ARCHIVES = 1, 2
LEVEL = 6  # of gzip


def write_listing(path: Path, url: str, say: Say) -> tuple[int, int]:
    """Lists `url` and writes its index; see `write`. StageError if there is nothing, and then no file is left."""
    held = archived.held_at(url)
    if held is not None and not archived.cannot(held):
        found = archived.look_through(locate(url)[0], held, {}, say)
        write_members(path, url, found)
        return sum(map(len, found.values())), sum(each.size for files in found.values() for each in files)
    store, key = locate(url)
    with Progress(f"list {url}", say) as progress:
        files, size = write(path, url, listing(store, as_folder(key), progress))
    if not files:
        remove_file(path)
        raise StageError(f"no data at {url}: the folder is empty; no index has been written")
    return files, size


def write(path: Path, url: str, entries: Iterable[Entry]) -> tuple[int, int]:
    """Writes the index of `url` whole or not at all; returns the number of files, and their bytes."""
    files = size = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as file, gzip.GzipFile("", "wb", LEVEL, cast(BinaryIO, file), mtime=0) as lines:
        lines.write(line_of(head_of(url)))
        for entry in entries:
            lines.write(line_of(list(entry)))
            files, size = files + (not entry.is_folder), size + entry.size
    return files, size


def read(path: Path, url: str) -> Iterator[Entry]:
    """What the index `path` of `url` says, in its order. DataError if it is damaged, or of another folder."""
    with refusing_damage(path):
        rows = lines_of(path)
        check(next(rows, None), path, url, VERSION)
        for row in rows:
            yield entry_of(row)


def entry_of(row: Sequence[object]) -> Entry:
    name, size, etag, modified_ns = row
    if not (isinstance(name, str) and isinstance(etag, str) and type(size) is int and size >= 0):
        raise ValueError(f"{name!r} is no entry")
    return Entry(name, size, etag, int(modified_ns))  # type: ignore[call-overload]


def write_members(path: Path, url: str, found: Mapping[Entry, Sequence[Found]]) -> None:
    """Writes the index of the archives of `url`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    head = {**head_of(url), "mindlift_index": ARCHIVES, "archives": [list(each) for each in found]}
    with atomic_file(path) as file, gzip.GzipFile("", "wb", LEVEL, cast(BinaryIO, file), mtime=0) as lines:
        lines.write(line_of(head))
        for number, files in enumerate(found.values()):
            lines.writelines(line_of([number, each.name, each.size, *each.place[1:]]) for each in files)


def read_members(path: Path, url: str) -> dict[Entry, Sequence[Found]]:
    """The same by archive; none where there is no file."""
    if not path.exists():
        return {}
    with refusing_damage(path):
        rows = lines_of(path)
        head = next(rows, None)
        check(head, path, url, ARCHIVES)
        listed = [entry_of(row) for row in cast(json_text.Record, head)["archives"]]
        found: list[list[Found]] = [[] for _ in listed]
        for number, name, *numbers in rows:
            if not isinstance(name, str) or any(type(each) is not int for each in (number, *numbers)):
                raise ValueError(f"{name!r} is no file")
            size, *place = numbers
            found[number].append(Found(name, size, Place(listed[number], *place)))
        return dict(zip(listed, found))


def lines_of(path: Path) -> Iterator[Any]:
    with gzip.open(path, "rb") as file:
        for block in json_text.blocks(cast(BinaryIO, file)):
            yield from json_text.parse(b"[" + b",".join(block.splitlines()) + b"]")


@contextlib.contextmanager
def refusing_damage(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as err:
        if err.errno is None:  # gzip's own, of what is no gzip file
            raise damaged(path, err) from err
        raise DataError(f"can't read the index {path}: {err.strerror}") from err
    except (EOFError, ValueError, TypeError, IndexError, zlib.error) as err:
        raise damaged(path, err) from err


def check(head: object, path: Path, url: str, wanted: int) -> None:
    if head is None:
        raise ValueError("it is empty")
    version = head.get("mindlift_index") if isinstance(head, dict) else None
    if version in (VERSION, ARCHIVES) and version != wanted:
        what = "archives" if version == ARCHIVES else "a folder of files"
        raise DataError(
            f"{path} is the index of {what}, and {url} is none; write it again: mindlift data index {url}"
        )
    if version != wanted:
        raise ValueError("it has no head of `mindlift data index`")
    found = cast(json_text.Record, head).get("url")
    if found != as_folder(url):
        raise DataError(
            f"{path} is the index of {found}, and the data is {as_folder(url)}; write another one: mindlift data index {url}"
        )


def damaged(path: Path, err: Exception) -> DataError:
    return DataError(f"the index {path} is damaged: {err}; write it again with mindlift data index")


def head_of(url: str) -> json_text.Record:
    return {"mindlift_index": VERSION, "url": as_folder(url)}


def line_of(value: object) -> bytes:
    return json.dumps(value).encode() + b"\n"
