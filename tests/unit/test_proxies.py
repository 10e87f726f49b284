"""What goes to which host: a proxy gets its password and no more, another host that a store names gets nothing."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from mindlift.errors import MindLiftError
from mindlift.storage import places
from mindlift.storage.copying.copy import copy_file, copy_tree
from mindlift.storage.moxing import file

SECRET = "t0ken-of-a-job"


class Host(ThreadingHTTPServer):
    """Answers every request with `status` and `location`, and keeps its head."""

    def __init__(self, status: int = 200, location: str = ""):
        self.status, self.location = status, location
        self.asked: list[tuple[str, dict[str, str]]] = []
        host = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                host.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
                body = b"" if self.command == "HEAD" else b"hello"
                self.send_response(host.status)
                if host.location:
                    self.send_header("Location", host.location + self.path)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("ETag", f'"{hashlib.md5(b"hello").hexdigest()}"')
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

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
    for name in ("https_proxy", "HTTPS_PROXY", "http_proxy", "no_proxy", "NO_PROXY", "S3_USE_HTTPS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in (("ACCESS_KEY_ID", "a"), ("SECRET_ACCESS_KEY", "b"), ("SECURITY_TOKEN", SECRET)):
        monkeypatch.setenv(name, value)
    places.SERVICES.forget()
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


def test_a_proxy_that_is_not_there_is_named_without_its_password(env):
    env.setenv("S3_ENDPOINT", "http://unseen.invalid:9000")
    env.setenv("http_proxy", "http://me:hushhush@127.0.0.1:1")
    for ask in (lambda: file.read("obs://bucket/k"), lambda: file.list_directory("obs://bucket/")):
        with pytest.raises(MindLiftError) as caught:
            ask()
        assert "hushhush" not in str(caught.value)
        assert "127.0.0.1:1" in str(caught.value) or "unseen.invalid" in str(caught.value)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_client_takes_the_token_to_another_host(env, hosts, tmp_path, status):
    """By obstore, by HttpPlane and by boto3: a store that sends its callers elsewhere."""
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
