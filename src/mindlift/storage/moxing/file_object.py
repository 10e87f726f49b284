"""`File`: a file of any place behind the interface of open()."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from typing import Any

from mindlift.files import temporary_folder
from mindlift.storage.errors import MoxFileNotExistsException
from mindlift.storage.moxing.on_demand import copy_file, locate
from mindlift.storage.store import LocalStore, Store
from mindlift.storage.url import PathLike

READ_AHEAD = 4 << 20  # bytes
MODES = {"r", "w", "a", "r+", "w+", "a+"}


class ObjectReader(io.RawIOBase):
    """An object as a seekable stream. It is the object of the moment of opening, or an error."""

    def __init__(self, store: Store, key: str):
        entry = store.stat(key)
        if entry is None or entry.is_folder:
            raise MoxFileNotExistsException(f"no such file: {key}")
        self.store, self.entry, self.position = store, entry, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self.position, io.SEEK_END: self.entry.size}[whence]
        if base + offset < 0:
            raise ValueError(f"negative position {base + offset}")
        self.position = base + offset
        return self.position

    def tell(self) -> int:
        return self.position

    def readinto(self, buffer: Any) -> int:
        count = min(len(buffer), self.entry.size - self.position)
        if count <= 0:
            return 0
        data = self.store.read(self.entry.key, self.position, count, self.entry.etag)
        buffer[: len(data)] = data
        self.position += len(data)
        return len(data)


class ObjectWriter:
    """A local file that stands for an object until it is uploaded."""

    def __init__(self, url: str, store: Store, key: str, kind: str):
        self.url, self.changed = url, "w" in kind
        self.folder = temporary_folder("object")
        self.path = os.path.join(self.folder.name, "object")
        entry = None if "w" in kind else store.stat(key)
        if entry is not None and not entry.is_folder:
            copy_file(url, self.path)
        elif "r" in kind:
            self.folder.cleanup()
            raise MoxFileNotExistsException(f"no such file: {url}")
        else:
            open(self.path, "wb").close()
            self.changed = True

    def upload(self) -> None:
        if self.changed:
            copy_file(self.path, self.url)
            self.changed = False


class File:
    """`File(name, mode)`: r, w, a, r+, w+ and a+, each also with b. Text is UTF-8 unless `encoding` says more.

    Reading an object takes ranges of it, 4 MiB ahead; if it is replaced meanwhile, reading it on is a
    TransferError. Writing one goes to a temporary local file, which `flush` and `close` upload whole; if a
    `with` block ends by an exception, it is not uploaded. A local path behaves as open() does.
    """

    def __init__(self, name: PathLike, mode: str = "r", encoding: str | None = None, **options: Any):
        kind = "".join(sorted(mode.replace("b", "").replace("t", ""), reverse=True))
        if kind not in MODES or mode.count("b") > 1:
            raise ValueError(f"mode {mode!r}: use r, w, a, r+, w+ or a+, with or without b")
        self.name, self.mode = os.fspath(name), mode
        self.is_binary = "b" in mode
        self.encoding = None if self.is_binary else encoding or "utf-8"
        self.writer: ObjectWriter | None = None
        self.stream = self._open(kind, options)

    def _open(self, kind: str, options: dict[str, Any]) -> Any:
        store, key = locate(self.name)
        suffix = "b" if self.is_binary else ""
        if isinstance(store, LocalStore):
            return open(store.path(key), kind + suffix, encoding=self.encoding, **options)
        if kind == "r":
            buffered = io.BufferedReader(ObjectReader(store, key), READ_AHEAD)
            return buffered if self.is_binary else io.TextIOWrapper(buffered, self.encoding, **options)
        self.writer = ObjectWriter(self.name, store, key, kind)
        local = "r+" if kind == "r+" else kind
        return open(self.writer.path, local + suffix, encoding=self.encoding, **options)

    def __enter__(self) -> File:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and self.writer:
            self.writer.changed = False
        self.close()

    def __iter__(self) -> Iterator[str | bytes]:
        return iter(self.stream)

    def __next__(self) -> str | bytes:
        return next(self.stream)

    def __getattr__(self, name: str) -> Any:
        if name == "stream":
            raise AttributeError(name)
        return getattr(self.stream, name)

    def next(self) -> str | bytes:
        return next(self.stream)

    def write(self, data: str | bytes) -> int:
        if self.writer:
            self.writer.changed = True
        return self.stream.write(data)

    def writelines(self, lines: Iterable[str | bytes]) -> None:
        if self.writer:
            self.writer.changed = True
        self.stream.writelines(lines)

    def truncate(self, size: int | None = None) -> int:
        if self.writer:
            self.writer.changed = True
        return self.stream.truncate(size)

    def flush(self) -> None:
        """Also uploads, if there is something new."""
        self.stream.flush()
        if self.writer:
            self.writer.upload()

    def size(self) -> int:
        """Bytes of the file, with what has been written so far."""
        place = self.stream.tell()
        if self.writer or not isinstance(getattr(self.stream, "raw", None), ObjectReader):
            if self.stream.writable():
                self.stream.flush()
            end = self.stream.seek(0, io.SEEK_END)
            self.stream.seek(place)
            return end
        return self.stream.raw.entry.size

    def close(self) -> None:
        """Uploads what was written, and closes; a second time it does nothing."""
        if self.stream.closed:
            return
        self.stream.close()
        if self.writer:
            try:
                self.writer.upload()
            finally:
                self.writer.folder.cleanup()
