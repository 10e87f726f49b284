"""What goes wrong between the user's computer and a service, each as one line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mindlift.errors import MindLiftError

LEAST_SECRET = 4  # letters; shorter ones would blacken ordinary words
LONGEST = 400


class JobError(MindLiftError, ValueError):
    """A job file, an option or a job that the service would refuse."""

    exit_code = 2


@dataclass(frozen=True)
class Answer:
    """A service's answer that is an error: to which request, its code and message, and what the user can do."""

    service: str
    what: str  # the request, as messages begin
    code: str
    message: str = ""
    hint: str = ""
    http: int = 0

    def as_line(self) -> str:
        text = " ".join(self.message.split())
        line = f"{self.what}: {self.service} answered {self.code}" + (f": {text}" if text else "")
        return f"{line.rstrip('.')}; {self.hint}" if self.hint else line


class ServiceError(MindLiftError, RuntimeError):
    """A service answered with an error; `code` and `message` are the service's own."""

    created_nothing = True  # of a creation: the answer proves it

    def __init__(self, answer: Answer):
        self.answer, self.code, self.message, self.http = answer, answer.code, answer.message, answer.http
        super().__init__(answer.as_line())


class Refused(ServiceError):
    """The request can't succeed as it is: credentials, rights, quota, a name, a value."""

    exit_code = 2


class Overloaded(ServiceError):
    """429 or 5xx: the same request may succeed later. `retry_after_s` is what the service asked for."""

    def __init__(self, answer: Answer, retry_after_s: float = 0.0, created_nothing: bool = False):
        super().__init__(answer)
        self.retry_after_s, self.created_nothing = retry_after_s, created_nothing


class NoAnswer(MindLiftError, ConnectionError):
    """The network or the service is away. The request may have been carried out, unless it was never sent."""

    def __init__(self, message: str, was_sent: bool = True):
        super().__init__(message)
        self.created_nothing = not was_sent


class NoSuchJob(Refused):
    """The service does not know the job."""


class LogNotThere(Refused):
    """A log that the service does not have: not yet, or (`is_final`) never."""

    def __init__(self, answer: Answer, is_final: bool = False):
        super().__init__(answer)
        self.is_final = is_final


def shortened(problem: object, hidden: Sequence[str]) -> str:
    """One line of it without the values in `hidden`."""
    text = " ".join(str(problem).split())
    for secret in sorted(filter(lambda value: len(value) >= LEAST_SECRET, hidden), key=len, reverse=True):
        text = text.replace(" ".join(secret.split()), "***")
    text = re.sub(r"<[\w.]+ object at 0x\w+>: ", "", text)
    return text[:LONGEST]
