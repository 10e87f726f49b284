"""Requests to OpenI's REST API: the token, the envelope, and failures in our words."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from mindlift import json_text
from mindlift.cloud import codes
from mindlift.cloud.errors import (
    Answer,
    JobError,
    NoAnswer,
    NoSuchJob,
    Overloaded,
    Refused,
    ServiceError,
    shortened,
)
from mindlift.cloud.json_types import Json, JsonObject
from mindlift.cloud.probe import Exchange, Probe
from mindlift.cloud.providers.openi.answers import Nothing, Route
from mindlift.cloud.providers.openi.codes import CODES, NO_SUCH_JOB, UNKNOWN
from mindlift.files import home
from mindlift.storage import trust
from mindlift.storage.settings import key_text, refuse_user

if TYPE_CHECKING:
    import requests

Found = TypeVar("Found")
SERVICE = "OpenI"
ENDPOINT = "https://openi.pcl.ac.cn"
TIMEOUT_S = (10, 60)
CHUNK = 1 << 20
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
    path = Path(env.get("HOME") or home()) / ".openi" / "token.json"
    known: dict[str, str] = {}
    if path.is_file():
        try:
            known = json_text.read(path)
        except (ValueError, UnicodeDecodeError):
            raise JobError(f"{path} can't be read; expected JSON with endpoint and token") from None
    token = key_text("OPENI_TOKEN", env.get("OPENI_TOKEN")) or key_text(
        f"token of {path}", known.get("token")
    )
    if not token:
        raise JobError(
            "no token for OpenI: export OPENI_TOKEN (its page: Settings, Applications), or run `openi login`"
        )
    return (
        token,
        known.get("endpoint", ""),
        "OPENI_TOKEN" if env.get("OPENI_TOKEN", "").strip() else str(path),
    )


@dataclass(frozen=True)
class Ask(Generic[Found]):
    """One request. `what` begins error messages."""

    what: str
    method: str
    route: Route[Found]
    query: Mapping[str, str | int] = field(default_factory=dict)
    body: JsonObject | None = None


@dataclass(frozen=True)
class Response(Generic[Found]):
    """What came for a request, with a status below 300."""

    ask: Ask[Found]
    http: requests.Response


class Rest:
    """One account at one endpoint. Its repr shows no token."""

    def __init__(self, endpoint: str, env: Mapping[str, str] | None = None):
        self.env = os.environ if env is None else env
        self.wanted = endpoint
        self.probe: Probe | None = None
        self._session: requests.Session | None = None

    @property
    def endpoint(self) -> str:
        known = read_token(self.env)[1]
        found = (self.wanted or self.env.get("OPENI_ENDPOINT") or known or ENDPOINT).rstrip("/")
        refuse_user("the endpoint of OpenI", found)
        return found

    @property
    def session(self) -> requests.Session:
        if self._session is None:
            import requests

            self._session = requests.Session()
            self._session.headers["Authorization"] = f"token {read_token(self.env)[0]}"
        return self._session

    def get(self, what: str, route: Route[Found], **query: str | int) -> Found:
        """The answer's data. `what` begins error messages."""
        return self.data(self.send(Ask(what, "GET", route, query)))

    def post(
        self, what: str, route: Route[Found], body: JsonObject | None = None, **query: str | int
    ) -> Found:
        return self.data(self.send(Ask(what, "POST", route, query, body)))

    def said(self, text: object) -> str:
        """What the service says in one line, without the token."""
        return shortened(text, [read_token(self.env)[0]])

    def send(self, ask: Ask[Found], stream: bool = False) -> Response[Found]:
        import requests

        try:
            http = self.session.request(
                ask.method,
                f"{self.endpoint}/api/v1{ask.route.path}",
                params=ask.query,
                json=ask.body,
                timeout=TIMEOUT_S,
                stream=stream,
                verify=trust.for_requests(),
            )
        except requests.RequestException as err:
            raise NoAnswer(
                f"{ask.what}: {SERVICE} does not answer: {type(err).__name__} at {self.endpoint}",
                was_sent(err),
            ) from None
        if self.probe:
            call = f"{ask.method} /api/v1{ask.route.template}"
            self.probe.note(Exchange(call, ask.query, http.status_code, json_of(http)))
        if http.status_code >= 300:
            after = http.headers.get("Retry-After", "")
            answer = Answer(
                SERVICE,
                ask.what,
                str(http.status_code),
                self.said(http.text) or "no message",
                "",
                http.status_code,
            )
            raise refusal(answer, after, "download" if http.history else ask.route.kind)
        return Response(ask, http)

    def data(self, response: Response[Found]) -> Found:
        """The `data` of the envelope, or all of an answer without one; Overloaded if it is neither."""
        ask, http = response.ask, response.http
        found = json_of(http)
        found = tagged(http.text if found is None else found)
        is_wrapped = isinstance(found, dict) and "code" in found
        if isinstance(found, dict) and is_wrapped and found["code"] != 0:
            message = self.said(found.get("msg", ""))
            raise refused_by_code(Answer(SERVICE, ask.what, str(found["code"]), message), ask.route.kind)
        data = found.get("data") or {} if isinstance(found, dict) and is_wrapped else found
        if not isinstance(data, dict):
            says = f"an answer of another form: {self.said(data)[:100]!r}"
            raise Overloaded(Answer(SERVICE, ask.what, str(http.status_code), says))
        return cast("Found", data)

    def stream(self, what: str, route: Route[Nothing], **query: str | int) -> Iterator[bytes]:
        """The bytes of a file, which the service redirects to another host; without the token there."""
        import requests

        response = self.send(Ask(what, "GET", route, query), stream=True)
        http = response.http
        is_json = "json" in http.headers.get("Content-Type", "")
        if is_json and not http.history and "attachment" not in http.headers.get("Content-Disposition", ""):
            self.data(response)
        try:
            yield from http.iter_content(CHUNK)
        except requests.RequestException as err:
            raise NoAnswer(f"{what}: the download broke off: {type(err).__name__}") from None


def json_of(http: requests.Response) -> Json:
    """None for an answer that is no JSON."""
    try:
        found: Json = http.json()
    except ValueError:
        return None
    return found


def was_sent(err: Exception) -> bool:
    """False where no connection was opened, so that the service can have heard nothing."""
    import requests
    from urllib3.exceptions import NewConnectionError

    reason = getattr(err.args[0], "reason", None) if err.args else None
    return not isinstance(err, requests.ConnectTimeout) and not isinstance(reason, NewConnectionError)


def tagged(answer: Json) -> Json:
    """Some errors of the service come with the names of its program: Code, and Msg or DefaultMsg."""
    if isinstance(answer, dict) and "Code" in answer and "code" not in answer:
        message = answer.get("Msg") or answer.get("DefaultMsg") or ""
        return {"code": answer["Code"], "msg": message, "data": answer.get("Data")}
    return answer


def refused_by_code(answer: Answer, kind: str) -> ServiceError:
    known = codes.of(CODES, answer.code) or UNKNOWN
    if known.is_passing(kind):
        return Overloaded(answer, created_nothing=not known.leaves_doubt)
    return (NoSuchJob if answer.code == NO_SUCH_JOB else Refused)(replace(answer, hint=known.advice))


def refusal(answer: Answer, after: str, kind: str) -> ServiceError:
    """An answer with an HTTP status of its own. 429 comes before a request is looked at, 5xx at any time."""
    status = answer.http
    if status == 429 or status >= 500:
        return Overloaded(answer, float(after) if after.isdigit() else 0.0, created_nothing=status == 429)
    if (status == 403 and kind in OF_A_JOB) or (status == 404 and kind in OF_A_JOB - {"output"}):
        return NoSuchJob(replace(answer, hint="there is no such job of this account: list shows your jobs"))
    return Refused(replace(answer, hint=HINTS.get((kind, status), "")))
