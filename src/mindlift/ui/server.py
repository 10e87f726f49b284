"""The server: loopback only, and nothing but GET."""

from __future__ import annotations

import secrets
import socketserver
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import cast
from urllib.parse import parse_qs, urlsplit

from mindlift import files
from mindlift.errors import ConfigError, MindLiftError
from mindlift.language import localized
from mindlift.ui import gate, pages
from mindlift.ui.jobs import Jobs
from mindlift.ui.pages import Pages
from mindlift.ui.runs import Runs

LOOPBACK = "127.0.0.1"
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
HTML, JSON = "text/html; charset=utf-8", "application/json"
WAIT_S = 30.0  # for a request that has begun
MOST_FIELDS = 40  # of a query


class Server(ThreadingHTTPServer):
    """Serves the pages at `address`."""

    daemon_threads = True

    def __init__(self, port: int, shown: Pages):
        self.pages, self.token = shown, secrets.token_urlsafe(24)
        try:
            super().__init__((LOOPBACK, port), Handler)
        except (OSError, OverflowError) as err:
            raise ConfigError(
                f"--port {port} can't be used: {getattr(err, 'strerror', None) or err}; leave it out, and a free one is taken"
            ) from err

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(
            self
        )  # HTTPServer asks the name server for our name, which can take seconds
        self.server_name, self.server_port = LOOPBACK, self.server_address[1]

    @property
    def address(self) -> str:
        return f"http://{LOOPBACK}:{self.server_port}/{self.token}/"


def make(folder: Path, port: int, providers: list[str], scratch: Path) -> Server:
    """A server that listens. ConfigError for a folder that is none, or a port that is taken."""
    if not folder.is_dir():
        raise ConfigError(
            f"{folder} is not a folder; give one with runs in it, or below which trainings will put them"
        )
    return Server(port, Pages(Runs(folder), Jobs(providers, scratch)))


class Handler(BaseHTTPRequestHandler):
    """Answers GET; all other methods get http.server's 501."""

    server_version, sys_version = "MindLift", ""
    timeout = WAIT_S

    def do_GET(self) -> None:
        server = cast("Server", self.server)
        address = urlsplit(self.path)
        stranger = gate.refusal(self.headers.get("Host", ""), self.headers.get("Origin"))
        page = None if stranger else gate.page_of(address.path, server.token)
        if page is None:
            self.send(403 if stranger else 404, "text/plain; charset=utf-8", f"{stranger or gate.UNKNOWN}\n")
            return
        try:
            fields = parse_qs(address.query, errors="surrogateescape", max_num_fields=MOST_FIELDS)
        except ValueError:
            fields = {}
        self.answer(server.pages, page, fields)

    def answer(self, shown: Pages, page: str, fields: dict[str, list[str]]) -> None:
        asked = fields.get("of", [])
        is_data = page.endswith(".json")
        try:
            if page == "":
                self.send(200, HTML, shown.first())
            elif page == "show":
                self.send(200, HTML, shown.show(asked))
            elif page == "list.json":
                self.send(200, JSON, files.as_json({"parts": shown.first_parts()}))
            elif page == "show.json":
                self.send(200, JSON, files.as_json(shown.show_news(asked, fields.get("mark", [""])[0])))
            elif page == "log.json":
                part, after = (whole(fields, name) for name in ("part", "after"))
                self.send(200, JSON, files.as_json(shown.log(asked, part, after)))
            else:
                self.send(404, "text/plain; charset=utf-8", f"{gate.UNKNOWN}\n")
        except MindLiftError as err:
            text = files.as_json({"problem": localized(str(err))}) if is_data else pages.problem(err)
            self.send(404 if err.exit_code == 2 else 503, JSON if is_data else HTML, text)

    def send(self, status: int, kind: str, text: str) -> None:
        content = text.encode("utf-8", "replace")
        try:
            self.send_response(status)
            for name, value in {"Content-Type": kind, "Content-Length": str(len(content)), **HEADERS}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)
        except (ConnectionError, TimeoutError):
            self.close_connection = True  # the reader has left

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: a request's path has the token in it."""


def whole(fields: dict[str, list[str]], name: str) -> int:
    """A number of the query; -1 for none."""
    text = fields.get(name, [""])[0]
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else -1
