"""A double of OpenI, and a server that answers what a test tells it to."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from mindlift.cloud.providers.openi.rest import Rest
from tests.doubles.openi import OpenIDouble
from tests.doubles.runner import ScriptedRunner
from tests.support.openi_jobs import TOKEN


@pytest.fixture
def answer() -> Iterator:
    """`answer(status, text, **headers)` sets what a server on loopback says; returns its client."""
    said: dict = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = said["text"].encode()
            self.send_response(said["status"])
            for name, value in said["headers"].items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()

    def say(status: int, text: str, **headers: str) -> Rest:
        said.update(status=status, text=text, headers=headers)
        return Rest(f"http://127.0.0.1:{server.server_port}", {"OPENI_TOKEN": TOKEN, "HOME": "/nonexistent"})

    yield say
    server.shutdown()
    server.server_close()


@pytest.fixture
def service(tmp_path, monkeypatch) -> Iterator[OpenIDouble]:
    monkeypatch.setenv("OPENI_TOKEN", OpenIDouble.token)
    monkeypatch.setenv("HOME", str(tmp_path))
    with OpenIDouble(ScriptedRunner(), results_url=f"{tmp_path}/results/") as double:
        yield double
