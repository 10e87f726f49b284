"""HTTP/1.1 as a client of a store speaks it (RFC 9112): one connection, answers received into memory that is there.

http.client makes a message of e-mail of every answer's head, which costs more than all the rest of a small file's copy.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Dict, TypeVar

from mindlift import limits

if TYPE_CHECKING:
    import ssl

PIECE = (
    256 << 10
)  # bytes per read and write; what is received is still in the processor's cache when it is written
HEAD = 16 << 10  # bytes received at first: the head of an answer, and the beginning of its body
STATUS_LINE = re.compile(r"HTTP/1\.([01]) (\d{3})(?: (.*))?")
HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([^\r\n]*)\r\n")  # RFC 9112, section 5
FRAMING = ("content-length", "transfer-encoding")  # which must not contradict themselves
CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?")
Default = TypeVar("Default")


class ProtocolError(Exception):
    """The answer is no HTTP, breaks off, or trickles; another attempt may do better."""


class Closed(ProtocolError):
    """The connection ended before the first byte of an answer."""


class TunnelRefused(OSError):
    """A proxy does not connect to the store. The text is its status and reason."""


class Headers(Dict[str, str]):
    """By names in small letters; asked for by any. Of one that came twice the last value is there."""

    def get(self, name: str, default: Default = None) -> str | Default:  # type: ignore[assignment, override]
        return super().get(name.lower(), default)

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and super().__contains__(name.lower())


class Connection:
    """To `host:port`, through `proxy` (host:port) if there is one; with `context` by TLS, through a tunnel.

    Not for two threads at a time. Requests and answers take turns.
    """

    def __init__(
        self,
        address: str,
        timeout_s: float,
        context: Callable[[], ssl.SSLContext] | None = None,
        proxy: str = "",
        proxy_headers: Mapping[str, str] | None = None,
    ):
        self.address, self.timeout, self.context = address, timeout_s, context
        self.is_tunnel, self.is_forwarded = bool(proxy and context), bool(proxy and not context)
        self.proxy_headers = dict(proxy_headers or {})
        self.host, self.port = host_and_port(proxy or address, 443 if context and not proxy else 80)
        self.sock: socket.socket | None = None
        self.buffer = memoryview(bytearray(HEAD))
        self.start = self.end = 0  # what of the buffer has been received and not taken
        self.waited_s, self.received, self.has_begun = 0.0, 0, False

    def connect(self) -> None:
        """OSError, ssl.SSLError among them, if it can't; TunnelRefused if the proxy does not want to."""
        sock = socket.create_connection((self.host, self.port), self.timeout)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.sock, self.start, self.end = sock, 0, 0
            if self.is_tunnel:
                self.open_tunnel()
            if self.context:
                name = host_and_port(self.address, 443)[0]
                self.sock = sock = self.context().wrap_socket(sock, server_hostname=name)
        except BaseException:
            self.sock = None
            sock.close()
            raise

    def open_tunnel(self) -> None:
        host, port = host_and_port(self.address, 443)
        place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self.send(request_head("CONNECT", place, {"Host": place, **self.proxy_headers}), b"")
        answer = self.answer("CONNECT")
        if not 200 <= answer.status < 300:
            raise TunnelRefused(f"{answer.status} {answer.reason}".strip())

    def close(self) -> None:
        if self.sock is not None:
            self.sock.close()
            self.sock = None

    def set_timeout(self, seconds: float) -> None:
        """For each wait for some bytes."""
        if self.sock is not None:
            self.sock.settimeout(seconds)

    def send(self, head: bytes, body: bytes | memoryview) -> None:
        assert self.sock is not None
        if not body:
            self.sock.sendall(head)
            return
        view = memoryview(body)
        if len(view) <= PIECE:
            self.sock.sendall(b"".join((head, view)))
            return
        self.sock.sendall(head)
        for at in range(0, len(view), PIECE):  # the timeout is for each of them
            self.sock.sendall(view[at : at + PIECE])

    def receive(self, view: memoryview) -> int:
        """Some bytes into `view`, 0 at the end of the connection."""
        assert self.sock is not None
        if not self.has_begun:
            count = self.sock.recv_into(view)
            self.has_begun = True
            return count
        began = time.monotonic()
        count = self.sock.recv_into(view)
        self.waited_s += time.monotonic() - began
        self.received += count
        if self.waited_s >= limits.LEAST_RATE_TIME_S:
            self.check_rate()
        return count

    def check_rate(self) -> None:
        """Each byte of an answer that trickles arrives in time, but the whole never would."""
        if self.received < limits.LEAST_RATE * self.waited_s:
            raise ProtocolError(
                f"only {self.received} bytes of an answer in {self.waited_s:.0f} s, the least is {limits.LEAST_RATE}/s"
            )
        self.received, self.waited_s = 0, 0.0

    def answer(self, method: str) -> Response:
        """The next answer, its head received; those that are only on the way (1xx) are passed over."""
        self.waited_s, self.received, self.has_begun = 0.0, 0, False
        while True:
            found = Response(self, method, self.head())
            if found.status >= 200 or found.status == 101:
                return found

    def head(self) -> str:
        """Status line and headers, each with its line end, without the empty line behind them."""
        found, searched = b"", 0
        while True:
            if self.start == self.end and not self.fill():
                raise (ProtocolError("the answer ended within its head") if found else Closed("no answer"))
            found += self.buffer[self.start : self.end]
            stop = found.find(b"\r\n\r\n", max(searched - 3, 0))
            if stop >= 0:
                self.start = self.end - (len(found) - stop - 4)
                return found[: stop + 2].decode("latin-1")
            searched, self.start = len(found), self.end
            if searched > limits.HEAD_BYTES:
                raise ProtocolError(f"the head of the answer is longer than {limits.HEAD_BYTES:,} bytes")

    def fill(self) -> int:
        self.start, self.end = 0, self.receive(self.buffer)
        return self.end

    def take(self, view: memoryview) -> int:
        """Some bytes into `view`: what the buffer has, else from the connection, 0 at its end."""
        count = min(self.end - self.start, len(view))
        if not count:
            return self.receive(view)
        view[:count] = self.buffer[self.start : self.start + count]
        self.start += count
        return count

    def line(self) -> bytes:
        """Up to the next line end."""
        found = b""
        while not found.endswith(b"\r\n"):
            if self.start == self.end and not self.fill():
                raise ProtocolError("the answer ended within a line")
            found += self.buffer[self.start : self.start + 1]
            self.start += 1
            if len(found) > limits.HEAD_BYTES:
                raise ProtocolError("a line of the answer has no end")
        return found[:-2]


class Response:
    """An answer. Its body can be read once; then the connection is free for the next request, if `can_reuse`."""

    def __init__(self, connection: Connection, method: str, head: str):
        first, _, lines = head.partition("\r\n")
        match = STATUS_LINE.fullmatch(first)
        if not match:
            raise ProtocolError(f"the answer begins with {first[:60]!r}, which is no HTTP")
        self.connection = connection
        self.status, self.reason = int(match[2]), match[3] or ""
        self.headers = headers_of(lines)
        words = self.headers.get("connection", "").lower()
        self.is_kept = "close" not in words and (match[1] == "1" or "keep-alive" in words)
        self.is_chunked = self.headers.get("transfer-encoding", "").lower() == "chunked"
        self.left = self.length_of_body(
            method
        )  # bytes, of this chunk if it is chunked; -1: until the connection ends
        self.is_complete = self.left == 0 and not self.is_chunked

    def length_of_body(self, method: str) -> int:
        """RFC 9112, section 6.3."""
        if method == "HEAD" or self.status < 200 or self.status in (204, 304):
            self.is_chunked = False
            return 0
        if method == "CONNECT" and self.status < 300:
            self.is_chunked = False
            return 0
        if "transfer-encoding" in self.headers:
            if not self.is_chunked:
                raise ProtocolError(
                    f"Transfer-Encoding: {self.headers['transfer-encoding']} was not asked for"
                )
            return 0
        length = self.headers.get("content-length")
        if length is None:
            self.is_kept = False
            return -1
        if not (length.isascii() and length.isdigit()):
            raise ProtocolError(f"Content-Length: {length[:60]} is no length")
        return int(length)

    @property
    def can_reuse(self) -> bool:
        return self.is_complete and self.is_kept

    def read_into(self, view: memoryview) -> int:
        """The next bytes of the body, as many as `view` takes and the body has; 0 at its end."""
        done = 0
        while done < len(view) and not self.is_complete:
            if self.is_chunked and not self.left:
                self.next_chunk()
                continue
            room = view[done:] if self.left < 0 else view[done : done + self.left]
            count = self.connection.take(room)
            done += count
            if self.left < 0:
                self.is_complete = not count
            elif not count:
                return done  # broken off: `left` says how much
            else:
                self.left -= count
                if self.is_chunked and not self.left and self.connection.line():
                    raise ProtocolError("a chunk of the answer is longer than it says")
                self.is_complete = not self.left and not self.is_chunked
        return done

    def next_chunk(self) -> None:
        """RFC 9112, section 7.1."""
        match = CHUNK_SIZE.fullmatch(self.connection.line())
        if not match:
            raise ProtocolError("a chunk of the answer has no size")
        self.left = int(match[1], 16)
        if self.left:
            return
        for _ in range(limits.HEAD_BYTES):
            if not self.connection.line():  # the end of the trailers
                self.is_complete = True
                return
        raise ProtocolError("the answer has trailers without end")

    def read(self, most: int) -> bytes:
        """The whole body, or its first `most` bytes; ProtocolError if it breaks off."""
        pieces, view = [], memoryview(bytearray(min(most, PIECE) if self.left <= 0 else min(most, self.left)))
        while most > 0 and not self.is_complete:
            count = self.read_into(view[: min(most, len(view))])
            if not count and not self.is_complete:
                raise ProtocolError(f"the answer ended {self.left} bytes early")
            pieces.append(bytes(view[:count]))
            most -= count
        return b"".join(pieces)


def headers_of(text: str) -> Headers:
    """Of lines that all end in CRLF; ProtocolError for one that is no header, and for two lengths."""
    pairs = HEADER.findall(text)
    if len(pairs) != text.count("\n") or len(pairs) != text.count("\r"):
        bad = next((line for line in text.split("\r\n") if not HEADER.fullmatch(f"{line}\r\n")), text)
        raise ProtocolError(f"{bad[:60]!r} is no header")
    if not pairs:
        return Headers()
    names, values = zip(*pairs)
    found = Headers(zip(map(str.lower, names), map(str.strip, values)))
    if len(found) < len(pairs):
        lines = f"\n{text.lower()}"
        twice = [name for name in FRAMING if lines.count(f"\n{name}:") > 1]
        if twice:
            raise ProtocolError(f"the answer has the header {twice[0]} twice")
    return found


def request_head(method: str, target: str, headers: Mapping[str, str]) -> bytes:
    """ValueError for a line end in any of them, which would be the beginning of another request."""
    text = "\r\n".join([f"{method} {target} HTTP/1.1", *map("%s: %s".__mod__, headers.items()), "", ""])
    ends = len(headers) + 2
    if text.count("\n") != ends or text.count("\r") != ends:
        raise ValueError("a header of the request has a line end in it")
    return text.encode("latin-1")


def host_and_port(address: str, port: int) -> tuple[str, int]:
    """Of host, host:port or [address of IPv6]:port, with the scheme's port if none is written."""
    host, _, given = address.rpartition(":")
    if not given.isdigit() or (":" in host and not host.endswith("]")):
        host, given = address, str(port)
    return host.strip("[]"), int(given)
