"""A file from a web server: whole, of the size that the server names, and not twice the same."""

from __future__ import annotations

import http.client
import json
import shutil
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Callable
from urllib.parse import urlsplit

from mindlift import json_text
from mindlift.errors import StageError, StorageError, TransferError
from mindlift.files import atomic_file, remove_file, write_atomic
from mindlift.program.channels import shown
from mindlift.storage import trust
from mindlift.storage.copying.progress import Progress, as_bytes

ATTEMPTS, TIMEOUT_S = 5, 60.0
CHUNK_BYTES = 1 << 20
Say = Callable[[str], None]


def file_name(url: str) -> str:
    return shown(url).rstrip("/").rpartition("/")[2] or "file"


def opened(url: str, headers: dict[str, str]) -> http.client.HTTPResponse:
    try:
        request = urllib.request.Request(url, headers=headers)
        return urllib.request.urlopen(request, timeout=TIMEOUT_S, context=trust.context())
    except urllib.error.HTTPError as err:
        if err.code in (408, 429) or err.code >= 500 or err.code == 304:
            raise
        raise StageError(f"{shown(url)}: the server answered {err.code} {err.reason}") from err
    except urllib.error.URLError as err:
        permanent = trust.reason(str(err.reason), urlsplit(url).netloc.rpartition("@")[2])
        if permanent:
            raise StageError(f"{shown(url)}: {permanent}") from err
        raise


def fetch(url: str, path: Path, say: Say) -> Path:
    """`path` as the server has it; kept where the server says that it has not changed."""
    stamp = path.with_name(f".{path.name}.web")
    known = read(stamp) if path.is_file() and path.stat().st_size == read(stamp).get("size") else {}
    problem: Exception = TransferError("not tried")
    for attempt in range(ATTEMPTS):
        time.sleep(2.0**attempt - 1)
        try:
            return once(url, path, stamp, known, say)
        except urllib.error.HTTPError as err:
            if err.code == 304:
                say(f"{shown(url)} is in {path} already")
                return path
            problem = err
        except StorageError:
            raise
        except (OSError, http.client.HTTPException) as err:
            problem = err
    raise TransferError(f"{shown(url)} did not arrive: {problem} ({ATTEMPTS} attempts)") from problem


def once(url: str, path: Path, stamp: Path, known: dict, say: Say) -> Path:
    started = time.monotonic()
    headers = {"If-None-Match": known.get("etag"), "If-Modified-Since": known.get("modified")}
    with opened(url, {name: value for name, value in headers.items() if value}) as answer:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_file(stamp)
        expected = answer.headers.get("Content-Length")
        with Progress(f"fetch {shown(url)}", say) as progress, atomic_file(path, durable=False) as file:
            progress.expect(1, int(expected or 0))
            shutil.copyfileobj(Counting(answer, progress.add), file, CHUNK_BYTES)
            size = file.tell()
            if expected is not None and size != int(expected):
                raise TransferError(f"{size} of {expected} bytes came")
    record = {
        "size": size,
        "etag": answer.headers.get("ETag"),
        "modified": answer.headers.get("Last-Modified"),
    }
    write_atomic(stamp, json.dumps(record))
    say(f"fetched {shown(url)}: {as_bytes(size)} in {time.monotonic() - started:.1f} s")
    return path


class Counting:
    """A stream that tells how much has been read."""

    def __init__(self, stream: http.client.HTTPResponse, advance: Callable[[int], None]):
        self.stream, self.advance = stream, advance

    def read(self, size: int = -1) -> bytes:
        try:
            data = self.stream.read(size)
        except (OSError, http.client.HTTPException) as err:
            raise TransferError(f"{type(err).__name__}: {err}") from err
        self.advance(len(data))
        return data


def read(stamp: Path) -> dict:
    try:
        return json_text.read(stamp)
    except (OSError, ValueError):
        return {}
