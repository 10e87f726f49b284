"""Objects over HTTP: the standard library's client, one connection per thread.

Every answer is checked: status, length, range, and ETag. Nothing is retried here.
"""

from __future__ import annotations

import base64
import contextlib
import encodings.idna  # noqa: F401 - or else socket imports it at the first name, perhaps beside a fork
import hashlib
import http.client
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Callable
from urllib.parse import quote, urlencode

from mindlift.forks import Shared
from mindlift.storage import first_answer, trust
from mindlift.storage.access import Access
from mindlift.storage.proxies import Proxy, proxy_for
from mindlift.storage.retry import Broken, Changed, Refused, parse_refusal
from mindlift.storage.s3.answers import (
    Origin,
    check_get,
    check_object,
    check_part,
    check_stored,
    content_length,
    hides_md5,
    is_md5,
)
from mindlift.storage.s3.paced import PacedResponse, read_short
from mindlift.storage.s3.signature import signed
from mindlift.storage.store import etag_of

PIECE = 128 << 10  # bytes per read and write
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


class HttpPlane(Shared):
    """Requests to one store. Threads may share it; a forked child makes connections of its own."""

    def __init__(self, access: Access):
        super().__init__()
        self.access = access
        self.local = threading.local()
        self.tls: ssl.SSLContext | None = None
        self.proxies: dict[str, Proxy] = {}
        self.origin = Origin()

    def begin_anew(self) -> None:
        self.local = threading.local()  # connections that the parent goes on with

    def get(
        self, bucket: str, key: str, sink: Sink, start: int, length: int, etag: str, size: int
    ) -> http.client.HTTPMessage:
        """Bytes `start` to `start + length` of an object of `size` bytes, piece by piece into `sink`; the answer's headers.

        Raises Changed if its ETag is not `etag` or its size is another one, Broken for an answer that is
        not exactly these bytes, Refused for a refusal.
        """
        headers = {"If-Match": f'"{etag}"'} if etag else {}
        if start or length != size:
            headers["Range"] = f"bytes={start}-{start + length - 1}"
        what = f"GET {bucket}/{key}"
        with self.answer("GET", bucket, key, headers=headers) as response:
            if response.status == 412:
                raise Changed(what)
            if response.status not in (200, 206):
                raise self.refusal(what, response)
            check_get(what, response, start, length, etag, size)
            receive(what, response, sink, length)
            return response.headers

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
                self.refusal(what, response)
                return Answer(416, response.headers)
            if response.status == 412:
                raise Changed(what)
            if response.status not in (200, 206):
                raise self.refusal(what, response)
            check_object(what, response.headers)
            if etag and etag_of(response.headers.get("ETag")) not in ("", etag):
                raise Changed(what)
            if "Range" in headers or response.status != 200:
                check_part(what, response, start, length)
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
        check_stored(f"PUT {bucket}/{key}", answer.headers, answer.body)
        is_other = is_md5(answer.etag) and answer.etag != digest.hexdigest()
        if is_other and not hides_md5(answer.headers, self.access.settings.is_obs):
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
            found = read_short(what, response)
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
        sent = self.sign(method, host, target, headers or {})
        connection, is_new = self.connection(host)
        proxy = self.proxy(host)
        if not self.access.settings.is_secure and proxy.address:
            target = f"http://{host}{target}"
            sent.update(proxy.headers)
        try:
            if is_new:
                first_answer.connect(connection, self.access)
            response = exchange(connection, method, target, sent, body, is_new)
            first_answer.note_answer(self.access, connection)
            self.origin.check(f"{method} {bucket}/{key}", response.status, response.headers)
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

    def sign(self, method: str, host: str, target: str, headers: Mapping[str, str]) -> dict[str, str]:
        keys = self.access.keys()
        return signed(
            method,
            target,
            {**headers, "Host": host},
            keys.access_key,
            keys.secret_key,
            self.access.settings.region,
            token=keys.token,
        )

    def connection(self, host: str) -> tuple[http.client.HTTPConnection, bool]:
        """This thread's connection to `host`, and whether it has yet to be connected."""
        pool: dict[str, http.client.HTTPConnection] = self.local.__dict__.setdefault("pool", {})
        found = pool.get(host)
        if found is None:
            found = pool[host] = self.connect(host)
        return found, found.sock is None

    def connect(self, host: str) -> http.client.HTTPConnection:
        timeout = self.access.settings.timeout_s
        proxy = self.proxy(host)
        if self.access.settings.is_secure:
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                proxy.address or host, timeout=timeout, blocksize=PIECE, context=self.tls_context()
            )
            if proxy.address:
                connection.set_tunnel(host, headers=proxy.headers)
        else:
            connection = http.client.HTTPConnection(proxy.address or host, timeout=timeout, blocksize=PIECE)
        connection.response_class = PacedResponse
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
        body = response.read(MOST_ERROR_BYTES)
        found = parse_refusal(what, response.status, response.headers, body)
        if response.status == 404 and body and not found.response.errorCode:
            raise Broken(
                f"{what}: a 404 with a page that is not the store's; a proxy or a portal is in between"
            )
        return found


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


def receive(what: str, response: http.client.HTTPResponse, sink: Sink, length: int) -> None:
    left = length
    while left:
        piece = response.read1(min(PIECE, left))
        if not piece:
            raise Broken(f"{what}: ended {left} of {length} bytes early")
        sink(piece)
        left -= len(piece)
    response.read()  # the end of the answer, so that the connection can be used again
