"""What a connection makes of answers, by RFC 9112 (HTTP/1.1) and RFC 9110 (HTTP semantics); sections are named."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from mindlift import limits
from mindlift.storage.http1 import (
    Closed,
    Connection,
    ProtocolError,
    Response,
    TunnelRefused,
    host_and_port,
    request_head,
)

GET = request_head("GET", "/k", {"Host": "h"})


class Server:
    """Accepts connections, reads a request's head, and sends what the test has given, byte by byte if it wants."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.answers: list[bytes] = []
        self.heads: list[bytes] = []
        self.step = 1 << 20
        self.closes = True
        threading.Thread(target=self.serve, daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.socket.getsockname()[1]}"

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection, suppress(ConnectionError):  # whoever has seen enough resets it
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.speak(connection)

    def speak(self, connection: socket.socket) -> None:
        while self.read_head(connection):
            answer = self.answers.pop(0)
            for at in range(0, len(answer), self.step):
                connection.sendall(answer[at : at + self.step])
            if self.closes:
                return

    def read_head(self, connection: socket.socket) -> bool:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            piece = connection.recv(1)
            if not piece:
                return False
            head += piece
        self.heads.append(head)
        return True


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.socket.close()


@pytest.fixture
def connection(server: Server) -> Iterator[Connection]:
    made = Connection(server.address, 5)
    yield made
    made.close()


def ask(server: Server, connection: Connection, answer: bytes, method: str = "GET") -> Response:
    server.answers.append(answer)
    if connection.sock is None:
        connection.connect()
    connection.send(request_head(method, "/k", {"Host": "h"}), b"")
    return connection.answer(method)


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
BODIES = {
    "a length (6.2)": (OK + b"Content-Length: 5\r\n\r\nhello", b"hello", True),
    "nothing": (OK + b"Content-Length: 0\r\n\r\n", b"", True),
    "the end of the connection (6.3, rule 8)": (OK + b"\r\nhello", b"hello", False),
    "chunks (7.1)": (CHUNKED + b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", b"hello", True),
    "an extension of a chunk (7.1.1)": (CHUNKED + b"5;name=value\r\nhello\r\n0\r\n\r\n", b"hello", True),
    "hexadecimal digits": (CHUNKED + b"0A\r\nhellohello\r\n0\r\n\r\n", b"hellohello", True),
    "trailers (7.1.2)": (CHUNKED + b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n", b"hello", True),
    "chunks go before a length (6.3, rule 3)": (
        OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"hello",
        True,
    ),
    "Connection: close (9.6)": (OK + b"Connection: close\r\nContent-Length: 5\r\n\r\nhello", b"hello", False),
    "HTTP/1.0 (9.3)": (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello", False),
    "HTTP/1.0 that is kept": (
        b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 5\r\n\r\nhello",
        b"hello",
        True,
    ),
    "no reason (4)": (b"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello", b"hello", True),
    "204 has no body (6.3, rule 1)": (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
    "304 has none, whatever its length": (b"HTTP/1.1 304 X\r\nContent-Length: 5\r\n\r\n", b"", True),
    "100 comes before the answer (RFC 9110, 15.2)": (
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 5\r\n\r\nhello",
        b"hello",
        True,
    ),
}


@pytest.mark.parametrize("step", [1, 1 << 20])
@pytest.mark.parametrize("what", BODIES)
def test_where_a_body_ends(server, connection, what, step):
    answer, body, can_reuse = BODIES[what]
    server.step, server.closes = step, not can_reuse
    found = ask(server, connection, answer)
    assert found.read(1000) == body
    assert found.can_reuse is can_reuse
    if can_reuse:
        assert ask(server, connection, OK + b"Content-Length: 4\r\n\r\nnext").read(1000) == b"next"


def test_the_answer_to_a_head_has_no_body(server, connection):
    """Section 6.3, rule 1."""
    found = ask(server, connection, OK + b"Content-Length: 5\r\n\r\n", "HEAD")
    assert (found.headers["Content-Length"], found.read(10), found.can_reuse) == ("5", b"", True)


def test_headers_by_any_spelling(server, connection):
    """RFC 9110, section 5.1: names are case-insensitive; 5.5: blanks around a value are none of it."""
    found = ask(server, connection, OK + b'eTaG: \t"x" \r\nX-Empty:\r\nContent-Length:0\r\n\r\n').headers
    assert (found["ETag"], found.get("etag"), "ETAG" in found, found["x-empty"]) == ('"x"', '"x"', True, "")
    assert found.get("missing") is None


WRONG = {
    "no HTTP": b"\x15\x03\x01 what\r\n\r\n",
    "HTTP/2": b"HTTP/2 200 OK\r\n\r\n",
    "no status": b"HTTP/1.1 OK\r\n\r\n",
    "no colon (5)": OK + b"Content-Length 5\r\n\r\nhello",
    "a blank before the colon (5.1)": OK + b"Content-Length : 5\r\n\r\nhello",
    "a folded line (5.2)": OK + b"X: a\r\n b\r\nContent-Length: 5\r\n\r\nhello",
    "a line end of its own": OK + b"X: a\nContent-Length: 5\r\n\r\nhello",
    "two lengths (6.3, rule 5)": OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "a length that is none": OK + b"Content-Length: +5\r\n\r\nhello",
    "another coding (6.1)": OK + b"Transfer-Encoding: gzip\r\n\r\nhello",
    "a chunk without a size": CHUNKED + b"x\r\nhello\r\n0\r\n\r\n",
    "a chunk that is too long": CHUNKED + b"3\r\nhello\r\n0\r\n\r\n",
    "chunks that break off": CHUNKED + b"5\r\nhel",
    "no last chunk": CHUNKED + b"5\r\nhello\r\n",
    "a body that breaks off": OK + b"Content-Length: 5\r\n\r\nhel",
    "a head that breaks off": OK + b"Content-Len",
    "a head without end": OK + b"X: " + b"x" * (limits.HEAD_BYTES + 20_000),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_no_answer(server, connection, what):
    with pytest.raises(ProtocolError):
        ask(server, connection, WRONG[what]).read(1000)


def test_a_kept_connection_that_was_closed_meanwhile(server, connection):
    assert ask(server, connection, OK + b"Content-Length: 2\r\n\r\nok").read(9) == b"ok"
    connection.send(GET, b"")
    with pytest.raises((Closed, ConnectionError)):
        connection.answer("GET")


def test_an_answer_that_trickles(server, connection, monkeypatch):
    monkeypatch.setattr(limits, "LEAST_RATE_TIME_S", 0.0)
    monkeypatch.setattr(limits, "LEAST_RATE", 10**12)
    server.step = 1
    with pytest.raises(ProtocolError, match=f"the least is {10**12}/s"):
        ask(server, connection, OK + b"Content-Length: 900\r\n\r\n" + b"x" * 900).read(900)


def test_parts_of_a_body_into_memory(server, connection):
    found = ask(server, connection, OK + b"Content-Length: 100000\r\n\r\n" + bytes(range(250)) * 400)
    view = memoryview(bytearray(60_000))
    assert (found.read_into(view), bytes(view)) == (60_000, bytes(range(250)) * 240)
    assert (found.read_into(view), found.read_into(view)) == (40_000, 0)
    assert found.can_reuse


def test_a_line_end_in_a_header_is_refused():
    """RFC 9110, section 5.5: a recipient would take what follows for another header, or another request."""
    for words in (
        ("GET", "/k\r\nX: y", {}),
        ("GET", "/k", {"If-Match": '"\r\n\r\nDELETE /k"'}),
        ("GET", "/k", {"X": "a\n"}),
    ):
        with pytest.raises(ValueError, match="line end"):
            request_head(*words)
    assert request_head("GET", "/k", {"A": "b"}) == b"GET /k HTTP/1.1\r\nA: b\r\n\r\n"


def test_addresses():
    assert host_and_port("obs.example.com", 443) == ("obs.example.com", 443)
    assert host_and_port("obs.example.com:9000", 443) == ("obs.example.com", 9000)
    assert host_and_port("[::1]:9000", 80) == ("::1", 9000)
    assert host_and_port("[fd00::1]", 80) == ("fd00::1", 80)


def test_a_tunnel_through_a_proxy(server):
    """RFC 9110, section 9.3.6."""
    made = Connection(
        "store.example.com", 5, lambda: None, server.address, {"Proxy-Authorization": "Basic eA=="}
    )
    server.answers.append(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
    with pytest.raises(TunnelRefused, match="407 Proxy Authentication Required"):
        made.connect()
    assert made.sock is None
    first, *others = server.heads[0].decode().split("\r\n")
    assert first == "CONNECT store.example.com:443 HTTP/1.1"
    assert {"Host: store.example.com:443", "Proxy-Authorization: Basic eA=="} <= set(others)
