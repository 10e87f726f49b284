"""What goes to which host: a proxy gets its password and no more, another host that a store names gets nothing."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from mindlift.errors import MindLiftError
from mindlift.storage import access as accesses
from mindlift.storage import places
from mindlift.storage.copying.copy import copy_file, copy_tree
from mindlift.storage.moxing import file
from mindlift.storage.proxies import proxy_for

BODY = b"hello"
SECRET = "t0ken-of-a-job"


class Host(ThreadingHTTPServer):
    """Answers every request with `status` and `location`, and keeps its head."""

    def __init__(self, status: int = 200, location: str = "", body: bytes = BODY):
        self.status, self.location = status, location
        self.asked: list[tuple[str, dict[str, str]]] = []
        host = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                host.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
                self.send_response(host.status)
                self.send_header("Last-Modified", "Mon, 02 Nov 2026 00:00:00 GMT")
                if host.location:
                    self.send_header("Location", host.location + self.path)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("ETag", f'"{hashlib.md5(b"hello").hexdigest()}"')
                self.end_headers()
                self.wfile.write(b"" if self.command == "HEAD" else body)

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_CONNECT = answer

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


@pytest.fixture
def hosts() -> Iterator[list[Host]]:
    found: list[Host] = []
    yield found
    for each in found:
        each.shutdown()
        each.server_close()


@pytest.fixture
def env(monkeypatch) -> Iterator[pytest.MonkeyPatch]:
    for name in ("https_proxy", "http_proxy", "no_proxy", "all_proxy", "S3_USE_HTTPS"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setattr(accesses, "ANSWERS", {})
    for name, value in (("ACCESS_KEY_ID", "a"), ("SECRET_ACCESS_KEY", "b"), ("SECURITY_TOKEN", SECRET)):
        monkeypatch.setenv(name, value)
    places.SERVICES.forget()
    places.set_auth(retry=2, retry_wait=0.01)
    yield monkeypatch
    places.SERVICES.forget()


def test_a_proxy_with_a_password(env, hosts):
    hosts.append(Host())
    env.setenv("S3_ENDPOINT", "http://store.invalid:9000")
    env.setenv("http_proxy", f"http://me:p%40ss@{hosts[0].address}")
    assert file.read("obs://bucket/k", binary=True) == b"hello"
    (path, headers), *_ = hosts[0].asked
    assert path == "http://store.invalid:9000/bucket/k"
    assert headers["proxy-authorization"] == f"Basic {base64.b64encode(b'me:p@ss').decode()}"
    assert headers["host"] == "store.invalid:9000"


def by_boto3() -> None:
    places.SERVICES.get().call("HEAD bucket/k", "head_object", Bucket="bucket", Key="k")


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("ask", [lambda: file.read("obs://bucket/k"), by_boto3])
def test_a_proxy_that_is_not_there_is_named_without_its_password(env, monkeypatch, scheme, ask):
    env.setenv("S3_ENDPOINT", f"{scheme}://unseen.invalid:9000")
    env.setenv(f"{scheme}_proxy", "http://me:hushhush@127.0.0.1:1")
    with pytest.raises(MindLiftError) as caught:
        ask()
    said = str(caught.value)
    assert "hushhush" not in said
    assert f"S3_ENDPOINT={scheme}://unseen.invalid:9000 by the proxy {scheme}_proxy=127.0.0.1:1: " in said


@pytest.mark.parametrize("has_answered", [False, True])
def test_a_proxy_that_wants_a_password(env, hosts, has_answered):
    """RFC 9110, 15.5.8. Asking again would be the same."""
    hosts.append(Host(407))
    env.setenv("S3_ENDPOINT", "https://unseen.invalid")
    env.setenv("HTTPS_PROXY", f"http://{hosts[0].address}")
    if has_answered:
        places.SERVICES.get().access.note_answer()
    with pytest.raises(MindLiftError) as caught:
        file.read("obs://bucket/k")
    said = str(caught.value)
    assert f"by the proxy HTTPS_PROXY={hosts[0].address}: the proxy {hosts[0].address} answered 407" in said
    assert "http://user:password@host:port" in said
    assert len(hosts[0].asked) == 1


def test_an_answer_of_a_proxy_itself_names_it(env, hosts):
    """The page of one that refuses a host, as Squid's, has no code of a store."""
    hosts.append(Host(405, body=b"<html><head><title>ERROR: not allowed here</title></head></html>"))
    env.setenv("S3_ENDPOINT", "http://unseen.invalid")
    env.setenv("http_proxy", f"http://{hosts[0].address}")
    with pytest.raises(MindLiftError) as caught:
        file.read("obs://bucket/k")
    assert "405: ERROR: not allowed here; the store is S3_ENDPOINT=http://unseen.invalid by" in str(
        caught.value
    )
    assert str(caught.value).endswith(f"by the proxy http_proxy={hosts[0].address}")


@pytest.mark.parametrize(
    ("variable", "no_proxy", "is_spared"),
    [
        ("no_proxy", "127.0.0.1:{port}", True),
        ("NO_PROXY", "10.0.0.1, 127.0.0.1:{port}", True),
        ("NO_PROXY", "127.0.0.1", True),
        ("no_proxy", "*", True),
        ("no_proxy", "127.0.0.1:1", False),
        ("NO_PROXY", "example.com", False),
    ],
)
def test_hosts_that_no_proxy_is_asked_for(env, hosts, variable, no_proxy, is_spared):
    """By both clients: HttpPlane and boto3."""
    proxy, store = Host(body=BODY), Host(body=BODY)
    hosts += [proxy, store]
    env.setenv("S3_ENDPOINT", f"http://{store.address}")
    env.setenv("http_proxy", f"http://{proxy.address}")
    env.setenv(variable, no_proxy.format(port=store.server_address[1]))
    env.delenv("SECURITY_TOKEN")
    for ask in (lambda: file.read("obs://bucket/k"), by_boto3):
        asked = len((store if is_spared else proxy).asked)
        ask()
        assert len((store if is_spared else proxy).asked) > asked
    assert not (proxy if is_spared else store).asked


@pytest.mark.parametrize(
    ("is_secure", "host", "no_proxy", "is_spared"),
    [
        (True, "obs.example.com", "obs.example.com:443", True),
        (False, "obs.example.com", "obs.example.com:80", True),
        (True, "obs.example.com", "obs.example.com:80", False),
        (True, "bucket.obs.example.com", ".example.com", True),
        (True, "bucket.obs.example.com", "obs.example.com:443", True),
        (True, "obs.example.com:9000", "obs.example.com", True),
        (True, "obs.example.com.evil", "obs.example.com", False),
    ],
)
def test_the_port_of_the_scheme(env, is_secure, host, no_proxy, is_spared):
    env.setenv("no_proxy", no_proxy)
    env.setenv("http_proxy", "http://p:1")
    env.setenv("https_proxy", "http://p:1")
    assert (proxy_for(is_secure, host).address == "") is is_spared


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_client_takes_the_token_to_another_host(env, hosts, tmp_path, status):
    """By HttpPlane and by boto3: a store that sends its callers elsewhere."""
    other = Host()
    hosts += [other, Host(status, f"http://localhost:{other.server_address[1]}")]
    env.setenv("S3_ENDPOINT", f"http://{hosts[1].address}")
    places.set_auth(retry=2)
    for ask in (
        lambda: file.read("obs://bucket/k"),
        lambda: file.list_directory("obs://bucket/"),
        lambda: copy_file("obs://bucket/k", str(tmp_path / "k")),
        lambda: copy_tree("obs://bucket/d", str(tmp_path / "d")),
        lambda: file.write("obs://bucket/k", "x"),
        lambda: file.remove("obs://bucket/k"),
    ):
        with pytest.raises((MindLiftError, OSError)):
            ask()
    assert hosts[1].asked
    assert all(SECRET not in headers.values() for _, headers in other.asked)
    assert all("authorization" not in headers for _, headers in other.asked)
