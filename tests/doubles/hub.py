"""A Hugging Face hub and the server that holds its large files, as huggingface_hub's file_download.py (2.4.0) knows them:
`/owner/name/resolve/<revision>/<file>` answers 302 with X-Linked-Etag (the SHA-256), X-Linked-Size, X-Repo-Commit and the
Location of the content at another host, which takes Range; a file that is not there is 404, a private repository 401.

Also a plain server of files, as download.pytorch.org is one (`plain`).
"""

from __future__ import annotations

import hashlib
import ssl
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """`files` by repository/file, `plain` by path. A `with` block around its use; `asked` is what it was asked for:
    (the server's name, method, path, headers).
    """

    files: dict[str, bytes] = field(default_factory=dict)
    plain: dict[str, bytes] = field(default_factory=dict)
    private: set[str] = field(default_factory=set)  # repositories that want `token`
    token: str = "hf_secret"
    sums: dict[str, str] = field(default_factory=dict)  # what is said of a file in place of its SHA-256
    breaks: list[int] = field(default_factory=list)  # bytes after which the next answers end
    ignores_range: bool = False
    failures: list[int] = field(default_factory=list)  # statuses of the next answers of the hub
    statuses: list[int] = field(default_factory=list)  # the same of the server with the content
    plain_headers: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, str, str, dict[str, str]]] = field(default_factory=list)
    certificate: Path | None = None

    def __enter__(self) -> Hub:
        self.hub, self.content = (self.server(name) for name in ("hub", "content"))
        return self

    def server(self, name: str) -> ThreadingHTTPServer:
        handler = type("Handler", (Handler,), {"here": self, "name": name})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        if self.certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return server

    def __exit__(self, *_: object) -> None:
        for server in (self.hub, self.content):
            server.shutdown()
            server.server_close()

    @property
    def scheme(self) -> str:
        return "https" if self.certificate else "http"

    @property
    def endpoint(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.hub.server_port}"

    def content_url(self, path: str) -> str:
        return f"{self.scheme}://localhost:{self.content.server_port}/{path}?signature=of-the-content"

    def gets(self, name: str) -> list[dict[str, str]]:
        return [headers for server, method, _, headers in self.asked if (server, method) == (name, "GET")]


class Handler(BaseHTTPRequestHandler):
    here: Hub
    name: str
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.here.asked.append((self.name, self.command, self.path, headers))
        if self.name == "content" and self.here.statuses:
            self.end(self.here.statuses.pop(0))
        elif self.name == "content":
            self.send(self.here.files[self.path.partition("?")[0].lstrip("/")], {"ETag": '"of-the-content"'})
        elif self.here.failures:
            self.end(self.here.failures.pop(0))
        elif self.path in self.here.plain:
            self.send(self.here.plain[self.path], self.here.plain_headers)
        else:
            self.resolve(headers)

    def resolve(self, headers: dict[str, str]) -> None:
        repository, _, rest = self.path.lstrip("/").partition("/resolve/")
        file = f"{repository}/{rest.partition('/')[2]}"
        if repository in self.here.private and headers.get("authorization") != f"Bearer {self.here.token}":
            self.end(401, {"X-Error-Code": "GatedRepo"})
        elif file not in self.here.files:
            self.end(404, {"X-Error-Code": "EntryNotFound"})
        else:
            data = self.here.files[file]
            digest = self.here.sums.get(file, hashlib.sha256(data).hexdigest())
            self.end(
                302,
                {
                    "X-Linked-Etag": f'"{digest}"',
                    "X-Linked-Size": str(len(data)),
                    "X-Repo-Commit": COMMIT,
                    "Location": self.here.content_url(file),
                },
                b"Found. Redirecting",
            )

    def send(self, data: bytes, headers: dict[str, str]) -> None:
        wanted = self.headers.get("Range", "")
        begin = int(wanted.partition("=")[2].rstrip("-")) if wanted and not self.here.ignores_range else 0
        self.send_response(206 if begin else 200)
        for name, value in headers.items():
            self.send_header(name, value)
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - begin))
        self.end_headers()
        if self.command == "GET":
            stop = begin + self.here.breaks.pop(0) if self.here.breaks else len(data)
            self.wfile.write(data[begin:stop])
            self.close_connection = stop < len(data)

    def end(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return
