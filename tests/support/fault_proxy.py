"""An HTTP/1.1 proxy between a test and its object store; it spoils the exchanges that the test picks."""

from __future__ import annotations

import asyncio
import contextlib
import html
import re
import socket
import struct
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import parse_qs, quote, urlsplit

PIECE = 64 * 1024
CODES = {429: "TooManyRequests", 500: "InternalError", 503: "SlowDown"}
ANSWERS = {"expired_token": (403, "ExpiredToken"), "error_in_200": (200, "InternalError")}
ON_UPLOAD = {"reset_upload", "flip_upload_bit"}
ON_BODY = {"reset", "truncate", "trickle", "stall", "flip_bit"}
ON_RANGE = {"full_for_range", "wrong_content_range", "no_content_range"}
NEEDED = {  # the argument without which the fault would do nothing
    "trickle": "rate",
    "stall": "seconds",
    "status": "status",
    "full_for_range": "body",
    "wrong_content_range": "shift",
    "replace": "call",
}
KINDS = {"status", "replace", "lost_response", "repeat_page", "stale_token"}.union(
    ANSWERS, ON_UPLOAD, ON_BODY, ON_RANGE
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
    call: Callable[[], object] | None = None
    used: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no fault is called {self.kind!r}: {', '.join(sorted(KINDS))}")
        needed = NEEDED.get(self.kind)
        if needed and getattr(self, needed) in (0, None):
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


class Link(NamedTuple):
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class Message:
    """A request or a response: its head as it came, and its body, without the framing of chunks."""

    def __init__(self, head: bytes, reader: asyncio.StreamReader):
        self.start, *self.lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
        self.reader = reader
        self.trailer = b""
        self._read_headers()
        self.bodiless = not self.start.startswith("HTTP/") and not self.chunked and self.length is None

    @classmethod
    async def read(cls, reader: asyncio.StreamReader) -> Message:
        return cls(await reader.readuntil(b"\r\n\r\n"), reader)

    def _read_headers(self) -> None:
        pairs = (line.partition(":") for line in self.lines)
        self.headers = {name.lower(): value.strip() for name, _, value in pairs}
        self.chunked = self.headers.get("transfer-encoding", "").lower() == "chunked"
        length = self.headers.get("content-length")
        self.length = None if length is None else int(length)

    @property
    def status(self) -> int:
        return int(self.start.split()[1])

    @property
    def last(self) -> bool:
        """Whether the connection ends with it."""
        unframed = not (self.bodiless or self.chunked or self.length is not None)
        return unframed or self.headers.get("connection", "").lower() == "close"

    def set(self, name: str, value: object = None) -> None:
        """Replace or add a header, or remove it (None)."""
        self.lines = [line for line in self.lines if line.partition(":")[0].lower() != name.lower()]
        if value is not None:
            self.lines.append(f"{name}: {value}")
        self._read_headers()

    def set_body(self, body: bytes) -> AsyncIterator[bytes]:
        """Make the headers fit another body; returns it as `send` takes it."""
        self.set("Transfer-Encoding")
        self.set("Content-Length", len(body))
        return once(body)

    def encode(self) -> bytes:
        return "\r\n".join([self.start, *self.lines, "\r\n"]).encode("latin-1")

    async def body(self) -> AsyncIterator[bytes]:
        if self.bodiless:
            return
        if not self.chunked:
            async for piece in take(self.reader, self.length):
                yield piece
            return
        while size := int((await self.reader.readuntil(b"\r\n")).partition(b";")[0], 16):
            async for piece in take(self.reader, size):
                yield piece
            await self.reader.readexactly(2)
        while (line := await self.reader.readuntil(b"\r\n")) != b"\r\n":
            self.trailer += line

    async def send(self, writer: asyncio.StreamWriter, pieces: AsyncIterator[bytes]) -> None:
        writer.write(self.encode())
        async for piece in pieces:
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if self.chunked else piece)
            await writer.drain()
        if self.chunked and not self.bodiless:
            writer.write(b"0\r\n%b\r\n" % self.trailer)
        await writer.drain()


class FaultProxy:
    """Passes requests on unchanged (Host too, for it is signed) to `upstream`, but for the faults added.

    The first fault added that fits a request is applied; `requests` lists what was asked.
    """

    def __init__(self, upstream: str) -> None:
        self.requests: list[Request] = []
        self._faults: list[Fault] = []
        self._pages: dict[tuple[str, str], bytes] = {}
        self._upstream = urlsplit(upstream)
        self._tasks: set[asyncio.Task] = set()
        self._up = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy", daemon=True)

    def __enter__(self) -> FaultProxy:
        self._socket = bound(0)
        self.endpoint = "http://{}:{}".format(*self._socket.getsockname())
        self._thread.start()
        self._run(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._hang_up())
        self._run(self._loop.shutdown_default_executor())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def add(self, fault: Fault) -> Fault:
        self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Forget the faults, and what was asked."""
        self._faults.clear()
        self._pages.clear()
        self.requests.clear()

    def down(self, seconds: float) -> None:
        """Cut all connections and refuse new ones for so long; returns once it is down."""
        self._run(self._down(seconds))

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _listen(self) -> None:
        self._up = True
        self._server = await asyncio.start_server(self._serve, sock=self._socket)

    async def _hang_up(self) -> None:
        self._up = False
        self._server.close()
        self._socket.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _down(self, seconds: float) -> None:
        port = self._socket.getsockname()[1]
        await self._hang_up()
        self._socket = bound(port)  # kept from others, but deaf

        async def come_back() -> None:
            await asyncio.sleep(seconds)
            await self._listen()

        self._keep(asyncio.ensure_future(come_back()))

    def _keep(self, task: asyncio.Task | None) -> None:
        assert task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """All requests of one connection."""
        if not self._up:
            return reset(writer)
        self._keep(asyncio.current_task())
        client = Link(reader, writer)
        upstream: Link | None = None
        writer.transport.set_write_buffer_limits(0)  # drained: what was written has left this process
        try:
            while True:
                request = await Message.read(reader)
                if upstream is None or upstream.reader.at_eof():
                    if upstream:
                        upstream.writer.close()
                    address = self._upstream.hostname, self._upstream.port or 80
                    upstream = Link(*await asyncio.open_connection(*address))
                if not await self._exchange(request, client, upstream):
                    break
        except (Reset, asyncio.CancelledError):
            reset(writer)
        except (OSError, EOFError):
            pass  # one side has hung up: so do we
        finally:
            for link in (client, upstream):
                if link:
                    link.writer.close()

    async def _exchange(self, message: Message, client: Link, upstream: Link) -> bool:
        """One request and its response; False if the connection can't be used for another."""
        method, target, _ = message.start.split(" ", 2)
        request = Request(method, target, message.headers)
        fault = next((fault for fault in self._faults if fault.fits(request, self._pages)), None)
        self.requests.append(request)
        if fault:
            fault.used += 1
            request.fault = fault.kind
            if fault.kind == "reset" and fault.before:
                raise Reset
            if fault.kind == "replace" and fault.call:
                await asyncio.to_thread(fault.call)
            if answer := self._own_answer(request, fault):
                return await send_own(answer, message, client)

        upload = asyncio.ensure_future(self._upload(message, fault, client, upstream))
        try:
            response = await Message.read(upstream.reader)
            while response.status < HTTPStatus.OK:
                client.writer.write(response.encode())
                response = await Message.read(upstream.reader)
            response.bodiless = method == "HEAD" or response.status in (204, 304)
            pieces = response.body()
            if request.listing and response.status == HTTPStatus.OK:
                pieces = self._page(response, await joined(pieces), request)
            if request.fault == "lost_response":
                await drained(pieces)
                raise Reset
            if fault and fault.kind in ON_RANGE and response.status == HTTPStatus.PARTIAL_CONTENT:
                pieces = await spoil_range(response, pieces, fault)
            elif fault and fault.kind in ON_BODY:
                pieces = spoil(response, pieces, fault)
            await response.send(client.writer, pieces)
            await asyncio.wait([upload], timeout=1)
            return upload.done() and not message.last and not response.last
        finally:
            upload.cancel()

    async def _upload(self, message: Message, fault: Fault | None, client: Link, upstream: Link) -> None:
        pieces = message.body()
        if fault and fault.kind in ON_UPLOAD:
            pieces = spoil(message, pieces, fault)
        try:
            await message.send(upstream.writer, pieces)
        except Reset:
            reset(client.writer)
            upstream.writer.transport.abort()
        except (OSError, EOFError):
            upstream.writer.transport.abort()

    def _own_answer(self, request: Request, fault: Fault) -> tuple[int, bytes, int | None] | None:
        """The status, body and Retry-After with which the proxy itself answers, if it does."""
        if fault.kind == "repeat_page" and request.listing:
            return 200, self._pages[request.listing], None
        if fault.kind == "status":
            status, code = fault.status, fault.code or CODES.get(fault.status, "InternalError")
        elif fault.kind in ANSWERS:
            status, code = ANSWERS[fault.kind]
        else:
            return None
        error = f"<Error><Code>{code}</Code><Message>a fault of the test</Message></Error>"
        return status, f'<?xml version="1.0" encoding="UTF-8"?>\n{error}'.encode(), fault.retry_after

    def _page(self, response: Message, page: bytes, request: Request) -> AsyncIterator[bytes]:
        """A page of a listing; it is remembered for `repeat_page`, and changed by `stale_token`."""
        if request.fault == "stale_token":
            marker = quote(request.token) if request.encoded else request.token
            for name, token in (("NextContinuationToken", request.token), ("NextMarker", marker)):
                element = f"<{name}>{html.escape(token)}</{name}>".encode()
                page = re.sub(f"<{name}>.*?</{name}>".encode(), element.replace(b"\\", rb"\\"), page)
        assert request.listing
        self._pages[request.listing] = page
        return response.set_body(page)


def bound(port: int) -> socket.socket:
    """A socket that has a port, and refuses connections until it listens."""
    new = socket.socket()
    new.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    new.bind(("127.0.0.1", port))
    return new


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with an RST: no lingering for what was not sent yet."""
    with contextlib.suppress(OSError):
        lingering = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, lingering)
    writer.transport.abort()


async def send_own(answer: tuple[int, bytes, int | None], request: Message, client: Link) -> bool:
    """Answer in the place of the store; False if the client may still be about to send a body."""
    status, body, retry_after = answer
    expects = "expect" in request.headers
    if not expects:
        await drained(request.body())
    head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: application/xml\r\n\r\n"
    response = Message(head.encode(), client.reader)
    response.set("Retry-After", retry_after)
    response.set("Connection", "close" if expects else None)
    pieces = response.set_body(b"" if request.start.startswith("HEAD ") else body)
    await response.send(client.writer, pieces)
    return not expects and not request.last


async def take(reader: asyncio.StreamReader, length: int | None) -> AsyncIterator[bytes]:
    """The next `length` bytes in pieces, or all until the end (None)."""
    while length is None or length > 0:
        piece = await reader.read(PIECE if length is None else min(PIECE, length))
        if not piece and length is None:
            return
        if not piece:
            raise EOFError
        yield piece
        length = None if length is None else length - len(piece)


async def once(piece: bytes) -> AsyncIterator[bytes]:
    yield piece


async def joined(pieces: AsyncIterator[bytes]) -> bytes:
    return b"".join([piece async for piece in pieces])


async def drained(pieces: AsyncIterator[bytes]) -> None:
    async for _ in pieces:
        pass


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
