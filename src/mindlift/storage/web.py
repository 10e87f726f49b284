"""Requests to web servers, one connection each: with redirects, proxies and the trusted certificates of this package.

What a request says of its user (Authorization) is for the server that the URL names, and for no other that this one
sends it to.
"""

from __future__ import annotations

import base64
import functools
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import quote, unquote, urljoin, urlsplit, urlunsplit

from mindlift.errors import AccessError, TransferError
from mindlift.sanitize import single_line
from mindlift.storage import trust
from mindlift.storage.first_answer import CONNECT_S, plain_reason, within
from mindlift.storage.http1 import Closed, Connection, Headers, ProtocolError, Response, request_head
from mindlift.storage.proxies import proxy_for
from mindlift.storage.retry import PASSING_STATUS

TIMEOUT_S = 60.0  # for each wait for some bytes
REDIRECTS = 10
MOVED = (301, 302, 303, 307, 308)
SAFE = "/%:@!$&'()*+,;=~-._"
LINKED = "x-linked-etag"  # with it a Hugging Face hub describes a file that another server holds


class Passing(TransferError):
    """What may be better the next time."""


class Unreachable(TransferError):
    """No connection: there is no network here, no such host, or something in between does not let it through."""


class NotThere(TransferError):
    """The server has no such file."""


@dataclass(frozen=True)
class Address:
    """Of a URL: whether it is https, host:port, and the path as it is sent."""

    is_secure: bool
    host: str
    target: str
    login: str  # Base64 of user:password

    @classmethod
    def of(cls, url: str) -> Address:
        parts = urlsplit(url)
        login, _, host = parts.netloc.rpartition("@")
        if parts.scheme not in ("http", "https") or not host:
            raise TransferError(f"{shown(url)} is no http:// or https:// address")
        target = quote(parts.path or "/", safe=SAFE) + (f"?{parts.query}" if parts.query else "")
        return cls(
            parts.scheme == "https",
            host.lower(),
            target,
            base64.b64encode(unquote(login).encode()).decode() if login else "",
        )

    @property
    def origin(self) -> tuple[bool, str]:
        return self.is_secure, self.host


def shown(url: str) -> str:
    """A URL without user, password and query, which may be secrets."""
    parts = urlsplit(url)
    return single_line(urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", "")))


@contextmanager
def answered(method: str, url: str, headers: Mapping[str, str]) -> Iterator[tuple[Response, str]]:
    """The answer to a request, and the URL that gave it after redirects; closed behind the block.

    Unreachable, NotThere, AccessError, Passing and TransferError for answers that are none of 2xx and 416. A HEAD ends at
    the hub that describes the file, wherever that lies.
    """
    first, place = Address.of(url), url
    for _ in range(REDIRECTS):
        here = Address.of(place)
        if first.is_secure and not here.is_secure:
            raise TransferError(f"{shown(url)} leads to {shown(place)}, which is not https")
        sent = {name: value for name, value in headers.items() if name.lower() != "authorization"}
        if here.origin == first.origin:
            sent = dict(headers)
            if first.login and "Authorization" not in sent:
                sent["Authorization"] = f"Basic {first.login}"
        connection = connected(here)
        try:
            response = exchanged(connection, method, here, sent)
            moved = response.status in MOVED and "location" in response.headers
            if moved and not (method == "HEAD" and LINKED in response.headers):
                place = urljoin(place, response.headers["location"])
                continue
            check(response, method, place)
            yield response, place
            return
        finally:
            connection.close()
    raise TransferError(f"{shown(url)} is redirected more than {REDIRECTS} times")


def connected(address: Address) -> Connection:
    """Unreachable, with the reason, if it can't be."""
    proxy = proxy_for(address.is_secure, address.host)
    context = functools.partial(trust.context, True) if address.is_secure else None
    connection = Connection(address.host, CONNECT_S, context, proxy.address, proxy.headers)
    try:
        within(CONNECT_S, connection)
    except (OSError, ProtocolError) as err:
        known = trust.reason(str(err), address.host) if isinstance(err, ssl.SSLError) else ""
        by = f"{address.host} through {proxy}: " if proxy.address else ""
        raise Unreachable(by + (known or plain_reason(err, f"{connection.host}:{connection.port}"))) from err
    connection.timeout = TIMEOUT_S
    connection.set_timeout(TIMEOUT_S)
    return connection


def exchanged(connection: Connection, method: str, address: Address, headers: Mapping[str, str]) -> Response:
    target, sent = address.target, {"Host": address.host, "Accept-Encoding": "identity", **headers}
    if connection.is_forwarded:
        target = f"http://{address.host}{target}"
        sent.update(connection.proxy_headers)
    try:
        connection.send(request_head(method, target, {**sent, "Connection": "close"}), b"")
        return connection.answer(method)
    except Closed as err:
        raise Passing(f"{address.host} closed the connection without an answer") from err
    except (OSError, ProtocolError) as err:
        raise Passing(f"{address.host}: {type(err).__name__}: {single_line(str(err))}") from err


def check(response: Response, method: str, url: str) -> None:
    status = response.status
    if status < 300 or status == 416 or (method == "HEAD" and LINKED in response.headers and status < 400):
        return
    reason = single_line(response.reason[:60])
    says = f"{shown(url)}: the server answered {status} {reason}".rstrip()
    if status in (404, 410):
        raise NotThere(says)
    if status in (401, 403):
        raise AccessError(says)
    raise (Passing if status in PASSING_STATUS else TransferError)(says)


def described(url: str, headers: Mapping[str, str]) -> Headers:
    """What the server says of a file before it sends it."""
    with answered("HEAD", url, headers) as (response, _):
        return response.headers
