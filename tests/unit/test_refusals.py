"""Why a store refuses, in the store's words: also where the answer to a HEAD has no body."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from mindlift.errors import AccessError, MindLiftError
from mindlift.storage import places
from mindlift.storage import retry as retries
from mindlift.storage.moxing import file
from mindlift.storage.settings import KEY_FAMILIES

NAMED = {  # code: (status, what the line says of it); https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
    "RequestTimeTooSkewed": (403, "clock is more than 15 minutes off"),
    "AccessDenied": (403, "do they belong to S3_ENDPOINT="),
    "InvalidAccessKeyId": (403, "the keys come from ACCESS_KEY_ID"),
    "SignatureDoesNotMatch": (403, "the keys come from ACCESS_KEY_ID"),
    "ExpiredToken": (400, "expired"),
    "InvalidToken": (400, "InvalidToken"),
    "AuthorizationHeaderMalformed": (400, "AuthorizationHeaderMalformed"),
    "PermanentRedirect": (301, "PermanentRedirect"),
}


class Refusing(ThreadingHTTPServer):
    """Refuses everything by `code`: in the body as S3 does, for a HEAD in headers of that beginning or not at all."""

    def __init__(self, status: int, code: str, header: str = ""):
        asked = self.asked = []
        body = f"<Error><Code>{code}</Code><Message>it has expired, or so</Message></Error>".encode()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                asked.append(self.command)
                self.send_response(status)
                if header and self.command == "HEAD":
                    self.send_header(f"{header}-error-code", code)
                self.send_header("Content-Length", "0" if self.command == "HEAD" else str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_HEAD = answer

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()


@pytest.fixture
def refuse(monkeypatch) -> Iterator:
    started = []
    monkeypatch.setattr(retries.time, "sleep", lambda seconds: None)

    def refuse(*how: object) -> Refusing:
        started.append(Refusing(*how))
        monkeypatch.setenv("S3_ENDPOINT", f"http://127.0.0.1:{started[-1].server_address[1]}")
        monkeypatch.setenv("ACCESS_KEY_ID", "a")
        monkeypatch.setenv("SECRET_ACCESS_KEY", "b")
        places.SERVICES.forget()
        return started[-1]

    yield refuse
    for each in started:
        each.shutdown()
        each.server_close()
    places.SERVICES.forget()


@pytest.mark.parametrize("code", NAMED)
@pytest.mark.parametrize("header", ["", "x-obs", "x-minio"])
def test_a_head_that_is_refused_says_why(refuse, code, header):
    status, said = NAMED[code]
    server = refuse(status, code, header)
    with pytest.raises(MindLiftError) as caught:
        file.exists("obs://bucket/k")
    assert f"HEAD bucket/k: the store answered {status} {code}" in str(caught.value)
    assert said in str(caught.value) or header
    assert server.asked[:2] == (["HEAD", "GET"] if not header else server.asked[:2])
    assert header == "" or "GET" not in server.asked


@pytest.mark.parametrize("ask", [file.exists, file.read, file.list_directory])
def test_a_clock_that_is_off_at_minio(url, monkeypatch, ask):
    """MinIO allows 15 minutes, as S3 does."""
    late = time.gmtime(time.time() - 20 * 60)
    monkeypatch.setattr("mindlift.storage.s3.signature.time.gmtime", lambda: late)
    with pytest.raises(AccessError, match="this machine's clock is more than 15 minutes off"):
        ask(f"{url}/k")


class Renewing(ThreadingHTTPServer):
    """Takes the access key `new` alone, and says of others what S3 says of a session that is over."""

    def __init__(self) -> None:
        refused = self.refused = []
        body = b"<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                is_new = "Credential=new/" in self.headers["Authorization"]
                refused.extend([] if is_new else [self.command])
                self.send_response((204 if self.command == "DELETE" else 200) if is_new else 400)
                self.send_header("ETag", '"x"')
                self.send_header("Last-Modified", "Mon, 02 Nov 2026 00:00:00 GMT")
                text = body if not is_new else b"hello" if self.command != "DELETE" else b""
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(b"" if self.command == "HEAD" else text)

            do_GET = do_HEAD = do_DELETE = answer

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()


def profile(key: str) -> str:
    return (
        f"[default]\naws_access_key_id = {key}\naws_secret_access_key = s\naws_session_token = token-{key}\n"
    )


ASKS = {
    "HEAD": lambda: places.locate("obs://bucket/k")[0].head("k").size,
    "GET": lambda: places.read("obs://bucket/k"),
    "boto3": lambda: places.SERVICES.get().call("DELETE k", "delete_object", Bucket="bucket", Key="k"),
}


STATES = (["new"], ["old", "new"], ["[default]\naws_acc", "new"], [None, "new"])
FILES = ("CREDENTIAL_PROFILES_FILE", "AWS_SHARED_CREDENTIALS_FILE")
CASES = [(ask, name, states) for ask in ("HEAD", "GET") for name in FILES for states in STATES]


@pytest.mark.parametrize(("ask", "variable", "states"), [*CASES, ("boto3", FILES[0], STATES[0])])
def test_a_token_file_that_is_replaced_is_read_when_the_store_says_so(
    monkeypatch, tmp_path, variable, ask, states
):
    """At once, or while the store is asked again; a moment in which it is half written or gone is no end."""
    path, left = tmp_path / "credentials", list(states)
    path.write_text(profile("old"))
    for family in KEY_FAMILIES:
        for name in family:
            monkeypatch.delenv(name, raising=False)
    server = Renewing()
    monkeypatch.setenv("S3_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(variable, str(path))
    places.SERVICES.forget()

    def replace(seconds: float = 0.0) -> None:
        state = left.pop(0) if left else "new"
        if state is None:
            path.unlink()
        else:
            path.write_text(profile(state) if state in ("old", "new") else state)

    service = places.SERVICES.get()
    assert service.access.keys().access_key == "old"
    monkeypatch.setattr(retries.time, "sleep", replace)
    renew = service.access.renew
    monkeypatch.setattr(
        service.access, "renew", lambda used: (replace() if len(left) == len(states) else None) or renew(used)
    )
    try:
        assert ASKS[ask]()
    finally:
        server.shutdown()
        server.server_close()
        places.SERVICES.forget()
    assert server.refused
    assert not left
