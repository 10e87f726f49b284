"""Objects over HTTP: the standard library's client, requests signed by botocore, one connection per thread.

Every answer is checked: status, length, range, and ETag. Nothing is retried here.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Callable
from urllib.parse import quote, urlencode

from mindlift.storage import first_answer, trust
from mindlift.storage.access import Access
from mindlift.storage.proxies import Proxy, proxy_for
from mindlift.storage.retry import Broken, Changed, Refused, parse_refusal
from mindlift.storage.store import etag_of

PIECE = 128 << 10  # bytes per read and write
LEAST_RATE = 1024  # bytes per second, over
LEAST_RATE_TIME_S = 30.0
MOST_ERROR_BYTES = 64 << 10
NAMELESS = (301, 400, 401, 403)  # statuses that one of several errors has

Sink = Callable[[bytes], object]


@dataclass(frozen=True)
class Answer:
    """The head of an answer, and its body where that is short."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes = b""

    @property
    def etag(self) -> str:
        return etag_of(self.headers.get("ETag"))


class Pace:
    """Breaks off an answer that trickles: each piece arrives in time, but the whole never would."""

    def __init__(self, what: str, clock: Callable[[], float] = time.monotonic):
        self.what, self.clock = what, clock
        self.since, self.size = clock(), 0

    def add(self, size: int) -> None:
        self.size += size
        seconds = self.clock() - self.since
        if seconds < LEAST_RATE_TIME_S:
            return
        if self.size < LEAST_RATE * seconds:
            raise Broken(
                f"{self.what}: only {self.size} bytes in {seconds:.0f} s, the least is {LEAST_RATE}/s"
            )
        self.since, self.size = self.clock(), 0


class HttpPlane:
    """Requests to one store. Threads may share it; a forked child makes connections of its own."""

    def __init__(self, access: Access):
        self.access = access
        self.local = threading.local()
        self.tls: ssl.SSLContext | None = None
        self.config: Any = None
        self.proxies: dict[str, Proxy] = {}

    def get(self, bucket: str, key: str, sink: Sink, start: int, length: int, etag: str, size: int) -> None:
        """Bytes `start` to `start + length` of an object of `size` bytes, piece by piece into `sink`.

        Raises Changed if its ETag is not `etag` or its size is another one, Broken for an answer that is
        not exactly these bytes, Refused for a refusal.
        """
        is_whole = start == 0 and length == size
        headers = {"If-Match": f'"{etag}"'} if etag else {}
        if not is_whole:
            headers["Range"] = f"bytes={start}-{start + length - 1}"
        what = f"GET {bucket}/{key}"
        with self.answer("GET", bucket, key, headers=headers) as response:
            if response.status == 412:
                raise Changed(what)
            if response.status not in (200, 206):
                raise self.refusal(what, response)
            check_head(what, response, start, length, etag, size, is_whole)
            receive(what, response, sink, length)

    def read(
        self, bucket: str, key: str, start: int = 0, length: int | None = None, etag: str = ""
    ) -> Answer:
        """Some bytes of an object of unknown size, fewer at its end, none beyond it."""
        headers = {"If-Match": f'"{etag}"'} if etag else {}
        if start or length is not None:
            headers["Range"] = f"bytes={start}-" + ("" if length is None else str(start + length - 1))
        what = f"GET {bucket}/{key}"
        with self.answer("GET", bucket, key, headers=headers) as response:
            if response.status == 416:
                return Answer(416, response.headers)
            if response.status == 412:
                raise Changed(what)
            expected = 206 if "Range" in headers else 200
            if response.status not in (200, 206):
                raise self.refusal(what, response)
            if response.status != expected or (
                expected == 206
                and not (response.headers.get("Content-Range") or "").startswith(f"bytes {start}-")
            ):
                raise Broken(
                    f"{what}: asked for {headers.get('Range', 'all')}, got {response.status} {response.headers.get('Content-Range')}"
                )
            pieces: list[bytes] = []
            receive(what, response, pieces.append, content_length(what, response))
            return Answer(response.status, response.headers, b"".join(pieces))

    def put(
        self,
        bucket: str,
        key: str,
        body: bytes,
        query: Mapping[str, str] | None = None,
        conditions: Mapping[str, str] | None = None,
    ) -> str:
        """Store an object, or a part of one; returns its ETag. Broken if that is not the MD5 of `body`.

        `conditions` are headers such as If-Match.
        """
        digest = hashlib.md5(body)
        headers = {
            "Content-MD5": base64.b64encode(digest.digest()).decode(),
            "Content-Length": str(len(body)),
            **(conditions or {}),
        }
        answer = self.send("PUT", bucket, key, headers, body, query)
        if is_md5(answer.etag) and answer.etag != digest.hexdigest() and not is_encrypted(answer.headers):
            raise Broken(f"PUT {bucket}/{key}: the store has {answer.etag}, sent was {digest.hexdigest()}")
        return answer.etag

    def send(
        self,
        method: str,
        bucket: str,
        key: str,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        query: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request with a short answer; Refused unless its status is below 300."""
        try:
            return self.sent(method, bucket, key, headers, body, query)
        except Refused as err:
            if method == "HEAD" and err.response.status in NAMELESS and not err.response.errorCode:
                raise self.explained(err, bucket, key) from err
            raise

    def explained(self, err: Refused, bucket: str, key: str) -> Refused:
        """Why a HEAD was refused, whose answer has no body: a GET of one byte is refused in words."""
        with self.answer("GET", bucket, key, {"Range": "bytes=0-0"}) as response:
            if response.status != err.response.status:
                return err
            return self.refusal(f"HEAD {bucket}/{key}", response)

    def sent(
        self,
        method: str,
        bucket: str,
        key: str,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        query: Mapping[str, str] | None = None,
    ) -> Answer:
        what = f"{method} {bucket}/{key}"
        with self.answer(method, bucket, key, headers, body, query) as response:
            if response.status >= 300:
                raise self.refusal(what, response)
            found = response.read()
        if found.lstrip()[:200].find(b"<Error>") >= 0:
            raise parse_refusal(what, 500, response.headers, found)
        return Answer(response.status, response.headers, found)

    @contextlib.contextmanager
    def answer(
        self,
        method: str,
        bucket: str,
        key: str,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        query: Mapping[str, str] | None = None,
    ) -> Iterator[http.client.HTTPResponse]:
        """Send a request; the block reads the answer. A connection is kept only if the block read it all."""
        host, path = self.access.address(bucket, key)
        target = f"{path}?{urlencode(query, quote_via=quote)}" if query else path
        signed = self.sign(method, host, target, dict(headers or {}))
        connection, is_new = self.connection(host)
        proxy = self.proxy(host)
        if not self.access.settings.is_secure and proxy.address:
            target = f"http://{host}{target}"
            signed.update(proxy.headers)
        try:
            if is_new:
                first_answer.connect(connection, self.access)
            response = exchange(connection, method, target, signed, body, is_new)
            first_answer.note_answer(self.access, connection)
            yield response
        except socket.timeout:
            connection.close()
            first_answer.say_silent(self.access)
            raise
        except BaseException:
            connection.close()
            raise
        if not response.isclosed() or response.will_close or not self.access.settings.long_connections:
            connection.close()

    def sign(self, method: str, host: str, target: str, headers: dict[str, str]) -> dict[str, str]:
        from botocore.auth import S3SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials

        keys = self.access.keys()
        scheme = "https" if self.access.settings.is_secure else "http"
        request = AWSRequest(method, f"{scheme}://{host}{target}", headers=headers)
        request.context["client_config"] = self.unsigned_payload()
        credentials = Credentials(keys.access_key, keys.secret_key, keys.token or None)
        S3SigV4Auth(credentials, "s3", self.access.settings.region).add_auth(request)
        return {**dict(request.headers.items()), "Host": host}

    def unsigned_payload(self) -> Any:
        """Tells botocore's signer to leave out the SHA-256 of the body, which OBS does not take."""
        if self.config is None:
            from botocore.config import Config

            self.config = Config(s3={"payload_signing_enabled": False})
        return self.config

    def connection(self, host: str) -> tuple[http.client.HTTPConnection, bool]:
        """This thread's connection to `host`, and whether it has yet to be connected."""
        pool: dict[str, http.client.HTTPConnection] = self.local.__dict__.setdefault("pool", {})
        if self.local.__dict__.get("pid") != os.getpid():
            pool.clear()
            self.local.pid = os.getpid()
        found = pool.get(host)
        if found is None:
            found = pool[host] = self.connect(host)
        return found, found.sock is None

    def connect(self, host: str) -> http.client.HTTPConnection:
        timeout = self.access.settings.timeout_s
        proxy = self.proxy(host)
        if not self.access.settings.is_secure:
            return http.client.HTTPConnection(proxy.address or host, timeout=timeout, blocksize=PIECE)
        connection = http.client.HTTPSConnection(
            proxy.address or host, timeout=timeout, blocksize=PIECE, context=self.tls_context()
        )
        if proxy.address:
            connection.set_tunnel(host, headers=proxy.headers)
        return connection

    def proxy(self, host: str) -> Proxy:
        """The proxy that the environment names for `host`."""
        if host not in self.proxies:
            self.proxies[host] = proxy_for(self.access.settings.is_secure, host)
        return self.proxies[host]

    def tls_context(self) -> ssl.SSLContext:
        if self.tls is None:
            self.tls = trust.context(self.access.settings.verify)
        return self.tls

    def refusal(self, what: str, response: http.client.HTTPResponse) -> Refused:
        return parse_refusal(what, response.status, response.headers, response.read(MOST_ERROR_BYTES))


def exchange(
    connection: http.client.HTTPConnection,
    method: str,
    target: str,
    headers: dict[str, str],
    body: bytes,
    is_new: bool,
) -> http.client.HTTPResponse:
    """Send and receive a head; once more on a new connection if a kept one turns out to be closed."""
    try:
        pieces = (body[at : at + PIECE] for at in range(0, len(body), PIECE)) if body else None
        connection.request(method, target, body=pieces, headers=headers)
        if is_new and connection.sock is not None:
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection.getresponse()
    except (
        http.client.RemoteDisconnected,
        BrokenPipeError,
        ConnectionResetError,
        http.client.CannotSendRequest,
    ):
        connection.close()
        if is_new:
            raise
        return exchange(connection, method, target, headers, body, True)


def check_head(
    what: str,
    response: http.client.HTTPResponse,
    start: int,
    length: int,
    etag: str,
    size: int,
    is_whole: bool,
) -> None:
    """Whether the answer will be exactly the bytes that were asked for, of the object that was meant."""
    found = etag_of(response.headers.get("ETag"))
    if etag and found and found != etag:
        raise Changed(what)
    if content_length(what, response) != length and is_whole and response.status == 200:
        raise Changed(f"{what}: {response.headers.get('Content-Length')} bytes, {length} were listed")
    given = response.headers.get("Content-Range")
    wanted = None if is_whole else f"bytes {start}-{start + length - 1}/{size}"
    if (
        response.status != (200 if is_whole else 206)
        or given != wanted
        or content_length(what, response) != length
    ):
        raise Broken(
            f"{what}: asked for {wanted or 'all of it'}, got {response.status} {given or 'without range'}"
        )


def content_length(what: str, response: http.client.HTTPResponse) -> int:
    text = response.headers.get("Content-Length") or ""
    if not text.isdigit():
        raise Broken(f"{what}: the answer has no length")
    return int(text)


def receive(what: str, response: http.client.HTTPResponse, sink: Sink, length: int) -> None:
    pace, left = Pace(what), length
    while left:
        piece = response.read1(min(PIECE, left))
        if not piece:
            raise Broken(f"{what}: ended {left} of {length} bytes early")
        sink(piece)
        left -= len(piece)
        pace.add(len(piece))
    response.read()  # the end of the answer, so that the connection can be used again


def is_md5(etag: str) -> bool:
    return len(etag) == 32 and not set(etag.lower()) - set("0123456789abcdef")


def is_encrypted(headers: http.client.HTTPMessage) -> bool:
    """Whether the store encrypts the object with a key of its own, so that its ETag says nothing."""
    return any(
        name.lower().startswith("x-amz-server-side-encryption")
        or name.lower().startswith("x-obs-server-side-encryption")
        for name in headers
    )
