"""Logs come whole, once and in order, however a service sends them: a property of all readers.

The services here do what their sources say: ModelArts by lines and its preview (SDK 3.1.219,
ShowTrainingJobLogsFromAomRequest; API reference of Open Telekom Cloud, ShowTrainingJobLogsPreview), 启智 (API
reference, modelarts_03_0149, sent on by OpenI's CloudbrainTwoClusterAdapter.GetLog), C2Net (OpenI's
C2NetClusterAdapter.GetLog: content + newline + the reason of the end; no content where it could not be fetched).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mindlift.cloud.errors import Answer, LogNotThere, NoAnswer, Overloaded, Refused
from mindlift.cloud.follow import log_text
from mindlift.cloud.follow.follow import Follower
from mindlift.cloud.follow.log_text import RESTARTED, advance, behind
from mindlift.cloud.follow.positions import Positions
from mindlift.cloud.handle import Handle
from mindlift.cloud.providers.base import LogPage, Status
from mindlift.cloud.providers.modelarts import logs as modelarts
from mindlift.cloud.providers.modelarts.answers import LOG_PREVIEW, Call, Log
from mindlift.cloud.providers.openi import logs as openi
from mindlift.cloud.providers.openi.answers import NODES, Route
from mindlift.cloud.retry import RetryPolicy
from mindlift.cloud.states import Phase

HANDLE = Handle("openi", ("me", "code", "1"))
STATUS = Status(HANDLE, "job", Phase.RUNNING, "RUNNING", created_at=1.0)
NOT_READY = LogNotThere(Answer("ModelArts", "log", "ModelArts.2776", "not ready for fetch log"))
NO_RIGHT = Refused(Answer("ModelArts", "log", "ModelArts.0108", "no permission", "", 403))


def whole(text: str) -> list[str]:
    return text.split("\n")[:-1] if text.endswith("\n") else text.split("\n")


def numbered(text: str, step: int) -> list[tuple[int, str]]:
    """(mark, line) of the whole lines, by marks of the form that the API reference shows."""
    lines = text.split("\n")[:-1]
    return [(1551252759254000002 + at * step, line) for at, line in enumerate(lines)]


def page_of(found: list[tuple[int, str]]) -> dict[str, Any]:
    ends = [str(found[at][0]) if found else "" for at in (0, -1)]
    content = "".join(f"{line}\n" for _, line in found)
    return {"start_line": ends[0], "end_line": ends[1], "lines": len(found), "content": content}


@dataclass
class ModelArtsService:
    """The two calls of a session that read a log."""

    text: str = ""
    step: int = 1
    repeats: bool = False
    knows_zero: bool = True  # else "0" is no mark, and the newest lines come
    goes_back: bool = False  # asc is "previous records", as v1's reference has it
    has_lines: bool = True
    preview_bytes: int = 5 << 20
    has_preview: bool = True

    def call(self, what: str, call: Call[Log], hidden: Sequence[str] = (), **values: Any) -> dict[str, Any]:
        return self.preview() if call is LOG_PREVIEW else self.by_lines(**values)

    def preview(self) -> dict[str, Any]:
        if not self.has_preview or not self.text:
            raise NOT_READY
        data = self.text.encode()
        shown = data[-self.preview_bytes :]
        return {
            "content": shown.decode(errors="replace"),
            "current_size": len(shown),
            "full_size": len(data),
        }

    def by_lines(self, base_line: str, lines: int, order: str, **_: object) -> dict[str, Any]:
        assert order == "asc"
        assert 1 <= lines <= 500
        if not self.has_lines:
            raise NO_RIGHT
        known = numbered(self.text, self.step)
        if base_line == "0":
            return page_of(known[:lines] if self.knows_zero else known[-lines:])
        mark = int(base_line)
        assert mark in dict(known), "a mark is sent back as it came"
        if self.goes_back:
            return page_of([item for item in known if item[0] < mark][-lines:])
        return page_of([item for item in known if item[0] > mark - self.repeats][:lines])

    def read(self, place: dict[str, Any], has_ended: bool) -> LogPage:
        return modelarts.read(self, "1", 0, place, has_ended)

    def expected(self) -> list[str]:
        return whole(self.text)


@dataclass
class OpenIService:
    """`get` of the two routes that read a log."""

    text: str = ""
    cluster: str = "C2Net"
    reason: str = ""
    is_lost: bool = False
    repeats: bool = False
    has_ended: bool = False
    queries: list[dict[str, Any]] = field(default_factory=list)

    def get(self, what: str, route: Route, **query: Any) -> dict[str, Any]:
        assert route.kind == "log"
        if route is NODES:
            return {"nodes": [{"id": 0}]}
        self.queries.append(query)
        if self.cluster == "C2Net":
            content = "" if self.is_lost else self.text
            return {
                "content": f"{content}\n{self.reason if self.has_ended else ''}",
                "can_log_download": True,
            }
        assert 0 <= query["lines"] <= 500
        assert query["order"] == "down"
        known, mark = numbered(self.text, 1), int(query["base_line"] or 0)
        if mark:
            assert mark in dict(known), "a mark is sent back as it came"
        return page_of([item for item in known if item[0] > mark - self.repeats][: query["lines"]])

    def read(self, place: dict[str, Any], has_ended: bool) -> LogPage:
        self.has_ended = has_ended
        return openi.read(self, HANDLE, 0, place, has_ended)

    def expected(self) -> list[str]:
        return whole(f"{self.text}\n{self.reason}" if self.cluster == "C2Net" else self.text)


SERVICES = {
    "ModelArts, by lines": lambda: ModelArtsService(),
    "marks with gaps": lambda: ModelArtsService(step=1000),
    "the line of the mark again": lambda: ModelArtsService(repeats=True),
    "0 is no mark": lambda: ModelArtsService(knows_zero=False),
    "asc goes back": lambda: ModelArtsService(goes_back=True),
    "ModelArts, preview": lambda: ModelArtsService(has_lines=False),
    "no preview": lambda: ModelArtsService(has_preview=False),
    "C2Net": lambda: OpenIService(),
    "C2Net, with a reason": lambda: OpenIService(reason="Error: OOMKilled, exit code 137"),
    "启智": lambda: OpenIService(cluster="OpenICloudbrainTwo"),
    "启智, the line of the mark again": lambda: OpenIService(cluster="OpenICloudbrainTwo", repeats=True),
}


@dataclass
class Watched:
    """A provider of one job, whose answers can be lost."""

    service: ModelArtsService | OpenIService
    fault: Exception | None = None

    def logs(self, handle: Handle, node: int, place: dict[str, Any], has_ended: bool) -> LogPage:
        if self.fault:
            raise self.fault
        return self.service.read(place, has_ended)


class Reader:
    """A follower, as one process after another may run it."""

    def __init__(self, service, folder):
        self.provider, self.folder = Watched(service), folder
        self.lines: list[str] = []
        self.notes: list[str] = []
        self.left = 10**9
        self.start()

    def start(self) -> None:
        self.follower = Follower(
            self.provider, HANDLE, self.out, self.notes.append, Positions(self.folder), RetryPolicy(0)
        )

    def out(self, line: str) -> None:
        if not self.left:
            raise KeyboardInterrupt
        self.left -= 1
        self.lines.append(line)

    def look(self, has_ended: bool = False) -> None:
        phase = Phase.SUCCEEDED if has_ended else Phase.RUNNING
        self.follower.try_node(replace(STATUS, phase=phase), 0)


def without_last_blanks(lines: list[str]) -> list[str]:
    """C2Net's own newline can't be told from an empty last line."""
    return "\n".join(lines).rstrip("\n").split("\n")


LINE = st.sampled_from(
    ["", "step", "step 1", "loss 0.5\r 10%\r 20%", "\x0cpage", "数据", "x" * 200, "same", "same"]
)
EVENT = st.one_of(
    st.tuples(st.just("write"), st.lists(LINE, max_size=8), st.booleans()),
    st.tuples(st.just("much"), st.integers(490, 1100)),
    st.tuples(st.sampled_from(["look", "look", "lost", "away", "restart", "empty"])),
    st.tuples(st.just("interrupt"), st.integers(0, 5)),
)


@pytest.mark.parametrize("name", SERVICES)
@settings(max_examples=40, deadline=None)
@given(events=st.lists(EVENT, max_size=12))
def test_lines_come_whole_once_and_in_order(name, tmp_path_factory, events):
    service = SERVICES[name]()
    reader = Reader(service, tmp_path_factory.mktemp("positions"))
    number = 0
    for what, *details in events:
        if what == "write":
            service.text += "\n".join(details[0]) + ("\n" if details[1] and details[0] else "")
        elif what == "much":
            service.text += "".join(f"line {number + at}\n" for at in range(details[0]))
            number += details[0]
        elif what == "look":
            reader.look()
        elif what == "restart":
            reader.start()
        elif what == "interrupt":
            reader.left = details[0]
            try:
                reader.look()
            except KeyboardInterrupt:
                reader.start()
            reader.left = 10**9
        elif what == "empty":  # C2Net could not fetch the log
            service.is_lost = True
            reader.look()
            service.is_lost = False
        else:
            reader.provider.fault = (
                NoAnswer("away") if what == "away" else Overloaded(Answer("S", "log", "500", "busy"))
            )
            reader.look()
            reader.provider.fault = None
    if service.text and not service.text.endswith("\n") and getattr(service, "cluster", "") != "C2Net":
        service.text += "\n"
    reader.look(has_ended=True)
    reader.look(has_ended=True)
    assert without_last_blanks(reader.lines) == without_last_blanks(service.expected())
    assert [line for line in reader.notes if "started again" in line] == []


def test_a_preview_that_holds_the_end_only(tmp_path):
    """The preview has the last 5 MB (API reference, current_size): what was before is said, what comes is whole."""
    service = ModelArtsService(has_lines=False, preview_bytes=2000)
    reader = Reader(service, tmp_path)
    service.text = "".join(f"line {number}\n" for number in range(1000))
    reader.look()
    assert reader.lines[-1] == "line 999"
    size = len(service.text)
    assert reader.notes == [
        f"node 0: the service shows only the end of this log, 2000 of {size} bytes; log_url holds all of it"
    ]
    first = len(reader.lines)
    for number in range(1000, 1400):
        service.text += f"line {number}\n"
        if number % 90 == 0:
            reader.look()
    reader.look(has_ended=True)
    assert reader.lines[first:] == [f"line {number}" for number in range(1000, 1400)]
    assert len(reader.notes) == 1


def test_a_log_that_begins_anew(tmp_path):
    service = OpenIService(text="".join(f"line {number}\n" for number in range(50)))
    reader = Reader(service, tmp_path)
    reader.look()
    service.text = "another start\nline 1\n"
    reader.look()
    assert reader.lines[50:] == ["another start", "line 1"]
    assert reader.notes == [f"node 0: {RESTARTED}"]
    service.text += "line 2\n"
    reader.look(has_ended=True)
    assert reader.lines[52:] == ["line 2"]


def test_a_reason_that_comes_before_the_last_lines(tmp_path):
    """C2Net adds what its centre says of the end, while late lines of the log still come in front of it."""
    service = OpenIService(text="1\n2\n", reason="OOMKilled")
    reader = Reader(service, tmp_path)
    reader.look(has_ended=True)
    assert reader.lines == ["1", "2", "", "OOMKilled"]
    service.text = "1\n2\n3\n"
    reader.look(has_ended=True)
    assert reader.lines[4:] == ["3"]
    service.is_lost = True
    reader.look(has_ended=True)
    assert len(reader.lines) == 5
    assert reader.notes == []


def test_no_log_but_a_reason(tmp_path):
    service = OpenIService(reason="ImagePullBackOff")
    reader = Reader(service, tmp_path)
    reader.look()
    assert reader.lines == []
    reader.look(has_ended=True)
    assert [line for line in reader.lines if line] == ["ImagePullBackOff"]


@pytest.mark.parametrize("count", [0, 1, 31, 32, 33, 400])
def test_places_in_texts(count):
    lines = [f"{random.Random(number).random()}" for number in range(count)]
    place = behind({}, lines)
    assert advance(place, [*lines, "new"]) == (["new"], behind({}, [*lines, "new"]), "")
    assert advance(place, lines) == ([], place, "")
    assert advance(place, []) == ([], place, "")
    assert log_text.count(place) == count
    if count > 40:
        assert advance(place, [*lines[-35:], "new"])[::2] == (["new"], ""), "its beginning is gone"
        assert advance(place, [*lines[:-3]])[::2] == ([], ""), "an older copy"
        assert advance(place, ["a", "b"])[::2] == (["a", "b"], RESTARTED)
