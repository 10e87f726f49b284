"""Tables of jobs on a screen that is too narrow for a handle and the rest beside it."""

from __future__ import annotations

import re

import pytest

from mindlift import language
from mindlift.cloud import show
from mindlift.cloud.handle import parse
from mindlift.cloud.providers.base import Status
from mindlift.cloud.states import Phase
from mindlift.columns import columns

HANDLE = "modelarts://cn-north-4/0123456789abcdef/e50d562e-0de2-44a7-b54c-75f42af29f88"
FOUND = [
    Status(
        parse(HANDLE),
        "a",
        phase,
        "",
        started_at=1e9,
        duration_s=75,
        nodes=1,
        cards=8,
        reason="exit code 1 " * 9,
    )
    for phase in (Phase.RUNNING, Phase.FAILED)
]


@pytest.fixture(params=["en", "zh"])
def spoken(request, monkeypatch) -> str:
    monkeypatch.setenv(language.VARIABLE, request.param)
    language.catalogue.cache_clear()
    yield request.param
    monkeypatch.undo()
    language.catalogue.cache_clear()


def test_handles_have_lines_of_their_own_where_a_line_has_no_room(spoken):
    lines = show.statuses(FOUND, screen=80).splitlines()
    assert [line for line in lines if not line.startswith("  ")] == [HANDLE, HANDLE]
    assert len(lines) == 5
    assert all(columns(line) <= 80 for line in lines if line != HANDLE)
    starts = [re.search("8", line).start() for line in (lines[2], lines[4])]
    assert columns(lines[2][: starts[0]]) == columns(lines[4][: starts[1]]), "columns are aligned"


def test_a_lone_job_tells_whole_why(spoken):
    head, handle, line = show.statuses(FOUND[:1], screen=80).splitlines()
    assert handle == HANDLE
    assert (
        line.count("exit code 1") + line.count("退出码 1") == 8
    ), "the 100 letters that a line has of a reason"


def test_elsewhere_a_job_is_a_line(spoken):
    for screen in (0, 200):
        assert len(show.statuses(FOUND, screen=screen).splitlines()) == 3
