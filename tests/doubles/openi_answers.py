"""What the double of OpenI is made of: its records filled in, its words and limits, and the store of results.

Rules are those of the server's source, aiforge; numbers in brackets are its files in a public index of code. Where
the source was not to be had, `# not known` says so.
"""

from __future__ import annotations

import mimetypes
import re
from typing import Any

from mindlift.storage.places import locate
from tests.doubles import records
from tests.doubles.service import Answer, Call, Double

RECORDS = records.load("openi")
API = "/api/v1"
QIZHI = "OpenICloudbrainTwo"
CREATE = f"POST {API}/{{owner}}/{{repo}}/ai_task/create"
PHASES = ("queued", "starting", "running", "stopping", "succeeded", "failed", "stopped")
WORDS = {
    "C2Net": dict(zip(PHASES, "WAITING WAITING RUNNING STOPPING SUCCEEDED FAILED STOPPED".split())),
    QIZHI: dict(zip(PHASES, "WAITING INIT RUNNING KILLING COMPLETED FAILED KILLED".split())),
}
PARENTS = {"C2Net": "C2Net", QIZHI: "OpenI"}  # ClusterType.GetParentCluster (69479037404)
# models.AllTerminalStatus (69733640158)
TERMINAL = frozenset(
    "COMPLETED FAILED KILLED STOPPED CREATE_FAILED START_FAILED SUCCEEDED CREATED_FAILED".split()
)
# cloudbrainTask.AlleNotFinalStatuses (69567547931), the words of training: a job that is stopping is not counted
NOT_FINAL = frozenset(
    "WAITING RUNNING INIT IMAGE_CREATING SUBMIT_TRYING SCALING CHECK_INIT CHECK_RUNNING "
    "CHECK_RUNNING_COMPLETED PENDING PREPARING CONNECTING".split()
)
NAME = re.compile(r"[a-z0-9][a-z0-9-_]{1,34}[a-z0-9-]")  # task.jobNamePattern (69426866292)
DESCRIPTION_BYTES = 1000  # DefaultCreationHandler.CheckParamFormat (69426866292)
MOST_LINES = 500  # OTC modelarts_03_0149
MOST_NAMES = 101  # setting.OUTPUT_SHOW_MAX_KEY + 1 (69396383815, 69683892949)
FIRST_MARK = 1551252759254000002  # OTC modelarts_03_0149
MARK_STEP = 7  # not known; no client may count with marks
DROPPED = {QIZHI: ("train_url", "data_url")}  # handleCloudbrainTwoParameter (69733840638)


class Coded(Exception):
    """A business error in the envelope."""

    def __init__(self, code: int, message: str = ""):
        super().__init__(f"{code} {message}")
        self.answer = coded(code, message)


def coded(code: int, message: str = "") -> Answer:
    known = RECORDS.errors[str(code)]
    values = {"code": code, "msg": message or known.message}
    return Answer(known.status, RECORDS.filled("any", values, "business error"))


def filled(call: str, data: Any, case: str = "sample") -> Answer:
    """The record of `call` with `data` in its envelope."""
    record = RECORDS.of(call, case)
    return Answer(record.status, RECORDS.filled(call, {"data": data}, case), dict(record.headers))


def as_recorded(call: str, case: str) -> Answer:
    record = RECORDS.of(call, case)
    data = record.text.encode() if record.body is None else record.fresh()
    return Answer(record.status, data, dict(record.headers))


class ResultStore(Double):
    """Where results are downloaded from: another host, whose URLs are signed. A token sent here is a leak."""

    def __init__(self) -> None:
        super().__init__()
        self.signed: dict[str, str] = {}
        self.leaks = 0

    def sign(self, url: str) -> str:
        signature = f"s{len(self.signed)}"
        self.signed[signature] = url
        return f"{self.endpoint}/bucket/object?Signature={signature}"

    def refuse(self, status: int) -> Answer:
        return Answer(status, b"<Error/>", {"Content-Type": "application/xml"})

    def respond(self, call: Call) -> Answer:
        if "authorization" in call.headers:
            self.leaks += 1
            return self.refuse(400)
        url = self.signed.get(call.query.get("Signature", ""))
        if url is None:
            return self.refuse(403)
        store, key = locate(url)
        try:
            data = store.read(key)
        except FileNotFoundError:
            return self.refuse(404)
        return Answer(200, data, {"Content-Type": mimetypes.guess_type(url)[0] or "application/octet-stream"})


NO_LINES = {
    "content": "",
    "lines": 0,
    "start_line": "",
    "end_line": "",
    "can_log_download": False,
}  # marks: not known


def mark_of(line: int) -> str:
    return str(FIRST_MARK + MARK_STEP * line)


def escaped(text: str) -> str:
    """Go's html.EscapeString."""
    for sign, word in (("&", "&amp;"), ("'", "&#39;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&#34;")):
        text = text.replace(sign, word)
    return text
