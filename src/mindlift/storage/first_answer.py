"""The time before a store's first answer, in which it is more likely that its address is wrong than that it is down.

A store that has answered once is waited for as `retry.py` says, because a running job must outlast its restart. One
that can't even be connected to is given up in less than ten seconds, by its name and that of its variable.
"""

from __future__ import annotations

import http.client
import queue
import socket
import ssl
import sys
import threading

from mindlift.storage.access import Access

CONNECT_S = 8.0  # for the name, TCP and TLS together
AGAIN_S = 4.0  # how long a refusal of the connection is asked again
SILENT_S = 9.0  # after which the wait for the first answer is said


class Unreached(Exception):
    """No connection to a store that has not answered yet. `hopeless`: asking again would be the same."""

    def __init__(self, text: str, hopeless: bool = False):
        super().__init__(text)
        self.hopeless = hopeless


def connect(connection: http.client.HTTPConnection, access: Access) -> None:
    """`connection.connect()`; Unreached instead of the network's errors as long as the store has never answered."""
    if access.has_answered:
        connection.connect()
        return
    place = f"{connection.host}:{connection.port}"
    whole = access.settings.timeout_s
    connection.timeout = min(CONNECT_S, whole)
    try:
        within(CONNECT_S, connection)
        connection.sock.settimeout(whole)
        if not access.is_said_silent:
            connection.sock.settimeout(min(SILENT_S, whole))
    except (OSError, http.client.HTTPException) as err:
        raise unreached(err, access, place) from err
    finally:
        connection.timeout = whole


def within(seconds: float, connection: http.client.HTTPConnection) -> None:
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
    is_tls = isinstance(err, ssl.SSLError) and not isinstance(err, ssl.SSLEOFError)
    is_slow = isinstance(err, socket.timeout)
    return Unreached(
        f"{access.settings.named_endpoint}: {reason(err, place)}; check it, the proxy and the network",
        is_tls or is_slow,
    )


def reason(err: BaseException, place: str) -> str:
    """Why there is no connection to `place`, for somebody who has perhaps misspelt it."""
    if isinstance(err, socket.gaierror):
        return f"the name of {place} is not known here ({err.strerror})"
    if isinstance(err, ConnectionRefusedError):
        return f"nothing listens at {place}"
    if isinstance(err, socket.timeout):
        return f"no connection to {place} within {CONNECT_S:.0f} s"
    if isinstance(err, ssl.SSLError) and err.reason == "CERTIFICATE_VERIFY_FAILED":
        return f"the certificate of {place} is not trusted (AWS_CA_BUNDLE=FILE, or S3_VERIFY_SSL=0)"
    if isinstance(err, ssl.SSLError) and err.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"):
        return f"{place} speaks no TLS; is it http:// instead of https://?"
    return f"no connection to {place} ({type(err).__name__}: {err})"


def note_answer(access: Access, connection: http.client.HTTPConnection | None = None) -> None:
    """The store has answered: from now on its failures pass."""
    if not access.has_answered:
        access.note_answer()
        if connection is not None and connection.sock is not None:
            connection.sock.settimeout(access.settings.timeout_s)


def say_silent(access: Access) -> None:
    """One line, as long as nothing has come from a store that accepts connections."""
    if not access.is_said_silent and access.settings.timeout_s > SILENT_S:
        access.note_silence()
        print(f"{access.settings.named_endpoint}: no answer for {SILENT_S:.0f} s; waiting", file=sys.stderr)
