"""Requests to OpenI's REST API: the token, the envelope, and failures in our words."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mindlift.cloud import codes
from mindlift.cloud.errors import JobError, NoAnswer, NoSuchJob, Overloaded, Refused, ServiceError, shortened
from mindlift.cloud.probe import Exchange, Probe
from mindlift.cloud.providers.openi.codes import CODES, NO_SUCH_JOB, UNKNOWN

SERVICE = "OpenI"
ENDPOINT = "https://openi.pcl.ac.cn"
TIMEOUT_S = (10, 60)
CHUNK = 1 << 20
BRANCH = re.compile(r"^/repos/[^/]+/[^/]+/branches/.+$")
REPOSITORY = re.compile(r"^/[^/]+/[^/]+/(ai_task/\w+)$")
OF_A_JOB = frozenset(["show", "log", "cancel", "output"])  # calls that name one
NO_RIGHT = "this account has no right to do that: is the token right?"
HINTS = {
    **{(kind, 401): "look at the token" for kind in (*OF_A_JOB, "create", "list", "look up")},
    **{(kind, 403): NO_RIGHT for kind in ("create", "list", "look up")},
    **{(kind, 404): "look at repo, owner/name" for kind in ("create", "look up")},
    ("download", 403): "the address of the file is no longer valid: fetch again",
}


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
        self.probe: Probe | None = None
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

    def get(self, what: str, path: str, kind: str = "show", **query: Any) -> dict[str, Any]:
        """`kind` is the call's in src/mindlift/cloud/codes.py: it decides what a code means."""
        return self.data(what, self.send(what, "GET", path, query, kind), kind)

    def post(
        self, what: str, path: str, body: Any = None, kind: str = "show", **query: Any
    ) -> dict[str, Any]:
        return self.data(what, self.send(what, "POST", path, query, kind, body), kind)

    def said(self, text: object) -> str:
        """What the service says in one line, without the token."""
        return shortened(text, [read_token(self.env)[0]])

    def send(
        self,
        what: str,
        method: str,
        path: str,
        query: Mapping[str, Any],
        kind: str,
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
                f"{what}: {SERVICE} does not answer: {type(err).__name__} at {self.endpoint}", was_sent(err)
            ) from None
        if self.probe:
            self.probe.note(exchange(answer, method, path, query))
        if answer.status_code >= 300:
            message = self.said(answer.text) or "no message"
            of = "download" if answer.history else kind
            raise refusal(what, answer.status_code, answer.headers.get("Retry-After", ""), message, of)
        return answer

    def data(self, what: str, answer: Any, kind: str) -> dict[str, Any]:
        """The `data` of the envelope, or all of an answer without one; Overloaded if it is neither."""
        try:
            found = answer.json()
        except ValueError:
            found = answer.text
        found = tagged(found)
        is_wrapped = isinstance(found, dict) and "code" in found
        if is_wrapped and found["code"] != 0:
            raise refused_by_code(what, str(found["code"]), self.said(found.get("msg", "")), kind)
        data = found.get("data") or {} if is_wrapped else found
        if not isinstance(data, dict):
            first = self.said(data)[:100]
            raise Overloaded(SERVICE, what, str(answer.status_code), f"an answer of another form: {first!r}")
        return data

    def stream(self, what: str, path: str, kind: str = "output", **query: Any) -> Iterator[bytes]:
        """The bytes of a file, which the service redirects to another host; without the token there."""
        import requests

        answer = self.send(what, "GET", path, query, kind, stream=True)
        is_json = "json" in answer.headers.get("Content-Type", "")
        if (
            is_json
            and not answer.history
            and "attachment" not in answer.headers.get("Content-Disposition", "")
        ):
            self.data(what, answer, kind)
        try:
            yield from answer.iter_content(CHUNK)
        except requests.RequestException as err:
            raise NoAnswer(f"{what}: the download broke off: {type(err).__name__}") from None


def exchange(answer: Any, method: str, path: str, query: Mapping[str, Any]) -> Exchange:
    """For a probe: owner and name of the repository are variable parts of a route."""
    route = BRANCH.sub("/repos/{owner}/{repo}/branches/{branch}", path)
    route = REPOSITORY.sub(r"/{owner}/{repo}/\1", route)
    try:
        body = answer.json()
    except ValueError:
        body = None
    return Exchange(f"{method} /api/v1{route}", query, answer.status_code, body)


def was_sent(err: Exception) -> bool:
    """False where no connection was opened, so that the service can have heard nothing."""
    import requests
    from urllib3.exceptions import NewConnectionError

    reason = getattr(err.args[0], "reason", None) if err.args else None
    return not isinstance(err, requests.ConnectTimeout) and not isinstance(reason, NewConnectionError)


def tagged(answer: Any) -> Any:
    """Some errors of the service come with the names of its program: Code, and Msg or DefaultMsg."""
    if isinstance(answer, dict) and "Code" in answer and "code" not in answer:
        message = answer.get("Msg") or answer.get("DefaultMsg") or ""
        return {"code": answer["Code"], "msg": message, "data": answer.get("Data")}
    return answer


def refused_by_code(what: str, code: str, message: str, kind: str) -> ServiceError:
    known = codes.of(CODES, code) or UNKNOWN
    if known.is_passing(kind):
        return Overloaded(SERVICE, what, code, message, created_nothing=not known.leaves_doubt)
    return (NoSuchJob if code == NO_SUCH_JOB else Refused)(SERVICE, what, code, message, known.advice)


def refusal(what: str, status: int, after: str, message: str, kind: str) -> ServiceError:
    """An answer with an HTTP status of its own. 429 comes before a request is looked at, 5xx at any time."""
    if status == 429 or status >= 500:
        wait = float(after) if after.isdigit() else 0.0
        return Overloaded(SERVICE, what, str(status), message, "", status, wait, status == 429)
    if (status == 403 and kind in OF_A_JOB) or (status == 404 and kind in OF_A_JOB - {"output"}):
        hint = "there is no such job of this account: list shows your jobs"
        return NoSuchJob(SERVICE, what, str(status), message, hint, status)
    return Refused(SERVICE, what, str(status), message, HINTS.get((kind, status), ""), status)
