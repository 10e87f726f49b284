"""OpenI's answers that are not as documented: one line each, without the token."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from cloud.errors import NoSuchJob, Overloaded, Refused
from cloud.providers.openi.rest import Rest

TOKEN = "0123456789abcdef-secret"


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
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def say(status: int, text: str, **headers: str) -> Rest:
        said.update(status=status, text=text, headers=headers)
        return Rest(f"http://127.0.0.1:{server.server_port}", {"OPENI_TOKEN": TOKEN, "HOME": "/nonexistent"})

    yield say
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    "text", ["<html>maintenance</html>", "[1, 2]", '"text"', '{"code": 0, "data": [3]}', ""]
)
def test_an_answer_of_another_form_is_worth_another_try(answer, text):
    with pytest.raises(Overloaded, match="show job 7: OpenI answered 200: an answer of another form"):
        answer(200, text).get("show job 7", "/ai_task")


@pytest.mark.parametrize("text", ['{"code": 0}', '{"code": 0, "data": null}', "{}"])
def test_no_data_is_empty_data(answer, text):
    assert answer(200, text).get("show job 7", "/ai_task") == {}


@pytest.mark.parametrize(
    ("status", "text"),
    [(401, f"bad token {TOKEN}"), (400, f"header Authorization: token {TOKEN}\n\x1b[31m"), (200, json.dumps({"code": 9003, "msg": f"no right for {TOKEN}"})), (502, f"<p>{TOKEN}</p>")],
)  # fmt: skip
def test_no_message_has_the_token(answer, status, text):
    with pytest.raises((Refused, Overloaded)) as caught:
        answer(status, text).get("show job 7", "/ai_task")
    assert TOKEN not in str(caught.value)
    assert "***" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_service_says_how_long_to_wait(answer):
    with pytest.raises(Overloaded) as caught:
        answer(429, "slow down", Retry_After="17").get("list jobs", "/ai_task/my_list")
    assert caught.value.retry_after_s == 17


@pytest.mark.parametrize(("status", "text"), [(404, "not found"), (200, '{"code": 2001, "msg": "no task"}')])
def test_a_job_that_is_not_there(answer, status, text):
    with pytest.raises(NoSuchJob):
        answer(status, text).get("show job 7", "/ai_task")
