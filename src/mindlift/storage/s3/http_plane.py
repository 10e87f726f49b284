"""Objects over HTTP, one connection per thread.

Every answer is checked: status, length, range, and ETag. Nothing is retried here.
"""

from __future__ import annotations

import base64
import contextlib
import encodings.idna  # noqa: F401 - or else socket imports it at the first name, perhaps beside a fork
import hashlib
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Callable
from urllib.parse import quote, urlencode

from mindlift import limits
from mindlift.forks import Shared
from mindlift.storage import first_answer, trust
from mindlift.storage.access import Access
from mindlift.storage.http1 import PIECE, Closed, Connection, Headers, ProtocolError, Response, request_head
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
from mindlift.storage.s3.signature import signed
from mindlift.storage.store import etag_of

if TYPE_CHECKING:
    import ssl

MOST_ERROR_BYTES = 64 << 10
NAMELESS = (301, 400, 401, 403)  # statuses that one of several errors has

Sink = Callable[[memoryview], object]  # of bytes that are there until it returns


@dataclass(frozen=True)
class Answer:
    """The head of an answer, and its body where that is short."""

    status: int
    headers: Headers
    body: bytes = b""

    @property
    def etag(self) -> str:
        return etag_of(self.headers.get("ETag"))


class Answering:
    """A response that is being read, by a `with` block."""

    response: Response

    def __init__(self, access: Access, connection: Connection):
        self.access, self.connection = access, connection

    def __enter__(self) -> Response:
        return self.response

    def __exit__(self, _: object, err: BaseException | None, __: object) -> None:
        if not self.response.can_reuse or not self.access.settings.long_connections:
            self.broken_off(err)

    def broken_off(self, err: BaseException | None) -> None:
        self.connection.close()
        if isinstance(err, socket.timeout):
            first_answer.say_silent(self.access)


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
    ) -> Headers:
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
            self.receive(what, response, sink, length)
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
            length = content_length(what, response)
            self.receive(what, response, lambda piece: pieces.append(bytes(piece)), length)
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

    def answer(
        self,
        method: str,
        bucket: str,
        key: str,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        query: Mapping[str, str] | None = None,
    ) -> Answering:
        """Send a request; the block reads the answer. A connection is kept only if the block read it all."""
        host, path = self.access.address(bucket, key)
        target = f"{path}?{urlencode(query, quote_via=quote)}" if query else path
        sent = self.sign(method, host, target, headers or {})
        connection = self.connection(host)
        if connection.is_forwarded:
            target = f"http://{host}{target}"
            sent.update(connection.proxy_headers)
        answering = Answering(self.access, connection)
        try:
            response = answering.response = self.exchange(connection, method, target, sent, body)
            first_answer.note_answer(self.access, connection)
            self.origin.check(f"{method} {bucket}/{key}", response.status, response.headers)
        except BaseException as err:
            answering.broken_off(err)
            raise
        return answering

    def exchange(
        self, connection: Connection, method: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> Response:
        """Send and receive a head; once more on a new connection if a kept one turns out to be closed."""
        head = request_head(method, target, headers)
        if connection.sock is not None:
            try:
                return ask(connection, method, head, body)
            except (Closed, BrokenPipeError, ConnectionResetError):
                connection.close()
        first_answer.connect(connection, self.access)
        return ask(connection, method, head, body)

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

    def connection(self, host: str) -> Connection:
        """This thread's connection to `host`, perhaps yet to be connected."""
        pool: dict[str, Connection] = self.local.__dict__.setdefault("pool", {})
        found = pool.get(host)
        if found is None:
            proxy, is_secure = self.proxy(host), self.access.settings.is_secure
            found = pool[host] = Connection(
                host,
                self.access.settings.timeout_s,
                self.tls_context if is_secure else None,
                proxy.address,
                proxy.headers,
            )
        return found

    def buffer(self) -> memoryview:
        """This thread's, of PIECE bytes."""
        found: memoryview | None = self.local.__dict__.get("buffer")
        if found is None:
            found = self.local.buffer = memoryview(bytearray(PIECE))
        return found

    def receive(self, what: str, response: Response, sink: Sink, length: int) -> None:
        left, buffer = length, self.buffer()
        while left:
            count = response.read_into(buffer[: min(PIECE, left)])
            if not count:
                raise Broken(f"{what}: ended {left} of {length} bytes early")
            sink(buffer[:count])
            left -= count
        response.read(1)  # the end of an answer in chunks, so that the connection can be used again

    def proxy(self, host: str) -> Proxy:
        """The proxy that the environment names for `host`."""
        if host not in self.proxies:
            self.proxies[host] = proxy_for(self.access.settings.is_secure, host)
        return self.proxies[host]

    def tls_context(self) -> ssl.SSLContext:
        if self.tls is None:
            self.tls = trust.context(self.access.settings.verify)
        return self.tls

    def refusal(self, what: str, response: Response) -> Refused:
        body = response.read(MOST_ERROR_BYTES)
        found = parse_refusal(what, response.status, response.headers, body)
        if response.status == 404 and body and not found.response.errorCode:
            raise Broken(
                f"{what}: a 404 with a page that is not the store's; a proxy or a portal is in between"
            )
        return found


def ask(connection: Connection, method: str, head: bytes, body: bytes) -> Response:
    """Send a request, receive the head of its answer. A store may refuse, and close, before it has received all."""
    try:
        connection.send(head, body)
    except (BrokenPipeError, ConnectionResetError) as err:
        with contextlib.suppress(OSError, ProtocolError):
            return connection.answer(method)
        raise err
    return connection.answer(method)


def read_short(what: str, response: Response) -> bytes:
    """The whole body of an answer that S3 keeps short: a listing, a result. Broken above limits.ANSWER_BYTES."""
    body = response.read(limits.ANSWER_BYTES + 1)
    if len(body) > limits.ANSWER_BYTES:
        raise Broken(f"{what}: the answer has more than {limits.ANSWER_BYTES:,} bytes, as none of S3 has")
    return body
