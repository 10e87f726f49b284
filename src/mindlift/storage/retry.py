"""What to do when a request fails: which failures pass, how long to wait, when to give up."""

from __future__ import annotations

import random
import re
import ssl
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from mindlift.errors import AccessError, TransferError
from mindlift.forks import Shared
from mindlift.storage.access import Access
from mindlift.storage.errors import (
    MoxFileNotExistsException,
    MoxFileReadException,
    MoxFileRespException,
    Response,
)
from mindlift.storage.first_answer import AGAIN_S, Unreached
from mindlift.storage.http1 import Headers, ProtocolError
from mindlift.storage.settings import Keys

Result = TypeVar("Result")
PASSING_STATUS = (408, 429, 500, 502, 503, 504)
PASSING_CODES = (
    "RequestTimeout",
    "BadDigest",
    "IncompleteBody",
    "InvalidDigest",
    "OperationAborted",
    "InternalError",
    "SlowDown",
)
SLOW_DOWN_STATUS = (429, 503)
KEY_CODES = (
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
    "InvalidSecurity",
)
STORES = ("obs", "minio")  # which name errors in headers
LONGEST_WAIT_S = 20.0
BUDGET_S = 300.0


class Refused(Exception):
    """The store answered with an error."""

    def __init__(self, what: str, status: int, code: str, message: str, retry_after: float | None = None):
        answer = f"{status} {code}".rstrip()
        super().__init__(f"{what}: the store answered {answer}: {message}".rstrip(": "))
        self.response = Response(status, code, message)
        self.retry_after = retry_after

    @property
    def passes(self) -> bool:
        return self.response.status in PASSING_STATUS or self.response.errorCode in PASSING_CODES

    @property
    def is_slow_down(self) -> bool:
        return self.response.status in SLOW_DOWN_STATUS


class Broken(Exception):
    """The answer broke off, was too slow, or is not what was asked for; asking again may help."""


class Changed(Exception):
    """The object is another one than the one that was listed."""


BREAKS = (Broken, Unreached, ProtocolError, ConnectionError, TimeoutError, ssl.SSLError)


def is_break(err: BaseException) -> bool:
    """Whether asking again may help: the network, not the disk or the user."""
    return isinstance(err, BREAKS) or (
        isinstance(err, OSError) and err.filename is None and is_of_network(err)
    )


def is_of_network(err: OSError) -> bool:
    import errno
    import socket

    kinds = (
        errno.EHOSTUNREACH,
        errno.ENETUNREACH,
        errno.ENETDOWN,
        errno.EADDRNOTAVAIL,
        errno.ETIMEDOUT,
        errno.EBADF,
    )
    return isinstance(err, (socket.timeout, socket.gaierror)) or err.errno in kinds


def parse_refusal(what: str, status: int, headers: Headers, body: bytes) -> Refused:
    """The error that an answer of status 300 or more, or an error document with status 200, stands for.

    OBS and MinIO name it in headers too, for a HEAD. What has no code comes from a proxy, or is no store: its title, or
    the beginning of its text.
    """
    text = body.decode("utf-8", "replace")
    found = [re.search(f"<{name}>(.*?)</{name}>", text, re.DOTALL) for name in ("Code", "Message")]
    code, message = (match.group(1).strip() if match else "" for match in found)
    if not code:
        named = [
            [headers.get(f"x-{store}-error-{end}") for store in STORES] for end in ("code", "message", "desc")
        ]
        code, message, more = (next(filter(None, values), "") for values in named)
        message = message or more.strip('"')
    if not code:
        title = re.search("<title>(.*?)</title>", text, re.DOTALL | re.IGNORECASE)
        message = title.group(1) if title else re.sub("<[^>]*>", " ", text)
    after = headers.get("Retry-After") or ""
    return Refused(
        what, status, code, " ".join(message.split())[:300], float(after) if after.isdigit() else None
    )


class SlowDown(Shared):
    """Shared by all threads of a process: while the store asks for it, nobody sends."""

    def __init__(self) -> None:
        super().__init__()
        self.until = 0.0

    def ask(self, seconds: float) -> None:
        with self.lock:
            self.until = max(self.until, time.monotonic() + seconds)

    def wait(self) -> None:
        left = self.until - time.monotonic()
        if left > 0:
            time.sleep(left)


class Retries(Shared):
    """Runs requests again while that may help. `count` is how often it did."""

    def __init__(self, access: Access, budget_s: float = BUDGET_S):
        super().__init__()
        self.access, self.budget_s = access, budget_s
        self.slow_down = SlowDown()
        self.count = 0

    def run(self, what: str, request: Callable[[], Result]) -> Result:
        """`request()`; raises the translated last error once attempts or the time budget are used up.

        Waits double from `retry_wait_s` to 20 s, half of each random. Keys that the store refuses are
        read again, at most three times. A store that has never answered is given up after AGAIN_S.
        Changed passes through.
        """
        started, renewals, attempt = time.monotonic(), 0, 0
        while True:
            self.slow_down.wait()
            used = self.access.keys()
            try:
                return request()
            except Refused as err:
                renewals += may_be_keys(err)
                if not err.passes and not (renewals in (1, 2, 3) and self.renewed(err, used)):
                    raise translated(err, self.access) from err
                problem: Exception = err
            except Exception as err:
                if not is_break(err):
                    raise
                problem = err
            attempt += 1
            wait = self.wait_s(problem, attempt)
            is_last = attempt >= self.access.settings.attempts
            if is_last or time.monotonic() + wait - started > self.budget_of(problem):
                raise self.exhausted(what, problem, attempt, time.monotonic() - started) from problem
            with self.lock:
                self.count += 1
            time.sleep(wait)

    def budget_of(self, problem: Exception) -> float:
        if isinstance(problem, Unreached):
            return 0.0 if problem.hopeless else min(AGAIN_S, self.budget_s)
        return self.budget_s

    def wait_s(self, problem: Exception, attempt: int) -> float:
        longest = min(self.access.settings.retry_wait_s * 2**attempt, LONGEST_WAIT_S)
        wait = longest * random.uniform(0.5, 1)
        if isinstance(problem, Refused) and problem.is_slow_down:
            wait = max(wait, min(problem.retry_after or 0, 60))
            self.slow_down.ask(wait)
        return wait

    def renewed(self, err: Refused, used: Keys) -> bool:
        """Whether there are other keys to try with, or hope that a token file is being replaced just now."""
        return may_be_keys(err) and (self.access.renew(used) or err.response.errorCode == "ExpiredToken")

    def exhausted(self, what: str, problem: Exception, attempts: int, seconds: float) -> TransferError:
        known = (Refused, Broken, Unreached)
        text = str(problem) if isinstance(problem, known) else f"{what}: {describe(problem)}"
        text = f"{text} (given up after {attempts} attempts in {seconds:.0f} s)"
        if isinstance(problem, Refused):
            kind = AccessError if may_be_keys(problem) else partial(MoxFileRespException, problem.response)
            return kind(f"{text}; the store is {self.access.route}")
        if not isinstance(problem, Unreached):
            text += f"; the store is {self.access.route}"
        return MoxFileReadException(None, text)


def may_be_keys(err: Refused) -> bool:
    """Whether other keys may help. The answer to a HEAD has no body, and so no code."""
    status, code = err.response.status, err.response.errorCode
    return code in KEY_CODES or (not code and status in (400, 401, 403))


def translated(err: Refused, access: Access) -> Exception:
    """A refusal as the exception that callers of `moxing.file` expect."""
    status, code = err.response.status, err.response.errorCode
    if status == 404 and code in ("NoSuchKey", "", "404"):
        return MoxFileNotExistsException(str(err))
    if code == "NoSuchBucket":
        return MoxFileRespException(
            err.response, f"{err}; check its name, and that {access.route} is its store"
        )
    if code == "RequestTimeTooSkewed":
        return AccessError(f"{err}; this machine's clock is more than 15 minutes off: set it right")
    if status in (401, 403):
        source = access.known.source if access.known else "none"
        return AccessError(
            f"{err}; the keys come from {source}: do they belong to {access.route} and to this bucket?"
        )
    if code:
        return MoxFileRespException(err.response, str(err))
    is_for_tls = status == 400 and not access.settings.is_secure
    advice = ": is it https:// instead of http://?" if is_for_tls else ""
    return MoxFileRespException(err.response, f"{err}; the store is {access.route}{advice}")


def describe(err: BaseException) -> str:
    return f"{type(err).__name__}: {err}" if str(err) else type(err).__name__
