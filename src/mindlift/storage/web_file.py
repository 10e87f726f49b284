"""A file of a web server to a local one: continued where it broke off, compared with its sums, whole or not at all."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from mindlift import limits
from mindlift.errors import MindLiftError, StorageError, TransferError
from mindlift.files import PART, remove_file, sync
from mindlift.storage.copying.progress import Progress, as_bytes
from mindlift.storage.http1 import PIECE, Headers, ProtocolError, Response
from mindlift.storage.web import Passing, answered, described, shown

ATTEMPTS = 5  # in a row that bring nothing new
LONGEST_PAUSE_S = 16.0
sleep = time.sleep  # between attempts
Say = Callable[[str], None]


class NotAsPromised(TransferError):
    """What came has another checksum; nothing of it is kept."""


@dataclass(frozen=True)
class Sum:
    """How the digest of a file begins, by `algorithm` of hashlib; and who says so."""

    algorithm: str
    digits: str
    said_by: str

    def __str__(self) -> str:
        what = "" if len(self.digits) == 2 * hashlib.new(self.algorithm).digest_size else "the beginning of "
        return f"{what}{NAMES[self.algorithm]} by {self.said_by}"


NAMES = {"sha256": "SHA-256", "md5": "MD5"}


@dataclass(frozen=True)
class Fetched:
    """What came, what it was compared with, and what the server had said of it."""

    size_bytes: int
    sha256: str
    sums: tuple[Sum, ...]
    headers: Headers


@dataclass(frozen=True)
class WebFile:
    """What to fetch: `sums` reads from the server's headers what the file is to be compared with."""

    url: str
    headers: Mapping[str, str]
    sums: Callable[[Headers], Sequence[Sum]]

    def fetch(self, target: Path, say: Say, show_bar: bool | None = None) -> Fetched:
        """To `target`, whose folder is there. What has come stays beside it, to go on from, until it is complete or wrong.

        TransferError, or a class of web.py, in one line.
        """
        failures, began_anew = 0, False
        while True:
            before = coming(target)
            try:
                return self.once(target, say, show_bar)
            except NotAsPromised as err:
                if not before or began_anew:
                    raise
                began_anew = True
                say(f"{err}; what had come before may have been damaged")
            except Passing as err:
                failures = 1 if coming(target) > before else failures + 1
                if failures >= ATTEMPTS:
                    raise TransferError(f"{err} ({ATTEMPTS} attempts)") from err
                pause = min(2.0 ** (failures - 1), LONGEST_PAUSE_S)
                say(f"{err}; again in {pause:.0f} s, {as_bytes(coming(target))} are here")
                sleep(pause)

    def once(self, target: Path, say: Say, show_bar: bool | None) -> Fetched:
        headers = described(self.url, self.headers)
        sums = tuple(self.sums(headers))
        size = size_of(headers)
        if size is not None and size > limits.WEIGHTS_FILE_BYTES:
            raise TransferError(
                f"{shown(self.url)} has {size:,} bytes, more than {limits.WEIGHTS_FILE_BYTES:,}"
            )
        part = self.part(target, headers, sums)
        try:
            begun = part.stat().st_size if part.exists() else 0
            if size is not None and begun > size:
                remove_file(part)
                begun = 0
            if size is None or begun < size or not part.exists():
                self.receive(part, begun, size, say, show_bar)
            found = digests(part, {"sha256", *(each.algorithm for each in sums)})
            self.compare(part, found, sums)
            done = part.stat().st_size
            os.replace(part, target)
            sync(target.parent)
        except MindLiftError:
            raise
        except OSError as err:
            raise StorageError(f"can't write {target}: {err.strerror or err}") from err
        return Fetched(done, found["sha256"], sums, headers)

    def part(self, target: Path, headers: Headers, sums: Sequence[Sum]) -> Path:
        """Where this version of the file grows. One that nothing tells from others begins anew, and others' go."""
        version = sums[0].digits if sums else headers.get("etag", "")
        mark = hashlib.sha256(f"{self.url} {version}".encode()).hexdigest()[:12]
        part = target.with_name(f".{target.name}.{mark}{PART}")
        for other in target.parent.glob(f".{target.name}.*{PART}"):
            if other != part or not version:
                remove_file(other)
        return part

    def receive(self, part: Path, begun: int, size: int | None, say: Say, show_bar: bool | None) -> None:
        """The rest of the file behind its first `begun` bytes; Passing where it breaks off."""
        headers = {**self.headers, **({"Range": f"bytes={begun}-"} if begun else {})}
        with answered("GET", self.url, headers) as (response, _):
            if begun and not continues(response, begun, size):
                begun = 0
                os.truncate(part, 0)
            if not begun and response.status != 200:
                raise Passing(f"{shown(self.url)}: the server answered {response.status}, not with the file")
            if begun:
                say(f"{shown(self.url)} goes on behind its first {as_bytes(begun)}, which are here")
            self.write(response, part, begun, size, say, show_bar)

    def write(
        self, response: Response, part: Path, begun: int, size: int | None, say: Say, show_bar: bool | None
    ) -> None:
        view = memoryview(bytearray(PIECE))
        most = limits.WEIGHTS_FILE_BYTES if size is None else size
        with Progress(f"fetch {shown(self.url)}", say, show_bar) as progress, open(part, "ab") as file:
            progress.expect(1, 0 if size is None else size - begun)
            count = -1
            while count and not response.is_complete:
                try:
                    count = response.read_into(view)
                except (OSError, ProtocolError) as err:
                    raise Passing(f"{shown(self.url)} broke off: {type(err).__name__}: {err}") from err
                begun += count
                if begun > most:
                    remove_file(part)
                    raise TransferError(f"{shown(self.url)} sends more than the {most:,} bytes that it has")
                file.write(view[:count])
                progress.add(count)
            file.flush()
            os.fsync(file.fileno())
        if response.left > 0 or (size is not None and begun < size):
            raise Passing(f"{shown(self.url)} broke off after {begun:,} bytes")

    def compare(self, part: Path, found: Mapping[str, str], sums: Sequence[Sum]) -> None:
        """NotAsPromised, and nothing left, if the file is not the one that was promised."""
        for each in sums:
            if found[each.algorithm].startswith(each.digits):
                continue
            remove_file(part)
            raise NotAsPromised(
                f"{shown(self.url)} is not what it should be: {NAMES[each.algorithm]} {found[each.algorithm]}, but"
                f" {each.said_by} says {each.digits}; nothing of it is kept"
            )


def size_of(headers: Headers) -> int | None:
    linked = headers.get("x-linked-size")
    text = linked if linked is not None else headers.get("content-length", "")
    if linked is None and "x-linked-etag" in headers:
        return None  # that of the redirect's own text
    return int(text) if text.isascii() and text.isdigit() else None


def continues(response: Response, begun: int, size: int | None) -> bool:
    """Whether it is the part that was asked for (RFC 9110, section 14.4)."""
    first, _, whole = response.headers.get("content-range", "").partition("/")
    fits = size is None or whole in (str(size), "*")
    return response.status == 206 and first.startswith(f"bytes {begun}-") and fits


def coming(target: Path) -> int:
    """Bytes that have come of a file that is not complete."""
    return sum(part.stat().st_size for part in target.parent.glob(f".{target.name}.*{PART}"))


def digests(path: Path, algorithms: set[str]) -> dict[str, str]:
    found = {name: hashlib.new(name) for name in algorithms}
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            for digest in found.values():
                digest.update(block)
    return {name: digest.hexdigest() for name, digest in found.items()}
