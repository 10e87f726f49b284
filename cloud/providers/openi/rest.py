"""Requests to OpenI's REST API: the token, the envelope, and failures in our words."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cloud.errors import JobError, NoAnswer, NoSuchJob, Overloaded, Refused, ServiceError, shortened

SERVICE = "OpenI"
ENDPOINT = "https://openi.pcl.ac.cn"
TIMEOUT_S = (10, 60)
CHUNK = 1 << 20
ADVICE = {
    2001: "list shows your jobs", 2002: "wait for the job to end", 2003: "selfcheck lists the machines",
    2004: "OpenI runs a limited number of jobs of one user: wait, or cancel one", 2005: "choose another name, or leave it out",
    2006: "the account has too few points", 2007: "look at datasets", 2008: "look at models", 2009: "the files are cleared",
    2013: "the data set is larger than OpenI takes", 2014: "push the branch: the boot file is not in it",
    2015: "boot_file has to end with .py", 2016: "several nodes need a right that this account has not",
    2017: "look at datasets", 2018: "look at datasets", 2020: "push the branch", 2021: "fewer models",
    2022: "fewer data sets", 2025: "fewer models", 2026: "the model is larger than OpenI takes", 2027: "look at image",
    2037: "the data set can't be read by this account", 2038: "the model can't be read by this account",
    9001: "a value that OpenI does not take", 9002: "bind a WeChat account at OpenI (Settings), it is asked for before jobs are created",
    9003: "this account has no right to do that", 9004: "it does not exist, or this account may not see it",
}  # fmt: skip
PASSING = (99, 2024, 9009)  # stopping, still being created, the service itself


def read_token(env: Mapping[str, str]) -> tuple[str, str, str]:
    """(token, endpoint or '', where it is from); JobError without one."""
    path = Path(env.get("HOME") or Path.home()) / ".openi" / "token.json"
    known: dict[str, str] = {}
    if path.is_file():
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, UnicodeDecodeError):
            raise JobError(f"{path} can't be read; expected JSON with endpoint and token") from None
    token = env.get("OPENI_TOKEN") or known.get("token", "")
    if not token:
        raise JobError(
            "no token for OpenI: export OPENI_TOKEN (its page: Settings, Applications), or run `openi login`"
        )
    return token, known.get("endpoint", ""), "OPENI_TOKEN" if env.get("OPENI_TOKEN") else str(path)


class Rest:
    """One account at one endpoint. Its repr shows no token."""

    def __init__(self, endpoint: str, env: Mapping[str, str] | None = None):
        self.env = os.environ if env is None else env
        self.wanted = endpoint
        self._session: Any = None

    @property
    def endpoint(self) -> str:
        known = read_token(self.env)[1]
        return (self.wanted or self.env.get("OPENI_ENDPOINT") or known or ENDPOINT).rstrip("/")

    @property
    def session(self) -> Any:
        if self._session is None:
            import requests

            self._session = requests.Session()
            self._session.headers["Authorization"] = f"token {read_token(self.env)[0]}"
        return self._session

    def get(self, what: str, path: str, **query: Any) -> dict[str, Any]:
        return self.data(what, self.send(what, "GET", path, query))

    def post(self, what: str, path: str, body: Any = None, **query: Any) -> dict[str, Any]:
        return self.data(what, self.send(what, "POST", path, query, body))

    def said(self, text: object) -> str:
        """What the service says in one line, without the token."""
        return shortened(text, [read_token(self.env)[0]])

    def send(
        self,
        what: str,
        method: str,
        path: str,
        query: Mapping[str, Any],
        body: Any = None,
        stream: bool = False,
    ) -> Any:
        import requests

        try:
            answer = self.session.request(
                method,
                f"{self.endpoint}/api/v1{path}",
                params=query,
                json=body,
                timeout=TIMEOUT_S,
                stream=stream,
            )
        except requests.RequestException as err:
            raise NoAnswer(
                f"{what}: {SERVICE} does not answer: {type(err).__name__} at {self.endpoint}"
            ) from None
        if answer.status_code >= 300:
            message = self.said(answer.text) or "no message"
            raise refusal(what, answer.status_code, answer.headers.get("Retry-After", ""), message)
        return answer

    def data(self, what: str, answer: Any) -> dict[str, Any]:
        """The `data` of the envelope, or all of an answer without one; Overloaded if it is neither."""
        try:
            found = answer.json()
        except ValueError:
            found = answer.text
        is_wrapped = isinstance(found, dict) and "code" in found
        if is_wrapped and found["code"] != 0:
            raise refused_by_code(what, found["code"], self.said(found.get("msg", "")))
        data = found.get("data") or {} if is_wrapped else found
        if not isinstance(data, dict):
            first = self.said(data)[:100]
            raise Overloaded(SERVICE, what, str(answer.status_code), f"an answer of another form: {first!r}")
        return data

    def stream(self, what: str, path: str, **query: Any) -> Iterator[bytes]:
        """The bytes of a file."""
        import requests

        answer = self.send(what, "GET", path, query, stream=True)
        if "json" in answer.headers.get("Content-Type", "") and "attachment" not in answer.headers.get(
            "Content-Disposition", ""
        ):
            self.data(what, answer)
        try:
            yield from answer.iter_content(CHUNK)
        except requests.RequestException as err:
            raise NoAnswer(f"{what}: the download broke off: {type(err).__name__}") from None


def refused_by_code(what: str, code: Any, message: str) -> ServiceError:
    if code in PASSING:
        return Overloaded(SERVICE, what, str(code), message)
    kind = NoSuchJob if code == 2001 else Refused
    return kind(SERVICE, what, str(code), message, ADVICE.get(code, ""))


def refusal(what: str, status: int, after: str, message: str) -> ServiceError:
    """An answer with an HTTP status of its own."""
    if status == 429 or status >= 500:
        wait = float(after) if after.isdigit() else 0.0
        return Overloaded(SERVICE, what, str(status), message, "", status, wait)
    hint = {401: "look at the token", 403: "is the token right, and the job or repository yours?"}.get(
        status, ""
    )
    if status == 404 and "job" in what:
        return NoSuchJob(SERVICE, what, str(status), message, "list shows your jobs", status)
    return Refused(SERVICE, what, str(status), message, hint, status)
