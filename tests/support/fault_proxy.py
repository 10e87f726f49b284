"""An HTTP/1.1 proxy between a test and its object store; it spoils the exchanges that the test picks."""

from __future__ import annotations

import asyncio
import contextlib
import html
import re
import socket
import struct
import threading
from collections.abc import AsyncIterator, Coroutine
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

from tests.support.faults import (
    ANSWERS,
    CODES,
    ON_BODY,
    ON_HEAD,
    ON_RANGE,
    ON_UPLOAD,
    PAGE,
    PAGES,
    Fault,
    Request,
    Reset,
    spoil,
    spoil_head,
    spoil_range,
)
from tests.support.http_messages import Message, drained, joined, once


class Link(NamedTuple):
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class OwnAnswer(NamedTuple):
    """What the proxy says instead of the store."""

    status: int
    body: bytes
    retry_after: int | None = None
    head: str = "Content-Type: application/xml\r\nx-amz-request-id: 18EC5D3D1EAE387C"


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
            elif fault and fault.kind in ON_HEAD and response.status < HTTPStatus.MULTIPLE_CHOICES:
                pieces = await spoil_head(response, pieces, fault)
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

    def _own_answer(self, request: Request, fault: Fault) -> OwnAnswer | None:
        """What the proxy itself answers, if it does."""
        if fault.kind == "repeat_page" and request.listing:
            return OwnAnswer(200, self._pages[request.listing])
        if fault.kind in PAGES:
            return OwnAnswer(fault.status or 200, PAGE, head=PAGES[fault.kind])
        if fault.kind == "status":
            status, code = fault.status, fault.code or CODES.get(fault.status, "InternalError")
        elif fault.kind in ANSWERS:
            status, code = ANSWERS[fault.kind]
        else:
            return None
        error = f"<Error><Code>{code}</Code><Message>a fault of the test</Message></Error>"
        text = f'<?xml version="1.0" encoding="UTF-8"?>\n{error}'
        return OwnAnswer(status, text.encode(), fault.retry_after)

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


async def send_own(answer: OwnAnswer, request: Message, client: Link) -> bool:
    """Answer in the place of the store; False if the client may still be about to send a body."""
    expects = "expect" in request.headers
    if not expects:
        await drained(request.body())
    head = f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}\r\n{answer.head}\r\n\r\n"
    response = Message(head.encode(), client.reader)
    response.set("Retry-After", answer.retry_after)
    response.set("Connection", "close" if expects else None)
    pieces = response.set_body(answer.body)
    if request.start.startswith("HEAD "):
        pieces = once(b"")
    await response.send(client.writer, pieces)
    return not expects and not request.last
