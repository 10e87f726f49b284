"""An index of a folder in a bucket: what it holds, written once, so that later jobs need not list it.

A gzip file of JSON lines: a head with the folder's URL, then `[name, bytes, ETag, time in ns]` for each object, in the order
of names. The objects are the store's, and are checked as they are read.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

from mindlift import json_text
from mindlift.errors import DataError, StageError
from mindlift.files import atomic_file, remove_file
from mindlift.storage.copying.copy import listing
from mindlift.storage.copying.progress import Progress, Say
from mindlift.storage.places import locate
from mindlift.storage.store import Entry
from mindlift.storage.url import as_folder

VERSION = 1
LEVEL = 6  # of gzip


def write_listing(path: Path, url: str, say: Say) -> tuple[int, int]:
    """Lists `url` and writes its index; see `write`. StageError if there is nothing, and then no file is left."""
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
    try:
        with gzip.open(path, "rb") as file:
            is_first = True
            for block in json_text.blocks(cast(BinaryIO, file)):
                rows = json_text.parse(b"[" + b",".join(block.splitlines()) + b"]")
                if is_first:
                    check(rows[0], path, url)
                for name, size, etag, modified_ns in rows[1:] if is_first else rows:
                    if not (
                        isinstance(name, str) and isinstance(etag, str) and type(size) is int and size >= 0
                    ):
                        raise ValueError(f"{name!r} is no entry")
                    yield Entry(name, size, etag, int(modified_ns))
                is_first = False
            if is_first:
                raise ValueError("it is empty")
    except OSError as err:
        if err.errno is None:  # gzip's own, of what is no gzip file
            raise damaged(path, err) from err
        raise DataError(f"can't read the index {path}: {err.strerror}") from err
    except (EOFError, ValueError, TypeError, IndexError, zlib.error) as err:
        raise damaged(path, err) from err


def check(head: object, path: Path, url: str) -> None:
    version = head.get("mindlift_index") if isinstance(head, dict) else None
    if version != VERSION:
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
