"""TLS: every client trusts the same certificates, and what will not pass is said at once, with the variable to set."""

from __future__ import annotations

import hashlib
import os
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mindlift.cloud.prepare import bucket as bucket_checks
from mindlift.errors import ConfigError, MindLiftError, StageError
from mindlift.program import web
from mindlift.storage import access as accesses
from mindlift.storage import places, trust
from mindlift.storage import retry as retries
from mindlift.storage.settings import CA_BUNDLES, ENDPOINTS
from tests.support.tls import certificate

BODY = b"hello"
ETAG = hashlib.md5(BODY).hexdigest()
PROXIES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")


class Store(ThreadingHTTPServer):
    """A store of one object, over TLS with the certificate that it is given."""

    def __init__(self, pem: Path | None):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = b"" if self.command in ("HEAD", "DELETE") else BODY
                self.send_response(204 if self.command == "DELETE" else 200)
                self.send_header("ETag", f'"{ETAG}"')
                self.send_header("Last-Modified", "Mon, 02 Nov 2026 00:00:00 GMT")
                if self.command != "DELETE":
                    self.send_header("Content-Length", str(len(BODY)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_HEAD = do_DELETE = answer

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        if pem:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(pem)
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def handle_error(self, *_: object) -> None:
        """A client that does not trust it closes the connection."""

    @property
    def port(self) -> int:
        return self.server_address[1]


@pytest.fixture(scope="module")
def pems(tmp_path_factory) -> tuple[Path, Path]:
    return certificate(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def serve(monkeypatch) -> Iterator:
    """Starts a store and makes it the one that URLs mean; what waits between attempts is an error."""
    started: list[Store] = []
    for name in (*PROXIES, *CA_BUNDLES, *ENDPOINTS, "S3_VERIFY_SSL", "S3_USE_HTTPS"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setattr(accesses, "ANSWERS", {})
    monkeypatch.setattr(retries.time, "sleep", no_wait)

    def serve(pem: Path | None, scheme: str = "https") -> Store:
        started.append(Store(pem))
        monkeypatch.setenv("S3_ENDPOINT", f"{scheme}://127.0.0.1:{started[-1].port}")
        monkeypatch.setenv("ACCESS_KEY_ID", "a")
        monkeypatch.setenv("SECRET_ACCESS_KEY", "b")
        places.SERVICES.forget()
        return started[-1]

    yield serve
    for each in started:
        each.shutdown()
        each.server_close()
    places.SERVICES.forget()


def no_wait(seconds: float) -> None:
    assert not seconds, "what will not pass is waited for"


def by_http(folder: Path) -> bytes:
    return places.read("obs://bucket/k")


def by_boto3(folder: Path) -> bytes:
    places.SERVICES.get().call("DELETE bucket/k", "delete_object", Bucket="bucket", Key="k")
    return BODY


def by_urllib(folder: Path) -> bytes:
    return web.fetch(f"{os.environ['S3_ENDPOINT']}/k", folder / "k", lambda line: None).read_bytes()


def by_requests(folder: Path) -> bytes:
    import requests

    return requests.get(f"{os.environ['S3_ENDPOINT']}/k", timeout=9, verify=trust.for_requests()).content


CLIENTS = [by_http, by_boto3, by_urllib, by_requests]


@pytest.mark.parametrize("ask", CLIENTS)
def test_every_client_trusts_the_file_that_a_variable_names(serve, pems, monkeypatch, tmp_path, ask):
    serve(pems[1])
    monkeypatch.setenv("AWS_CA_BUNDLE", str(pems[0]))
    assert ask(tmp_path) == BODY
    assert "SSL_CERT_FILE" not in os.environ


@pytest.mark.parametrize("variable", CA_BUNDLES)
def test_the_variables(pems, variable):
    assert trust.bundle(env={variable: str(pems[0])}) == str(pems[0])
    assert trust.bundle(env={"AWS_CA_BUNDLE": str(pems[0]), variable: str(pems[0])}) == str(pems[0])
    with pytest.raises(ConfigError, match=f"{variable}=/nope.pem can't be used .No such file or directory"):
        trust.bundle(env={variable: "/nope.pem"})


@pytest.mark.parametrize("ask", CLIENTS)
def test_every_client_trusts_what_the_system_trusts(serve, pems, monkeypatch, tmp_path, ask):
    """As after update-ca-certificates on Debian, or update-ca-trust on Red Hat."""
    serve(pems[1])
    paths = ssl.get_default_verify_paths()._replace(cafile=str(pems[0]))
    monkeypatch.setattr(trust.ssl, "get_default_verify_paths", lambda: paths)
    assert ask(tmp_path) == BODY
    assert "SSL_CERT_FILE" not in os.environ


@pytest.mark.parametrize("has_answered", [False, True])
@pytest.mark.parametrize("ask", [by_http, by_boto3])
def test_a_certificate_that_nobody_signed_is_said_at_once(serve, pems, tmp_path, ask, has_answered):
    store = serve(pems[1])
    if has_answered:
        places.SERVICES.get().access.note_answer()
    with pytest.raises(MindLiftError) as caught:
        ask(tmp_path)
    said = str(caught.value)
    assert (
        f"S3_ENDPOINT=https://127.0.0.1:{store.port}: the certificate of 127.0.0.1:{store.port} is not"
        in said
    )
    assert "unable to get local issuer certificate" in said
    assert "AWS_CA_BUNDLE=FILE" in said
    assert "S3_VERIFY_SSL=0" in said
    assert "\n" not in said


def test_a_web_server_whose_certificate_nobody_signed(serve, pems, tmp_path):
    store = serve(pems[1])
    with pytest.raises(StageError, match=f"the certificate of 127.0.0.1:{store.port} is not trusted"):
        by_urllib(tmp_path)


@pytest.mark.parametrize("ask", [by_http, by_boto3])
def test_a_certificate_that_is_not_checked(serve, pems, monkeypatch, tmp_path, ask):
    serve(pems[1])
    monkeypatch.setenv("S3_VERIFY_SSL", "0")
    assert ask(tmp_path) == BODY


def test_a_certificate_that_has_expired(serve, monkeypatch, tmp_path):
    authority, server = certificate(tmp_path / "old", days=-1)
    serve(server)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(authority))
    with pytest.raises(MindLiftError, match=r"is not trusted \(certificate has expired\)"):
        by_http(tmp_path)


@pytest.mark.parametrize("ask", [by_http, by_boto3])
def test_https_to_a_port_of_http(serve, tmp_path, ask):
    store = serve(None)
    with pytest.raises(
        MindLiftError, match=f"S3_ENDPOINT=.*: 127.0.0.1:{store.port} speaks no TLS; is it http://"
    ):
        ask(tmp_path)


def test_http_to_a_port_of_https(monkeypatch, serve):
    """In the words of Go's net/http, in which MinIO is written."""
    from tests.unit.test_first_answer import listening

    serve(None)
    body = b"Client sent an HTTP request to an HTTPS server.\n"
    with listening(b"HTTP/1.0 400 Bad Request\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)) as port:
        monkeypatch.setenv("S3_ENDPOINT", f"http://127.0.0.1:{port}")
        with pytest.raises(MindLiftError) as caught:
            places.exists("obs://bucket/k")
    said = str(caught.value)
    assert "400: Client sent an HTTP request to an HTTPS server." in said
    assert said.endswith(f"S3_ENDPOINT=http://127.0.0.1:{port}: is it https:// instead of http://?")


def made(tmp_path: Path, kind: str) -> str:
    path = tmp_path / "ca.pem"
    if kind == "garbage":
        path.write_bytes(os.urandom(999))
    elif kind == "empty":
        path.write_text("")
    elif kind == "a key":
        path.write_text(certificate(tmp_path / "x")[1].read_text().partition("-----BEGIN PRIVATE")[2])
    elif kind == "a folder":
        path.mkdir()
    elif kind == "below a file":
        path.write_text("")
        path = path / "ca.pem"
    return str(path)


@pytest.mark.parametrize("kind", ["missing", "garbage", "empty", "a key", "a folder", "below a file"])
def test_a_bundle_that_can_not_be_used_is_one_line(serve, monkeypatch, tmp_path, kind):
    serve(None)
    path = made(tmp_path, kind)
    monkeypatch.setenv("AWS_CA_BUNDLE", path)
    for ask in CLIENTS:
        with pytest.raises(ConfigError) as caught:
            ask(tmp_path)
        assert str(caught.value).startswith(f"AWS_CA_BUNDLE={path} can't be used (")
        assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_bundle_that_may_not_be_read(monkeypatch, tmp_path):
    (tmp_path / "ca.pem").touch(0o000)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    with pytest.raises(ConfigError, match="Permission denied"):
        trust.context()


def test_a_bundle_does_not_matter_to_http(serve, monkeypatch, tmp_path):
    serve(None, "http")
    monkeypatch.setenv("AWS_CA_BUNDLE", "/nope.pem")
    for ask in (by_http, by_boto3):
        assert ask(tmp_path) == BODY
    assert bucket_checks.clock().ok is not False
