"""A store that answers what it likes: its texts are never paths."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mindlift.model_utils.staging import checkpoints
from mindlift.model_utils.staging.stager import Stager
from mindlift.storage import places

BODY = b"weights"


class Hostile(ThreadingHTTPServer):
    """An S3 store of one object, with the ETag that it is told to give."""

    def __init__(self, etag: str):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                self.send_response(200)
                self.send_header("ETag", etag)
                self.send_header("Last-Modified", "Mon, 02 Nov 2026 00:00:00 GMT")
                self.send_header("Content-Length", str(len(BODY)))
                self.end_headers()
                self.wfile.write(b"" if self.command == "HEAD" else BODY)

            do_GET = do_HEAD = answer

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


@pytest.fixture
def serve(monkeypatch) -> Iterator:
    started = []

    def serve(etag: str) -> None:
        started.append(Hostile(etag))
        monkeypatch.setenv("S3_ENDPOINT", f"http://127.0.0.1:{started[-1].server_address[1]}")
        monkeypatch.setenv("ACCESS_KEY_ID", "a")
        monkeypatch.setenv("SECRET_ACCESS_KEY", "b")
        places.SERVICES.forget()

    yield serve
    for each in started:
        each.shutdown()
        each.server_close()
    places.SERVICES.forget()


@pytest.mark.parametrize(
    "etag", ['"{0}"', "{0}", '"../../victim"', '"."', '"a b"', '"' + "x" * 400 + '"', '"\x01"']
)
def test_an_etag_is_no_folder(serve, tmp_path, etag):
    victim = tmp_path / "victim"
    serve(etag.format(victim))
    stager = Stager(tmp_path / "cache", lambda line: None)
    (path,) = checkpoints.fetch(stager, "obs://bucket/a.ckpt")
    assert path.read_bytes() == BODY
    assert path.parent.parent == tmp_path / "cache" / "checkpoints"
    assert len(path.parent.name) == len(hashlib.md5().hexdigest())
    assert not victim.exists()
    assert checkpoints.fetch(stager, "obs://bucket/a.ckpt") == [path]
    assert not list(Path(tmp_path).glob("*.ckpt"))
