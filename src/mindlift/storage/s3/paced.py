"""Answers that trickle are broken off: each byte arrives in time, but the whole never would. Heads and bodies alike."""

from __future__ import annotations

import http.client
import io
import socket
import time
from typing import Any

from mindlift import limits
from mindlift.storage.retry import Broken


class PacedReader(io.RawIOBase):
    """What a socket receives; Broken when less than limits.LEAST_RATE comes for limits.LEAST_RATE_TIME_S of waiting.

    The time until the first byte is the connection's timeout, and what the receiver does in between does not count.
    """

    def __init__(self, raw: socket.SocketIO):
        self.raw, self.received, self.waited_s = raw, 0, 0.0
        self.has_begun = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        start = time.monotonic()
        count = self.raw.readinto(buffer)
        if self.has_begun:
            self.waited_s += time.monotonic() - start
            self.received += count or 0
            if self.waited_s >= limits.LEAST_RATE_TIME_S:
                self.check()
        self.has_begun = True
        return count

    def check(self) -> None:
        if self.received < limits.LEAST_RATE * self.waited_s:
            raise Broken(
                f"only {self.received} bytes of an answer in {self.waited_s:.0f} s, the least is {limits.LEAST_RATE}/s"
            )
        self.received, self.waited_s = 0, 0.0

    def close(self) -> None:
        self.raw.close()
        super().close()


class PacedSocket:
    """As much of a socket as http.client reads an answer from."""

    def __init__(self, sock: socket.socket):
        self.sock = sock

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(PacedReader(self.sock.makefile(mode, buffering=0)))  # type: ignore[call-overload]


class PacedResponse(http.client.HTTPResponse):
    """For the `response_class` of a connection."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any):
        super().__init__(PacedSocket(sock), *args, **kwargs)  # type: ignore[arg-type]


def read_short(what: str, response: http.client.HTTPResponse) -> bytes:
    """The whole body of an answer that S3 keeps short: a listing, a result. Broken above limits.ANSWER_BYTES."""
    body = response.read(limits.ANSWER_BYTES + 1)
    if len(body) > limits.ANSWER_BYTES:
        raise Broken(f"{what}: the answer has more than {limits.ANSWER_BYTES:,} bytes, as none of S3 has")
    return body
