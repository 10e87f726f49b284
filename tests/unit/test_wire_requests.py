"""What a request to a store looks like: host, path, headers and keys."""

from __future__ import annotations

import base64
import hashlib
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from mindlift.storage.access import Access
from mindlift.storage.errors import MoxFileReadException
from mindlift.storage.s3.listing import parse_page
from mindlift.storage.s3.service import Service
from mindlift.storage.s3.store import Multipart, S3Store

OBS = "obs.cn-north-4.myhuaweicloud.com"
PART = b"part"
GIVEN = {"ak": "a", "sk": "s", "retry_wait": 0.001, "retry": 3}


@dataclass
class Seen:
    """A request; names of headers in lower case."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes

    @property
    def query(self) -> dict[str, str]:
        pairs = parse_qs(urlsplit(self.url).query, keep_blank_values=True)
        return {name: values[0] for name, values in pairs.items()}


class Recorder(BaseHTTPRequestHandler):
    """An HTTP proxy that plays OBS, so that its host names need no DNS. Lists five keys in pages of two."""

    protocol_version = "HTTP/1.1"
    keys = ("p/a", "p/b+%41", "p/c d", "p/é", "p/数")

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        headers = {name.lower(): value for name, value in self.headers.items()}
        seen = Seen(self.command, self.path, headers, self.rfile.read(length))
        self.server.seen.append(seen)  # type: ignore[attr-defined]
        body = self.reply(seen)
        self.send_response(204 if seen.method == "DELETE" else 200)
        self.send_header("x-obs-request-id", "8DF400000163D3F7")
        self.send_header("ETag", f'"{hashlib.md5(seen.body).hexdigest()}"')
        self.send_header("Last-Modified", "Mon, 02 Nov 2026 00:00:00 GMT")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = answer

    def reply(self, seen: Seen) -> bytes:
        if "delete" in seen.query:
            keys = re.findall("<Key>.*?</Key>", seen.body.decode())
            return f"<DeleteResult>{''.join(f'<Deleted>{key}</Deleted>' for key in keys)}</DeleteResult>".encode()
        if "uploads" in seen.query:
            return b"<InitiateMultipartUploadResult><UploadId>id</UploadId></InitiateMultipartUploadResult>"
        if seen.method == "POST":
            whole = hashlib.md5(hashlib.md5(PART).digest()).hexdigest()
            return f'<CompleteMultipartUploadResult><ETag>"{whole}-1"</ETag></CompleteMultipartUploadResult>'.encode()
        if seen.method != "GET":
            return b""
        left = [key for key in self.keys if key > seen.query.get("marker", "")]
        found = "".join(f"<Contents><Key>{key}</Key><Size>1</Size></Contents>" for key in left[:2])
        more = f"<IsTruncated>{str(len(left) > 2).lower()}</IsTruncated>"
        return f"<ListBucketResult>{more}{found}</ListBucketResult>".encode()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Seen]]:
    """What a store behind an HTTP proxy is asked."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Recorder) as server:
        server.daemon_threads = True
        server.seen = []  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for name in ("http_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, "http://{}:{}".format(*server.server_address))
        for name in ("no_proxy", "NO_PROXY", "AWS_REGION", "AWS_DEFAULT_REGION"):
            monkeypatch.delenv(name, raising=False)
        yield server.seen  # type: ignore[attr-defined]
        server.shutdown()


def obs(bucket: str = "data", **given) -> S3Store:
    return S3Store(bucket, Service(Access({**GIVEN, "server": f"http://{OBS}", **given})))


def everything(store: S3Store) -> None:
    """One request of every kind."""
    store.write("a b", b"body")
    with Multipart(store, "large") as upload:
        upload.put(1, PART)
    store.remove("a")
    store.remove_folder("p")
    store.service.http.send("HEAD", store.bucket, "a")


def md5_header(body: bytes) -> str:
    return base64.b64encode(hashlib.md5(body).digest()).decode()


def test_bodies_carry_an_md5_and_nothing_that_obs_does_not_know(seen):
    everything(obs())
    bodies = [request for request in seen if request.body]
    assert [request.method for request in bodies] == ["PUT", "PUT", "POST", "POST"]
    parts = [request for request in bodies if request.method == "PUT" or "delete" in request.query]
    assert len(parts) == 3
    for request in parts:
        assert request.headers["content-md5"] == md5_header(request.body)
        assert int(request.headers["content-length"]) == len(request.body)
    for request in seen:
        unknown = re.compile(r"x-amz-(checksum|sdk|trailer|decoded)|expect$|trailer$|transfer-encoding$")
        assert not [name for name in request.headers if unknown.match(name)], request
        if request.method != "POST" or "uploads" not in request.query:
            assert request.headers["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD", request
        assert f"/{obs().service.access.settings.region}/s3/aws4_request" in request.headers["authorization"]


@pytest.mark.parametrize(
    ("bucket", "host", "prefix"), [("data", f"data.{OBS}", "/"), ("Data_1", OBS, "/Data_1")]
)
def test_host_and_path_of_every_request(seen, bucket, host, prefix):
    everything(obs(bucket))
    assert len(seen) >= 7
    for request in seen:
        assert request.headers["host"] == host, request
        assert urlsplit(request.url).path.startswith(prefix), request


def test_obs_is_asked_for_lists_v1_with_plain_keys(seen):
    found = [entry.key for entry in obs(list_max_keys=2).walk("p")]
    assert found == list(Recorder.keys)
    assert [request.query.get("marker") for request in seen] == [None, "p/b+%41", "p/é"]
    for request in seen:
        assert not {"encoding-type", "list-type", "continuation-token"} & set(request.query)
        assert request.query["max-keys"] == "2"


def test_temporary_keys_send_their_token(seen):
    everything(obs(security_token="temporary"))
    assert {request.headers.get("x-amz-security-token") for request in seen} == {"temporary"}
    assert all("x-amz-security-token" in request.headers["authorization"] for request in seen)


NO_SIZE = b"<ListBucketResult><Contents><Size>x</Size></Contents></ListBucketResult>"


@pytest.mark.parametrize("body", [b"", b"<html>", b"<ListBucketResult", b"<Other/>", NO_SIZE])
def test_what_is_no_list_is_one_line(body):
    with pytest.raises(MoxFileReadException, match="^list b/p: the answer is no list") as caught:
        parse_page("list b/p", body)
    assert "\n" not in str(caught.value)
