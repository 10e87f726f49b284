"""Requests and responses of HTTP/1.1 as they come, piece by piece."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

PIECE = 64 * 1024


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
