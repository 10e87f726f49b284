"""The time before a store's first answer, in which it is more likely that its address is wrong than that it is down.

A store that has answered once is waited for as `retry.py` says, because a running job must outlast its restart. One
that can't even be connected to is given up in less than ten seconds, by its name and that of its variable. What will
be the same tomorrow, such as a certificate that is not trusted, is never asked again.
"""

from __future__ import annotations

import queue
import socket
import ssl
import sys
import threading

from mindlift.language import localized
from mindlift.storage import trust
from mindlift.storage.access import Access
from mindlift.storage.http1 import Connection, ProtocolError, TunnelRefused

CONNECT_S = 8.0  # for the name, TCP and TLS together
AGAIN_S = 4.0  # how long a refusal of the connection is asked again
SILENT_S = 9.0  # after which the wait for the first answer is said
TUNNEL_ADVICE = ", which wants http://user:password@host:port in its variable"


class Unreached(Exception):
    """No connection to a store that has not answered yet. `hopeless`: asking again would be the same."""

    def __init__(self, text: str, hopeless: bool = False):
        super().__init__(text)
        self.hopeless = hopeless


def connect(connection: Connection, access: Access) -> None:
    """`connection.connect()`; Unreached for what stays as it is, and for any error of a store that has never answered."""
    place = f"{connection.host}:{connection.port}"
    if access.has_answered:
        try:
            connection.connect()
        except OSError as err:
            if is_permanent(err):
                raise unreached(err, access, place) from err
            if isinstance(err, TunnelRefused):
                raise ConnectionError(reason(err, place, access)) from err
            raise
        return
    whole = access.settings.timeout_s
    connection.timeout = min(CONNECT_S, whole)
    try:
        within(CONNECT_S, connection)
        connection.set_timeout(whole if access.is_said_silent else min(SILENT_S, whole))
    except (OSError, ProtocolError) as err:
        raise unreached(err, access, place) from err
    finally:
        connection.timeout = whole


def within(seconds: float, connection: Connection) -> None:
    """Connect in another thread, because the resolver of names has no time limit."""
    ended: queue.Queue[BaseException | None] = queue.Queue()

    def run() -> None:
        try:
            connection.connect()
            ended.put(None)
        except BaseException as err:
            ended.put(err)

    threading.Thread(target=run, name="first-connection", daemon=True).start()
    try:
        problem = ended.get(timeout=seconds)
    except queue.Empty:
        problem = socket.timeout()
    if problem is not None:
        raise problem


def unreached(err: BaseException, access: Access, place: str) -> Unreached:
    return Unreached(
        f"{access.route}: {reason(err, place, access)}; check it, the proxy and the network",
        is_permanent(err) or isinstance(err, socket.timeout),
    )


def is_permanent(err: BaseException) -> bool:
    """TLS that the two sides will never agree on, and a proxy that refuses."""
    if isinstance(err, ssl.SSLError):
        return not isinstance(err, (ssl.SSLEOFError, socket.timeout))
    return isinstance(err, TunnelRefused) and str(err).startswith("4")


def reason(err: BaseException, place: str, access: Access) -> str:
    """Why there is no connection to `place`, for somebody who has perhaps misspelt it."""
    known = tls_reason(str(err), access) if isinstance(err, ssl.SSLError) else ""
    return known or plain_reason(err, place)


def plain_reason(err: BaseException, place: str) -> str:
    """The same of what is not TLS."""
    if isinstance(err, socket.gaierror):
        return f"the name of {place} is not known here ({err.strerror})"
    if isinstance(err, ConnectionRefusedError):
        return f"nothing listens at {place}"
    if isinstance(err, socket.timeout):
        return f"no connection to {place} within {CONNECT_S:.0f} s"
    if isinstance(err, TunnelRefused):
        return f"the proxy {place} answered {err}{TUNNEL_ADVICE if str(err).startswith('407') else ''}"
    return f"no connection to {place} ({type(err).__name__}: {err})"


def tls_reason(text: str, access: Access) -> str:
    """What to do about an error that OpenSSL names so; '' for others."""
    found = trust.reason(text, access.settings.host)
    return f"{found}, or S3_VERIFY_SSL=0" if trust.VARIABLE in found else found


def note_answer(access: Access, connection: Connection | None = None) -> None:
    """The store has answered: from now on its failures pass."""
    if not access.has_answered:
        access.note_answer()
        if connection is not None:
            connection.set_timeout(access.settings.timeout_s)


def say_silent(access: Access) -> None:
    """One line, as long as nothing has come from a store that accepts connections."""
    if not access.is_said_silent and access.settings.timeout_s > SILENT_S:
        access.note_silence()
        print(
            localized(f"{access.settings.named_endpoint}: no answer for {SILENT_S:.0f} s; waiting"),
            file=sys.stderr,
        )
