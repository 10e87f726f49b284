"""`File`: a file of any place behind the interface of open()."""

from __future__ import annotations

import atexit
import contextlib
import io
import os
import sys
import time
import weakref
from collections.abc import Iterable, Iterator
from typing import Any

from mindlift.errors import MindLiftError, StorageError
from mindlift.files import temporary_folder
from mindlift.sanitize import address, message
from mindlift.storage.errors import MoxFileNotExistsException
from mindlift.storage.moxing.on_demand import copy_file, locate
from mindlift.storage.store import LocalStore, Store
from mindlift.storage.url import PathLike

TICK_NS = 20_000_000  # more than the time stamps of file systems are apart
READ_AHEAD = 4 << 20  # bytes
MODES = {"r", "w", "a", "r+", "w+", "a+"}


class ObjectReader(io.RawIOBase):
    """An object as a seekable stream. It is the object of the moment of opening, or an error."""

    def __init__(self, url: str, store: Store, key: str):
        entry = store.stat(key)
        if entry is None or entry.is_folder:
            raise MoxFileNotExistsException(f"no such file: {url}")
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
    """A local file that stands for an object until it is uploaded.

    Whether there is something new is seen by the file itself: libraries write to it by its number, and programs that
    they start by a copy of that.
    """

    def __init__(self, url: str, store: Store, key: str, kind: str):
        self.url, self.process = url, os.getpid()
        self.folder = temporary_folder("object")
        self.path = os.path.join(self.folder.name, "object")
        self.uploaded: tuple[int, int] | None = None
        self.failure = ""
        entry = None if "w" in kind else store.stat(key)
        if entry is not None and not entry.is_folder:
            copy_file(url, self.path)
            self.uploaded = self.stamp()
        elif "r" in kind:
            self.folder.cleanup()
            raise MoxFileNotExistsException(f"no such file: {url}")
        else:
            open(self.path, "wb").close()

    def stamp(self) -> tuple[int, int] | None:
        """Size and time; None where the clock of the file system may give the next change the same time."""
        found = os.stat(self.path)
        return (found.st_size, found.st_mtime_ns) if time.time_ns() - found.st_mtime_ns > TICK_NS else None

    def upload(self) -> None:
        """StorageError if not all of it could be written here."""
        if self.failure:
            raise StorageError(f"{self.url} was not uploaded: {self.failure}")
        stamp = self.stamp()
        if self.uploaded is None or stamp != self.uploaded:
            copy_file(self.path, self.url)
            self.uploaded = stamp


class File:
    """`File(name, mode)`: r, w, a, r+, w+ and a+, each also with b. Text is UTF-8 unless `encoding` says more.

    Reading an object takes ranges of it, 4 MiB ahead; if it is replaced meanwhile, reading it on is a
    TransferError. Writing one goes to a temporary local file, which `flush` and `close` upload whole; if a
    `with` block ends by an exception, it is not uploaded. One that is never closed is uploaded when it is collected, or
    at the end of the program, with a warning. A local path behaves as open() does.
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
            buffered = io.BufferedReader(ObjectReader(self.name, store, key), READ_AHEAD)
            return buffered if self.is_binary else io.TextIOWrapper(buffered, self.encoding, **options)
        self.writer = ObjectWriter(self.name, store, key, kind)
        OPEN.add(self)
        atexit.unregister(close_all)
        atexit.register(close_all)  # again, so that it comes before what was registered earlier
        local = "r+" if kind == "r+" else kind
        return open(self.writer.path, local + suffix, encoding=self.encoding, **options)

    def __enter__(self) -> File:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.discard()
        self.close()

    def __del__(self) -> None:
        if self.__dict__.get("writer") is not None and "stream" in self.__dict__:
            self.close_late()

    def close_late(self) -> None:
        """Upload what nobody has closed, as the end of a program writes a local file; not in a fork of this process."""
        if self.writer is None or self.stream.closed or self.writer.process != os.getpid():
            return
        try:
            self.close()
            print(f"warning: {address(self.name)} was never closed; it is uploaded now", file=sys.stderr)
        except (MindLiftError, OSError) as err:
            print(
                f"error: {message(err)}; {address(self.name)} was never closed, and is lost", file=sys.stderr
            )

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
        with self.noting_failures():
            return self.stream.write(data)

    def writelines(self, lines: Iterable[str | bytes]) -> None:
        with self.noting_failures():
            self.stream.writelines(lines)

    def flush(self) -> None:
        """Also uploads, if there is something new."""
        with self.noting_failures():
            self.stream.flush()
        if self.writer:
            self.writer.upload()

    @contextlib.contextmanager
    def noting_failures(self) -> Iterator[None]:
        """A file that a full disk has cut short is never uploaded."""
        try:
            yield
        except OSError as err:
            if self.writer:
                self.writer.failure = f"can't write {self.writer.path}: {err.strerror or err}"
            raise

    def discard(self) -> None:
        """Upload nothing of what was written since the last flush."""
        if self.writer:
            self.writer.folder.cleanup()
            self.writer = None

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
        try:
            with self.noting_failures():
                self.stream.close()
            if self.writer:
                self.writer.upload()
        finally:
            if self.writer:
                self.writer.folder.cleanup()


OPEN: weakref.WeakSet[File] = weakref.WeakSet()


def close_all() -> None:
    """At the end of the program: what is open still."""
    for file in list(OPEN):
        file.close_late()
