"""What the doubles of services share: a threaded HTTP server on loopback, and faults on demand."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass
class Call:
    """One request as it came."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes = field(repr=False, default=b"")

    def json(self) -> Any:
        return json.loads(self.body or b"{}")


@dataclass
class Answer:
    """Status, JSON or bytes, and headers."""

    status: int
    data: Any = None
    headers: dict[str, str] = field(default_factory=dict)


class Double:
    """Use it as a `with` block. Subclasses answer calls in `respond`."""

    def __init__(self) -> None:
        self.requests: list[Call] = []
        self.lock = threading.RLock()
        self.clock_offset_s = 0.0
        self.failures: list[Answer] = []
        self.lost = 0
        self.delay_s = 0.0

    def respond(self, call: Call) -> Answer:
        raise NotImplementedError

    def refuse(self, status: int) -> Answer:
        """An error of the service itself, in its own form."""
        raise NotImplementedError

    def fail_next(self, times: int, status: int, retry_after: int = 0) -> None:
        headers = {"Retry-After": str(retry_after)} if retry_after else {}
        self.failures += [Answer(status, self.refuse(status).data, headers)] * times

    def answer_next(self, status: int, data: bytes) -> None:
        self.failures.append(Answer(status, data))

    def lose_next_answer(self) -> None:
        """The next request that changes something is carried out, and its answer is lost."""
        self.lost += 1

    def now(self) -> float:
        return time.time() + self.clock_offset_s

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self):
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(self))
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def handle(self, call: Call) -> Answer | None:
        """The answer, or None for one that is lost."""
        time.sleep(self.delay_s)
        with self.lock:
            self.requests.append(call)
            if self.failures:
                return self.failures.pop(0)
            answer = self.respond(call)
            if self.lost and call.method == "POST" and self.changes(call):
                self.lost -= 1
                return None
            return answer

    def changes(self, call: Call) -> bool:
        return True


def handler_of(double: Double) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = (
            1 << 16
        )  # head and body as one packet: a second one would wait 40 ms for an acknowledgement

        def answer(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            query = dict(parse_qsl(parts.query, keep_blank_values=True))
            found = double.handle(Call(self.command, parts.path, query, headers, body))
            if found is None:
                self.close_connection = True
                return
            data = found.data if isinstance(found.data, bytes) else json.dumps(found.data).encode()
            data = b"" if found.status == 204 else data
            self.send_response(found.status)
            for name, value in {"Content-Type": "application/json", **found.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = answer

        def date_time_string(self, timestamp=None) -> str:
            return super().date_time_string(double.now() if timestamp is None else timestamp)

        def log_message(self, *_: object) -> None:
            """Not on the terminal of the tests."""

    return Handler
