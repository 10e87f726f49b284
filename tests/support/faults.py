"""What a FaultProxy spoils: the faults, the requests that they fit, and a body with one in it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from tests.support.http_messages import Message, drained, joined

CODES = {429: "TooManyRequests", 500: "InternalError", 503: "SlowDown"}
ANSWERS = {"expired_token": (403, "ExpiredToken"), "error_in_200": (200, "InternalError")}
ON_UPLOAD = {"reset_upload", "flip_upload_bit"}
ON_BODY = {"reset", "truncate", "trickle", "stall", "flip_bit"}
ON_RANGE = {"full_for_range", "wrong_content_range", "no_content_range"}
ON_HEAD = {"header", "short"}
PAGES = {  # what stands in the head of a page
    "portal": "Content-Type: text/html",
    "static_page": 'Content-Type: text/html\r\nETag: "686e0d4c-60"\r\nLast-Modified: Wed, 09 Jul 2025 06:34:20 GMT',
}
PAGE = b"<!DOCTYPE html><html><head><title>Welcome</title></head><body>Please log in<br></body></html>"
NEEDED = {  # the argument without which the fault would do nothing
    "trickle": "rate",
    "stall": "seconds",
    "status": "status",
    "full_for_range": "body",
    "wrong_content_range": "shift",
    "replace": "call",
    "header": "name",
}
KINDS = {"status", "replace", "lost_response", "repeat_page", "stale_token"}.union(
    ANSWERS, ON_UPLOAD, ON_BODY, ON_RANGE, ON_HEAD, PAGES
)
LIST_ARGUMENTS = {
    "list-type",
    "prefix",
    "delimiter",
    "marker",
    "continuation-token",
    "start-after",
    "max-keys",
    "encoding-type",
    "fetch-owner",
}


@dataclass
class Fault:
    """What happens to the first `times` requests (None: to all) that it fits.

    reset            RST after `after` bytes of the response's body, or `before` the request is passed on
    reset_upload     RST after `after` bytes of the request's body
    truncate         the connection ends in order after `after` bytes of the body
    trickle          `rate` bytes of the body per second
    stall            nothing for `seconds` after `after` bytes of the body
    status           the answer is `status` with an S3 error (`code`), and Retry-After if `retry_after`
    expired_token    the answer is 403 ExpiredToken
    error_in_200     the answer is 200 with an S3 error
    lost_response    the request is served, but the client gets an RST instead of the response
    full_for_range   200 with the whole object, `body`, for a part of it
    wrong_content_range, no_content_range   the header moved by `shift` bytes, or left out
    repeat_page      the page that was listed last for this prefix, once more
    stale_token      a page that names its own beginning as the next one
    flip_bit, flip_upload_bit   one bit of byte `after` of the body differs
    replace          `call()` runs before the request is passed on
    portal, static_page   a page in HTML, with `status` (200), instead of the store's answer; the request is not
                     passed on. A static one has ETag and Last-Modified, as nginx gives them to its files
    header           the header `name` of a success has the value `value`, or is left out
    short            a success of `after` bytes, in good order: Content-Length fits
    """

    kind: str
    method: str = "GET"  # a regular expression for all of it
    path: str = ""  # another, to be found in the request's target
    times: int | None = 1
    after: int = 0
    before: bool = False
    rate: int = 0
    seconds: float = 0
    status: int = 0
    code: str = ""
    retry_after: int | None = None
    shift: int = 0
    body: bytes | None = None
    name: str = ""
    value: str | None = None
    call: Callable[[], object] | None = None
    used: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no fault is called {self.kind!r}: {', '.join(sorted(KINDS))}")
        needed = NEEDED.get(self.kind)
        if needed and getattr(self, needed) in (0, None, ""):
            raise ValueError(f"fault {self.kind!r} needs {needed}=")

    def fits(self, request: Request, pages: dict[tuple[str, str], bytes]) -> bool:
        """Whether it is for this request, and can do something to it."""
        if self.used == self.times or not re.fullmatch(self.method, request.method):
            return False
        if not re.search(self.path, request.target):
            return False
        if self.kind in ON_RANGE:
            return "range" in request.headers
        if self.kind == "repeat_page":
            return request.listing in pages
        return self.kind != "stale_token" or bool(request.token)


@dataclass
class Request:
    """What a client has asked for; the names of headers are in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    fault: str = ""

    def __post_init__(self) -> None:
        parts = urlsplit(self.target)
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        self.encoded = query.get("encoding-type") == "url"
        self.token = query.get("continuation-token") or query.get("marker") or ""
        bucket, _, key = parts.path.strip("/").partition("/")
        self.listing: tuple[str, str] | None = None
        if self.method == "GET" and bucket and not key and query.keys() <= LIST_ARGUMENTS:
            self.listing = (bucket, query.get("prefix", ""))


class Reset(Exception):
    """The client is to get an RST now."""


async def spoil_head(response: Message, pieces: AsyncIterator[bytes], fault: Fault) -> AsyncIterator[bytes]:
    """Make a success promise less, or give less and say so."""
    if fault.kind == "header":
        response.set(fault.name, fault.value)
        return pieces
    return response.set_body((await joined(pieces))[: fault.after])


async def spoil_range(response: Message, pieces: AsyncIterator[bytes], fault: Fault) -> AsyncIterator[bytes]:
    """Make the answer to a ranged GET tell another story."""
    if fault.kind == "wrong_content_range":
        first, last, total = re.split("[-/]", response.headers["content-range"].split()[1])
        moved = f"bytes {int(first) + fault.shift}-{int(last) + fault.shift}/{total}"
        response.set("Content-Range", moved)
        return pieces
    response.set("Content-Range")
    if fault.body is None:
        return pieces
    await drained(pieces)
    response.start = "HTTP/1.1 200 OK"
    return response.set_body(fault.body)


def spoil(message: Message, pieces: AsyncIterator[bytes], fault: Fault) -> AsyncIterator[bytes]:
    """A body with the fault in it; one that is too short for the fault does not use it up."""
    length = 0 if message.bodiless else message.length
    if length is not None and length <= fault.after:
        fault.used -= 1
        return pieces
    return trickle(pieces, fault.rate) if fault.kind == "trickle" else strike(pieces, fault)


async def trickle(pieces: AsyncIterator[bytes], rate: int) -> AsyncIterator[bytes]:
    step = max(1, rate // 20)
    async for piece in pieces:
        for at in range(0, len(piece), step):
            yield piece[at : at + step]
            await asyncio.sleep(step / rate)


async def strike(pieces: AsyncIterator[bytes], fault: Fault) -> AsyncIterator[bytes]:
    """A body up to byte `fault.after`, and then what the fault leaves of it."""
    ahead = fault.after
    async for piece in pieces:
        spared, rest = piece[: max(ahead, 0)], piece[max(ahead, 0) :]
        if spared:
            yield spared
        if rest and ahead >= 0:
            if fault.kind == "truncate":
                raise EOFError
            if fault.kind in ("reset", "reset_upload"):
                raise Reset
            if fault.kind == "stall":
                await asyncio.sleep(fault.seconds)
            else:
                rest = bytes([rest[0] ^ 1]) + rest[1:]
        if rest:
            yield rest
        ahead -= len(piece)
