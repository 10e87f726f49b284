"""Answers of a store that would take all time or memory: one line, soon. The server writes raw bytes to its socket."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from mindlift import limits
from mindlift.errors import MindLiftError
from mindlift.storage import places
from mindlift.storage.moxing import file
from tests.support.packed import little_memory

MIB = 1 << 20
SPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
ENTITIES = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 9 if n else "lol"}">' for n in range(9))  # CWE-776


def listing(inner: str, is_truncated: bool = False, before: str = "") -> bytes:
    more = str(is_truncated).lower()
    return f"{before}<ListBucketResult {SPACE}><IsTruncated>{more}</IsTruncated>{inner}</ListBucketResult>".encode()


def head(length: int) -> bytes:
    return f"HTTP/1.1 200 OK\r\nServer: MinIO\r\nContent-Type: application/xml\r\nContent-Length: {length}\r\n\r\n".encode()


def contents(key: str) -> str:
    return (
        f"<Contents><Key>{key}</Key><Size>1</Size><LastModified>2026-11-01T00:00:00.000Z</LastModified>"
        '<ETag>"0cc175b9c0f1b6a831c399e269772661"</ETag></Contents>'
    )


def send_listing(body: bytes) -> Callable[[socket.socket, str], None]:
    return lambda sock, target: sock.sendall(head(len(body)) + body)


def trickle(data: bytes) -> Callable[[socket.socket, str], None]:
    def send(sock: socket.socket, target: str) -> None:
        for byte in data:
            sock.sendall(bytes([byte]))
            time.sleep(0.02)

    return send


def much(sock: socket.socket, target: str) -> None:
    sock.sendall(head(900 * MIB))
    for _ in range(900):
        sock.sendall(b"<" * MIB)


def endless(sock: socket.socket, target: str) -> None:
    """A page after the other, whose keys get longer and longer."""
    number = len(target.partition("continuation-token=")[2].partition("&")[0]) + 1
    body = listing(
        contents("p/" + "x" * number) + f"<NextContinuationToken>{'t' * number}</NextContinuationToken>", True
    )
    sock.sendall(head(len(body)) + body)


ATTACKS: dict[str, tuple[Callable[[socket.socket, str], None], str]] = {
    "a head that trickles": (trickle(head(0)), "only .* bytes of an answer"),
    "a listing that trickles": (trickle(head(999) + listing("")), "only .* bytes of an answer"),
    "a listing of 900 MB": (much, "more than 16,777,216 bytes"),
    "entities in a listing": (
        send_listing(listing(contents("&l8;"), before=f"<!DOCTYPE x [{ENTITIES}]>")),
        "it has a DOCTYPE",
    ),
    "keys that get longer for ever": (endless, "a key of 1,025 letters"),
    "a folder in a folder in a folder": (
        send_listing(listing(f"<CommonPrefixes><Prefix>p/{'d/' * 800}</Prefix></CommonPrefixes>")),
        "a key of 1,602 letters",
    ),
}


def serve(server: socket.socket, send: Callable[[socket.socket, str], None]) -> None:
    def answer(sock: socket.socket) -> None:
        try:
            with sock, sock.makefile("rb") as lines:
                while line := lines.readline():
                    while lines.readline().strip():
                        pass
                    method, target, _ = line.decode().split()
                    if method == "HEAD":
                        sock.sendall(b"HTTP/1.1 404 Not Found\r\nServer: MinIO\r\nContent-Length: 0\r\n\r\n")
                    else:
                        send(sock, target)
        except OSError:
            pass  # the client has hung up, as it should

    while True:
        try:
            sock, _ = server.accept()
        except OSError:
            return
        threading.Thread(target=answer, args=(sock,), daemon=True).start()


@pytest.fixture
def hostile(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    server = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=serve, args=(server, request.param), daemon=True).start()
    monkeypatch.setenv("S3_ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
    monkeypatch.setenv("ACCESS_KEY_ID", "a")
    monkeypatch.setenv("SECRET_ACCESS_KEY", "b")
    monkeypatch.setattr(limits, "LEAST_RATE_TIME_S", 0.5)
    places.SERVICES.forget()
    places.set_auth(retry=2, retry_wait=0.01)
    yield
    server.close()
    places.SERVICES.forget()


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("hostile", "why"), ATTACKS.values(), ids=ATTACKS, indirect=["hostile"])
def test_a_listing_that_would_take_all_is_one_line(hostile: None, why: str) -> None:
    with little_memory(), pytest.raises(MindLiftError, match=why) as caught:
        file.list_directory("obs://bucket/p", recursive=True)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("hostile", [endless], indirect=True)
def test_keys_are_counted(hostile: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LISTED_KEYS", 50)
    with pytest.raises(MindLiftError, match="more than 50 keys"):
        file.list_directory("obs://bucket/p", recursive=True)
