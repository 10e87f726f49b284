"""A store that has never answered is given up soon and by its name; one that has answered is waited for."""

from __future__ import annotations

import contextlib
import errno
import pickle
import socket
import ssl
import threading
import time

import pytest

from mindlift.errors import TransferError
from mindlift.storage import access as accesses
from mindlift.storage import first_answer
from mindlift.storage import retry as retries
from mindlift.storage.access import Access
from mindlift.storage.s3.service import Service
from mindlift.storage.s3.store import S3Store
from mindlift.storage.settings import ENDPOINTS, read_settings

KEYS = {"ak": "key", "sk": "secret"}


@pytest.fixture(autouse=True)
def nothing_has_answered(monkeypatch):
    for name in ("http_proxy", "https_proxy", "no_proxy", *ENDPOINTS):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setattr(accesses, "ANSWERS", {})


class Clock:
    """Time that passes only by waiting."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(retries.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(retries.time, "sleep", self.sleep)

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch) -> Clock:
    return Clock(monkeypatch)


def store_at(endpoint: str, **given: object) -> S3Store:
    return S3Store("bkt", Service(Access({**KEYS, "server": endpoint, "path_style": True, **given})))


@contextlib.contextmanager
def listening(answer: bytes = b"", after_s: float = 0.0):
    """A server's port that says `answer` to each connection and closes it, one after the other."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection:
                        connection.recv(65536)
                        time.sleep(after_s)
                        with contextlib.suppress(OSError):  # the client has gone
                            connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def failing(error: Exception):
    def connect(*_: object, **__: object) -> socket.socket:
        raise error

    return connect


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "the name of .* is not known here"),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure"), "is not known here .Temporary failure."),
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), "nothing listens at h.example:80"),
        (socket.timeout("timed out"), "no connection to h.example:80 within 8 s"),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), "no connection to .*Network is unreachable"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), "no connection to .*No route to host"),
        (ConnectionResetError(errno.ECONNRESET, "reset"), "no connection to .*reset"),
    ],
)
@pytest.mark.parametrize("way", ["list", "delete"])
def test_what_was_never_connected_is_named_within_ten_seconds(monkeypatch, clock, error, said, way):
    """Also if the connection itself takes its eight seconds. `delete` goes by boto3, `list` by http.client."""
    monkeypatch.setenv("S3_ENDPOINT", "http://h.example")
    store = store_at("")
    monkeypatch.setattr(socket, "create_connection", failing(error))
    if way == "delete":
        import urllib3.util.connection

        monkeypatch.setattr(urllib3.util.connection, "create_connection", failing(error))
        said = ""
    with pytest.raises(TransferError, match=f"S3_ENDPOINT=http://h.example: .*{said}.*given up") as caught:
        list(store.walk("")) if way == "list" else store.remove("f")
    assert caught.value.exit_code == 1
    assert "\n" not in str(caught.value)
    assert clock.now <= first_answer.AGAIN_S
    assert first_answer.CONNECT_S < 10


def test_a_name_that_takes_for_ever_to_look_up(monkeypatch):
    """getaddrinfo has no time limit of its own."""
    stays = threading.Event()
    monkeypatch.setattr(first_answer, "CONNECT_S", 0.1)
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: stays.wait())
    with pytest.raises(TransferError, match=r"server=http://h.example: no connection .*given up after 1 att"):
        list(store_at("http://h.example").walk(""))
    stays.set()


def test_https_where_http_is(clock):
    said = r"127.0.0.1:\d+ speaks no TLS.*given up after 1 attempts"
    with listening(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port, pytest.raises(TransferError, match=said):
        list(store_at(f"https://127.0.0.1:{port}").walk(""))


def test_a_certificate_that_is_not_trusted():
    err = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed")
    err.reason = "CERTIFICATE_VERIFY_FAILED"
    found = first_answer.unreached(err, Access({**KEYS, "server": "h.example"}), "h.example:443")
    assert found.hopeless
    assert "the certificate of h.example is not trusted: set AWS_CA_BUNDLE=FILE" in str(found)


def test_a_store_that_has_answered_is_waited_for(monkeypatch, clock):
    """All ten attempts, by a process that was given the store by another one too."""
    store = store_at(f"http://127.0.0.1:{free_port()}")
    store.service.access.note_answer()
    sent = pickle.dumps(store.service)
    monkeypatch.setattr(accesses, "ANSWERS", {})
    again = S3Store("bkt", pickle.loads(sent))
    with pytest.raises(
        TransferError, match="refused.*given up after 10 attempts.*; the store is server=http"
    ):
        list(again.walk(""))
    assert clock.now > 4 * first_answer.AGAIN_S


def test_any_answer_counts(clock):
    """A refusal too; and so does the answer that boto3 has got."""
    body = b"<Error><Code>AccessDenied</Code></Error>"
    answer = b"HTTP/1.1 403 Forbidden\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (
        len(body),
        body,
    )
    for request in (lambda store: list(store.walk("")), lambda store: store.remove("f")):
        accesses.ANSWERS.clear()
        with listening(answer) as port:
            store = store_at(f"http://127.0.0.1:{port}")
            with pytest.raises(TransferError, match="AccessDenied"):
                request(store)
            assert store.service.access.has_answered


def test_a_store_that_says_nothing_is_named_while_it_is_waited_for(monkeypatch, capsys):
    monkeypatch.setattr(first_answer, "SILENT_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = f"http://127.0.0.1:{server.getsockname()[1]}"
        store = store_at(endpoint, client_timeout=0.1, retry=3, retry_wait=0.001)
        with pytest.raises(TransferError, match=f"given up after 3 attempts.*server={endpoint}"):
            list(store.walk(""))
    assert capsys.readouterr().err == f"server={endpoint}: no answer for 0 s; waiting\n"


def test_a_store_whose_first_answer_takes_long_is_waited_for(monkeypatch, capsys):
    """The second attempt has the whole time limit."""
    monkeypatch.setattr(first_answer, "SILENT_S", 0.05)
    body = b"<ListBucketResult></ListBucketResult>"
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(body), body)
    with listening(answer, after_s=0.5) as port:
        store = store_at(f"http://127.0.0.1:{port}", client_timeout=30.0, retry=2, retry_wait=0.001)
        assert list(store.walk("")) == []
    assert capsys.readouterr().err.count("waiting") == 1


@pytest.mark.parametrize(
    ("env", "given", "said"),
    [
        ({"S3_ENDPOINT": "h.example"}, {}, "S3_ENDPOINT=https://h.example"),
        ({"AWS_ENDPOINT_URL": "http://h.example:9000/"}, {}, "AWS_ENDPOINT_URL=http://h.example:9000"),
        ({"OBS_ENDPOINT": "a", "AWS_ENDPOINT_URL": "b"}, {}, "OBS_ENDPOINT=https://a"),
        ({"S3_ENDPOINT": "a"}, {"server": "b", "port": 1}, "server=https://b:1"),
        ({}, {}, "s3.us-east-1.amazonaws.com (AWS, because S3_ENDPOINT is not set)"),
    ],
)
def test_the_variable_is_named(env, given, said):
    assert read_settings(env, given).named_endpoint == said
