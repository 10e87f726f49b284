"""Published weights as files of this machine: from the cache, from that of another program, or from where they are."""

from __future__ import annotations

import functools
import json
import os
import re
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from mindlift import json_text
from mindlift.errors import AccessError, CheckpointError, TransferError
from mindlift.files import CACHE_OPTION, make_folder, write_atomic
from mindlift.json_text import Record
from mindlift.locks import alone
from mindlift.model_utils.hub import places
from mindlift.models.weights import published
from mindlift.models.weights.published import Published
from mindlift.runs.manifest import file_sha256
from mindlift.storage import web
from mindlift.storage.copying.progress import as_bytes
from mindlift.storage.http1 import Headers
from mindlift.storage.web_file import Fetched, NotAsPromised, Sum, WebFile

SHA256 = re.compile(r"[0-9a-f]{64}")
Say = Callable[[str], None]


@dataclass(frozen=True)
class Here:
    """A file of this machine, and how it was checked."""

    path: Path
    checked: str


def get(name: str, cache: Path, say: Say, show_bar: bool | None = None, timeout_s: float = 7200.0) -> Path:
    """The file of the weights `name`, fetched if it is not here; of several processes one fetches it.

    ConfigError for a name that means nothing; CheckpointError for a file here that is another one; TransferError in one line
    with what to fetch by hand and where to put it.
    """
    weights = published.lookup(name)
    folder = places.folder(weights, cache)
    here = find(weights, cache, say)
    if here is None:
        with alone(folder.with_name(f".{folder.name}.lock"), f"fetch {name}", timeout_s, say):
            here = find(weights, cache, say) or fetched(weights, folder, say, show_bar)
    if here.path.parent != folder:
        say(f"{name}: {here.path}, {here.checked}")
    return here.path


def find(weights: Published, cache: Path, say: Say) -> Here | None:
    """The file here, compared with what is known of it; None if there is none that is whole."""
    folder = places.folder(weights, cache)
    for path in (folder / file for file in weights.files):
        if path.is_file():
            return own(path, weights, say)
    for path in places.of_others(weights, os.environ):
        if path.is_file():
            digits = weights.digits or (path.resolve().name if SHA256.fullmatch(path.resolve().name) else "")
            if file_sha256(path).startswith(digits):
                return Here(path, f"compared with SHA-256 {digits[:8]}" if digits else "not checked")
            say(f"{path} is not what it should be (SHA-256), and is passed over")
    return None


def own(path: Path, weights: Published, say: Say) -> Here | None:
    """A file of the cache; None for one that was fetched and is damaged now."""
    known, found = record_of(path), file_sha256(path)
    wanted = str(known.get("sha256", "")) or weights.digits
    if not found.startswith(wanted):
        if known:
            say(f"{path} is not what was fetched (SHA-256), and is fetched again")
            return None
        raise CheckpointError(
            f"{path} is not {weights.name}: its SHA-256 begins with {found[:8]}, not {wanted}; remove it, or put the right"
            " file there"
        )
    if known:
        return Here(path, str(known.get("checked", "")))
    return Here(path, f"put here, compared with SHA-256 {wanted}" if wanted else "put here, not checked")


def fetched(weights: Published, folder: Path, say: Say, show_bar: bool | None) -> Here:
    env = os.environ
    urls, headers = places.urls(weights, env), places.headers(weights, env)
    if weights.repo and places.is_offline(env):
        raise TransferError(missing(weights, folder, urls[0], "HF_HUB_OFFLINE is set"))
    make_folder(folder, CACHE_OPTION)
    for url in urls:
        path = folder / url.rpartition("/")[2]
        try:
            file = WebFile(url, headers, functools.partial(sums, weights, url))
            return noted(path, url, file.fetch(path, say, show_bar), say)
        except web.NotThere as err:
            if url == urls[-1]:
                raise TransferError(
                    f"{weights.name}: {err}; its source has moved it, or the mirror has it not"
                ) from err
        except AccessError as err:
            advice = f"{err}; it is private, gated or not there: set HF_TOKEN to a token that may read it"
            raise AccessError(f"{weights.name}: {advice if weights.repo else err}") from err
        except NotAsPromised as err:
            raise TransferError(f"{weights.name}: {err}") from err
        except TransferError as err:
            raise TransferError(missing(weights, folder, url, str(err))) from err
    raise AssertionError("there is a file")


def missing(weights: Published, folder: Path, url: str, why: str) -> str:
    return (
        f"{weights.name} is not on this machine ({why}): fetch {web.shown(url)} elsewhere and put it into {folder}/ as"
        f" {url.rpartition('/')[2]}"
    )


def sums(weights: Published, url: str, answer: Headers) -> Sequence[Sum]:
    """What the file is to be compared with: its name's digits, the hub's SHA-256 (the ETag of what it keeps in LFS), or
    the MD5 of Google's storage.
    """
    host = web.Address.of(url).host
    if weights.digits:
        return [Sum("sha256", weights.digits, "its name")]
    etag = answer.get("x-linked-etag", answer.get("etag", "")).strip()
    etag = re.sub(r'^(W/)?"(.*)"$', r"\2", etag)
    if weights.repo and SHA256.fullmatch(etag):
        return [Sum("sha256", etag, host)]
    md5 = re.search(r"md5=([A-Za-z0-9+/]{22}==)", answer.get("x-goog-hash", ""))
    return [Sum("md5", b64decode(md5[1]).hex(), host)] if md5 else []


def noted(path: Path, url: str, found: Fetched, say: Say) -> Here:
    """Beside the file, where it is from and what it is."""
    how = ", ".join(map(str, found.sums)) or "nothing: its source publishes no checksum"
    checked = f"compared with {how}"
    record: Record = {
        "url": web.shown(url),
        "size_bytes": found.size_bytes,
        "sha256": found.sha256,
        "checked": checked,
        "commit": found.headers.get("x-repo-commit", ""),
    }
    write_atomic(record_path(path), json.dumps(record, indent=1) + "\n")
    say(
        f"fetched {web.shown(url)}: {as_bytes(found.size_bytes)}, SHA-256 {found.sha256}, {checked}; it is {path}"
    )
    return Here(path, checked)


def record_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def record_of(path: Path) -> Record:
    try:
        found = json_text.read(record_path(path))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) and SHA256.fullmatch(str(found.get("sha256"))) else {}
