"""Every fault of the proxy does what it says, and what is not spoiled passes unchanged."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse, IncompleteRead
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Fault

DATA = bytes(range(256)) * 1000


class Upstream(BaseHTTPRequestHandler):
    """A store of one object; it lists pages whose token is one more than the one asked for."""

    protocol_version = "HTTP/1.1"
    received: ClassVar[list[bytes]] = []
    second_half: ClassVar = threading.Event()

    def do_GET(self) -> None:
        if "list-type" in self.path:
            token = int(re.findall(r"continuation-token=(\d+)|$", self.path)[0] or 0)
            self.answer(200, f"<NextContinuationToken>{token + 1}</NextContinuationToken>".encode())
        elif self.path == "/b/chunked":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nX-Sum: 5\r\n\r\n")
        elif self.path == "/b/halves":
            self.send_response(200)
            self.send_header("Content-Length", "6")
            self.end_headers()
            self.wfile.write(b"abc")
            self.second_half.wait(5)
            self.wfile.write(b"def")
        elif wanted := re.findall(r"bytes=(\d+)-(\d+)", self.headers.get("Range", "")):
            first, last = map(int, wanted[0])
            self.answer(206, DATA[first : last + 1], f"bytes {first}-{last}/{len(DATA)}")
        else:
            self.answer(200, DATA)

    def do_HEAD(self) -> None:
        self.answer(200, DATA)

    def do_DELETE(self) -> None:
        self.received.append(b"DELETE")
        self.send_response(204)
        self.end_headers()

    def do_PUT(self) -> None:
        self.received.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.answer(200, self.headers["Host"].encode())

    def answer(self, status: int, body: bytes, content_range: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if content_range:
            self.send_header("Content-Range", content_range)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A connection that a fault has cut."""


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    with QuietServer(("127.0.0.1", 0), Upstream) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,)).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def proxy(upstream: str) -> Iterator[FaultProxy]:
    Upstream.received.clear()
    with FaultProxy(upstream) as proxy:
        yield proxy


@pytest.fixture
def client(proxy: FaultProxy) -> Iterator[HTTPConnection]:
    connection = connect(proxy)
    yield connection
    connection.close()


def connect(proxy: FaultProxy) -> HTTPConnection:
    return HTTPConnection(proxy.endpoint.replace("http://", ""), timeout=10)


def ask(
    client: HTTPConnection,
    target: str = "/b/k",
    method: str = "GET",
    body: bytes | None = None,
    part: str = "",
) -> tuple[HTTPResponse, bytes]:
    client.request(method, target, body, {"Range": f"bytes={part}"} if part else {})
    response = client.getresponse()
    return response, response.read()


def test_what_is_not_spoiled_passes_unchanged_on_one_connection(proxy: FaultProxy, client: HTTPConnection):
    host = proxy.endpoint.replace("http://", "").encode()
    assert ask(client)[1] == DATA
    mine = client.sock.getsockname()
    assert ask(client, "/b/chunked")[1] == b"abcde"
    response, body = ask(client, method="HEAD")
    assert (response.getheader("Content-Length"), body) == (str(len(DATA)), b"")
    assert ask(client, method="DELETE")[0].status == 204
    assert ask(client, "/b/k?a=%2F", "PUT", DATA)[1] == host
    response, body = ask(client, part="1-3")
    assert (response.status, body) == (206, DATA[1:4])
    assert client.sock.getsockname() == mine
    assert Upstream.received == [b"DELETE", DATA]
    assert [(asked.method, asked.target, asked.fault) for asked in proxy.requests[4:]] == [
        ("PUT", "/b/k?a=%2F", ""),
        ("GET", "/b/k", ""),
    ]
    assert proxy.requests[-1].headers["range"] == "bytes=1-3"


def test_chunks_and_trailers_of_both_sides_are_kept(proxy: FaultProxy):
    with raw(proxy) as wire:
        wire.sendall(b"GET /b/chunked HTTP/1.1\r\nHost: h\r\n\r\n")
        assert read_until(wire, b"\r\n\r\n", count=2).endswith(
            b"3\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 5\r\n\r\n"
        )


def test_continue_is_the_upstreams(proxy: FaultProxy):
    with raw(proxy) as wire:
        wire.sendall(b"PUT /b/k HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        assert read_until(wire, b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
        assert not Upstream.received
        wire.sendall(b"abc")
        assert b" 200 OK" in read_until(wire, b"\r\n\r\nh")
    assert Upstream.received == [b"abc"]


def test_bodies_are_streamed(client: HTTPConnection):
    Upstream.second_half.clear()
    client.request("GET", "/b/halves")
    response = client.getresponse()
    assert response.read(3) == b"abc"
    Upstream.second_half.set()
    assert response.read() == b"def"


def raw(proxy: FaultProxy) -> socket.socket:
    host, port = proxy.endpoint.replace("http://", "").split(":")
    return socket.create_connection((host, int(port)), timeout=10)


def read_until(wire: socket.socket, end: bytes, count: int = 1) -> bytes:
    read = b""
    while read.count(end) < count:
        piece = wire.recv(4096)
        assert piece, read
        read += piece
    return read


def test_faults_are_used_in_order_by_the_requests_they_fit(proxy: FaultProxy, client: HTTPConnection):
    proxy.add(Fault("status", status=500, path="nowhere"))
    twice = proxy.add(Fault("status", status=500, times=2, path=r"/k$"))
    proxy.add(Fault("status", status=503, times=None))
    assert ask(client, method="HEAD")[0].status == 200
    assert [ask(client)[0].status for _ in range(4)] == [500, 500, 503, 503]
    assert twice.used == 2
    assert [asked.fault for asked in proxy.requests] == ["", *["status"] * 4]
    proxy.clear()
    assert ask(client)[0].status == 200
    assert len(proxy.requests) == 1


def test_a_fault_behind_the_end_of_the_body_is_not_used(proxy: FaultProxy, client: HTTPConnection):
    fault = proxy.add(Fault("flip_bit", "GET|HEAD", after=100))
    assert ask(client, method="HEAD")[1] == b""
    assert ask(client, part="0-99")[1] == DATA[:100]
    assert fault.used == 0
    assert ask(client, part="0-100")[1] == DATA[:100] + b"e"
    assert fault.used == 1


@pytest.mark.parametrize("fault", [("typo", {}), ("trickle", {}), ("status", {}), ("replace", {})])
def test_a_fault_that_would_do_nothing_is_refused(fault: tuple[str, dict]):
    with pytest.raises(ValueError, match=fault[0]):
        Fault(fault[0], **fault[1])


@pytest.mark.parametrize("after", [0, 1, 70_000])
def test_reset(proxy: FaultProxy, client: HTTPConnection, after: int):
    proxy.add(Fault("reset", after=after))
    client.request("GET", "/b/k")
    response = client.getresponse()
    assert response.read(after) == DATA[:after]
    with pytest.raises(ConnectionResetError):
        response.read()


def test_reset_before(proxy: FaultProxy, client: HTTPConnection):
    proxy.add(Fault("reset", "PUT", before=True))
    with pytest.raises(ConnectionError):
        ask(client, method="PUT", body=b"abc")
    assert not Upstream.received


def test_reset_upload(proxy: FaultProxy, client: HTTPConnection):
    proxy.add(Fault("reset_upload", "PUT", after=100_000))
    with pytest.raises(ConnectionError):
        ask(client, method="PUT", body=DATA)
    assert DATA not in Upstream.received
    client.close()
    assert ask(client, method="PUT", body=DATA)[0].status == 200


def test_truncate(proxy: FaultProxy, client: HTTPConnection):
    proxy.add(Fault("truncate", after=1000))
    with pytest.raises(IncompleteRead) as raised:
        ask(client)
    assert raised.value.partial == DATA[:1000]
    assert raised.value.expected == len(DATA) - 1000


def test_trickle(proxy: FaultProxy, client: HTTPConnection):
    proxy.add(Fault("trickle", rate=1000))
    began = time.monotonic()
    assert ask(client, part="0-299")[1] == DATA[:300]
    assert 0.25 < time.monotonic() - began < 3


def test_stall(proxy: FaultProxy, client: HTTPConnection):
    proxy.add(Fault("stall", after=10, seconds=0.5))
    client.request("GET", "/b/k")
    response = client.getresponse()
    assert response.read(10) == DATA[:10]
    began = time.monotonic()
    assert response.read() == DATA[10:]
    assert time.monotonic() - began > 0.4


def test_status(proxy: FaultProxy, client: HTTPConnection):
    proxy.add(Fault("status", "PUT", status=503, retry_after=7))
    proxy.add(Fault("status", "PUT", status=429, code="Odd"))
    response, body = ask(client, method="PUT", body=DATA)
    assert (response.status, response.getheader("Retry-After")) == (503, "7")
    assert b"<Code>SlowDown</Code>" in body
    response, body = ask(client, method="PUT", body=DATA)
    assert (response.status, response.getheader("Retry-After")) == (429, None)
    assert b"<Code>Odd</Code>" in body
    assert not Upstream.received


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [("expired_token", 403, "ExpiredToken"), ("error_in_200", 200, "InternalError")],
)
def test_errors_of_their_own(proxy: FaultProxy, client: HTTPConnection, kind: str, status: int, code: str):
    proxy.add(Fault(kind))
    response, body = ask(client)
    assert (response.status, f"<Error><Code>{code}</Code>".encode() in body) == (status, True)


def test_lost_response(proxy: FaultProxy, client: HTTPConnection):
    proxy.add(Fault("lost_response", "DELETE"))
    with pytest.raises(ConnectionError):
        ask(client, method="DELETE")
    assert Upstream.received == [b"DELETE"]


@pytest.mark.parametrize(
    ("fault", "status", "content_range", "body"),
    [
        (Fault("full_for_range", body=DATA), 200, None, DATA),
        (Fault("wrong_content_range", shift=5), 206, f"bytes 15-24/{len(DATA)}", DATA[10:20]),
        (Fault("no_content_range"), 206, None, DATA[10:20]),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_ranges(
    proxy: FaultProxy,
    client: HTTPConnection,
    fault: Fault,
    status: int,
    content_range: str | None,
    body: bytes,
):
    proxy.add(fault)
    assert ask(client)[1] == DATA
    assert fault.used == 0
    response, got = ask(client, part="10-19")
    assert (response.status, response.getheader("Content-Range"), got) == (status, content_range, body)
    assert ask(client, part="10-19")[1] == DATA[10:20]


def pages(client: HTTPConnection, *tokens: int) -> list[bytes]:
    """The tokens of the next page that the pages of these tokens name."""
    bodies = [ask(client, f"/b?list-type=2&prefix=p&continuation-token={token}")[1] for token in tokens]
    return [re.sub(rb"<.*?>", b"", body) for body in bodies]


def test_repeat_page(proxy: FaultProxy, client: HTTPConnection):
    proxy.add(Fault("repeat_page"))
    assert pages(client, 1, 2, 3) == [b"2", b"2", b"4"]
    assert [asked.fault for asked in proxy.requests] == ["", "repeat_page", ""]


def test_stale_token(proxy: FaultProxy, client: HTTPConnection):
    proxy.add(Fault("stale_token", path="token=2"))
    assert pages(client, 1, 2, 3) == [b"2", b"2", b"4"]


def test_flip_bit(proxy: FaultProxy, client: HTTPConnection):
    proxy.add(Fault("flip_bit", after=100_000))
    body = ask(client)[1]
    assert {at: body[at] ^ DATA[at] for at in range(len(DATA)) if body[at] != DATA[at]} == {100_000: 1}


def test_flip_upload_bit(proxy: FaultProxy, client: HTTPConnection):
    proxy.add(Fault("flip_upload_bit", "PUT", after=2))
    ask(client, method="PUT", body=b"abc")
    assert Upstream.received == [b"abb"]


@pytest.mark.parametrize(("kind", "etag"), [("portal", None), ("static_page", '"686e0d4c-60"')])
def test_pages(proxy: FaultProxy, client: HTTPConnection, kind: str, etag: str | None):
    for status in (200, 404):
        proxy.add(Fault(kind, "PUT|HEAD", status=status, times=2))
    for method, expected in (("PUT", 200), ("HEAD", 200), ("PUT", 404), ("HEAD", 404)):
        response, body = ask(client, method=method, body=b"abc" if method == "PUT" else None)
        assert (response.status, response.getheader("ETag")) == (expected, etag)
        assert response.getheader("Content-Type") == "text/html"
        assert body.startswith(b"<!DOCTYPE html>") == (method == "PUT")
    assert not Upstream.received


def test_header_and_short(proxy: FaultProxy, client: HTTPConnection):
    proxy.add(Fault("header", "HEAD", name="Server"))
    proxy.add(Fault("header", name="ETag", value='"x"'))
    proxy.add(Fault("short", after=7))
    assert ask(client, method="HEAD")[0].getheader("Server") is None
    response, body = ask(client)
    assert (response.getheader("ETag"), body) == ('"x"', DATA)
    response, body = ask(client)
    assert (response.status, response.getheader("Content-Length"), body) == (200, "7", DATA[:7])


def test_replace(proxy: FaultProxy, client: HTTPConnection):
    done: list[int] = []
    other = connect(proxy)
    proxy.add(Fault("replace", call=lambda: done.append(ask(other, method="DELETE")[0].status)))
    assert ask(client)[1] == DATA
    assert (done, Upstream.received) == ([204], [b"DELETE"])
    other.close()


def test_down(proxy: FaultProxy, client: HTTPConnection):
    proxy.add(Fault("stall", seconds=60))
    client.request("GET", "/b/k")
    response = client.getresponse()
    proxy.down(0.5)
    with pytest.raises(ConnectionResetError):
        response.read()
    client.close()
    with pytest.raises(ConnectionRefusedError):
        ask(client)
    client.close()
    time.sleep(0.7)
    assert ask(client)[1] == DATA


def test_a_dead_upstream_ends_the_connection(upstream: str):
    with FaultProxy("http://127.0.0.1:1") as proxy, pytest.raises(ConnectionError):
        ask(connect(proxy))
