"""The table of submit.py top: what metrics say, how long it takes still, and how that fits a terminal. Pure."""

from __future__ import annotations

import json
import math
import re

import pytest

from mindlift.cloud import show
from mindlift.cloud.errors import NoAnswer
from mindlift.cloud.follow import screen, top
from mindlift.cloud.follow.metrics import Metrics
from mindlift.cloud.follow.progress import Progress, progress_of, records
from mindlift.cloud.follow.top_table import COLUMNS, Row, cells, fitted
from mindlift.cloud.handle import Handle
from mindlift.cloud.providers.base import LogPage, Status
from mindlift.cloud.states import Phase
from mindlift.runs.remote import Lifetime

NOW = 1_000_000.0
START = {"time": NOW, "event": "start", "step": 0, "images": 640, "steps_per_epoch": 10, "total": 100}


def step(number: int, time: float, **more: object) -> dict:
    return {
        "time": time,
        "epoch": (number - 1) // 10,
        "step": number,
        "loss": 0.5,
        "images_per_second": 64.0,
        "step_seconds": [1.5, 2.0],
        **more,
    }


def text(lines: list[dict]) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


# progress


def test_lines_that_are_not_whole_are_left_out():
    whole = text([START, step(1, NOW + 1)])
    assert records(whole + b'{"time": 12, "st') == [START, step(1, NOW + 1)]
    assert records(whole[5:], is_cut=True) == [step(1, NOW + 1)]
    assert records(b"\n[1]\n7\n\xff\n" + text([START])) == [START]
    assert records(b"") == []


def test_a_run_is_where_its_newest_line_says():
    found = progress_of(
        [
            START,
            step(10, NOW + 30, loss=0.9),
            {"time": NOW + 35, "event": "evaluation", "step": 10, "top1": 71.5},
            step(20, NOW + 60),
        ]
    )
    assert (found.step, found.total, found.steps_per_epoch) == (20, 100, 10)
    assert (found.loss, found.images_per_second, found.figure) == (0.5, 64.0, ("top1", 71.5))
    assert (found.step_seconds, found.at) == (3.0, NOW + 60)
    assert found.eta_s(NOW + 60) == 240
    assert found.eta_s(NOW + 90) == 210, "what has passed since the line"
    assert found.eta_s(NOW + 9000) == 0
    assert found.eta_s(NOW - 9000) == 240, "by a clock that is behind"


def test_a_continued_run_is_paced_by_its_newest_session():
    """What passed while nothing ran is no pace, and steps are done again from the last checkpoint on."""
    again = {**START, "event": "continued", "time": NOW + 5000, "step": 15, "total": 50}
    found = progress_of([START, step(10, NOW + 30), step(20, NOW + 60), again])
    assert (found.step, found.total, found.loss, found.step_seconds) == (15, 50, 0.5, None)
    assert found.eta_s(NOW) is None
    found = progress_of([START, step(20, NOW + 60), again, step(16, NOW + 5001), step(18, NOW + 5005)])
    assert (found.step, found.step_seconds) == (18, 2.0)


@pytest.mark.parametrize(
    ("timed", "pace"), [([1.5, 2.0], 2.0), (1.5, 1.5), ([0.0], None), (None, None), (float("nan"), None)]
)
def test_one_line_is_paced_by_what_the_job_timed(timed, pace):
    """The slowest rank's; the first step, which compiles, is timed by no rank."""
    assert progress_of([START, step(1, NOW + 40, step_seconds=timed)]).step_seconds == pace


def test_lines_without_what_is_wanted():
    assert progress_of([]) == Progress()
    found = progress_of([step(7, NOW, loss=None, images_per_second=None)])
    assert (found.step, found.total, found.images_per_second, found.eta_s(NOW)) == (7, 0, None, None)
    assert found.loss is not None
    assert math.isnan(found.loss), "how JSON says that a loss is not finite"
    assert progress_of([START, {"event": "evaluation", "step": 5, "miou": 0.5}]).figure == ("miou", 0.5)


def test_only_the_ends_of_a_long_file_are_read(tmp_path, monkeypatch):
    lines = [START, *(step(n, NOW + n) for n in range(1, 5000))]
    run = tmp_path / "runs" / "20261125-120000"
    run.mkdir(parents=True)
    (run / "run.json").write_text('{"begun": [1000.0]}')
    (run / "metrics.jsonl").write_bytes(text(lines) + b'{"time"')
    asked = []
    from mindlift.storage.store import LocalStore

    read = LocalStore.read

    def counted(self, key, start=0, length=None, etag=""):
        found = read(self, key, start, length, etag)
        asked.append(len(found))
        return found

    monkeypatch.setattr(LocalStore, "read", counted)
    metrics = Metrics()
    job = Lifetime(990.0)
    found = metrics.read(str(tmp_path / "runs"), job)
    assert found == progress_of([START, *lines[-100:]])
    assert sum(asked) < 100_000 < (run / "metrics.jsonl").stat().st_size
    metrics.read(str(tmp_path / "runs"), job)
    assert len(asked) == 3, "an unchanged file is not read again"
    assert metrics.read(str(tmp_path / "nothing"), job) is None


# the table


def status(name: str, phase: Phase = Phase.RUNNING, provider: str = "local", **more) -> Status:
    times = {"created_at": NOW - 200, "started_at": NOW - 125, "duration_s": 125.0}
    return Status(Handle(provider, (name,)), name, phase, phase.value, **{**times, **more})


AT = Progress(20, 100, 10, 0.51234, 64.04, ("top1", 71.5), 3.0, NOW)


def test_a_row():
    assert dict(zip(COLUMNS, cells(Row(status("a"), AT), NOW))) == {
        "JOB": "local://a",
        "PHASE": "running",
        "EPOCH": "2.0/10",
        "STEP": "20/100",
        "LOSS": "0.5123",
        "ACCURACY": "71.50 %",
        "IMAGES/S": "64.0",
        "ETA": "4 min 00 s",
        "SINCE": "2 min 05 s",
    }
    segmented = Progress(20, figure=("miou", 0.7123))
    assert cells(Row(status("a"), segmented), NOW)[2:6] == ("-", "20/?", "-", "71.23 % mIoU")


def test_a_job_without_figures_shows_its_phase_alone():
    waiting = status("a", Phase.QUEUED, started_at=0.0, duration_s=0.0)
    found = cells(Row(waiting), NOW)
    assert found == ("local://a", "queued", "-", "-", "-", "-", "-", "-", "3 min 20 s")
    assert "step" not in Row(waiting).as_dict(NOW)


def test_a_job_that_has_ended_has_no_time_left():
    ended = Row(status("a", Phase.FAILED), AT)
    assert cells(ended, NOW)[COLUMNS.index("ETA")] == "-"
    assert ended.as_dict(NOW)["eta_s"] is None
    assert (ended.as_dict(NOW)["top1"], ended.as_dict(NOW)["phase"]) == (71.5, "failed")


ROWS = [
    Row(status("densenet100-digits-1123-101500"), AT),
    Row(status("cn-north-4/0123456789abcdef0123456789abcdef/3f9b2a54-6b1e-4d62", provider="modelarts")),
    *(Row(status(f"job-{number}"), AT) for number in range(30)),
]


@pytest.mark.parametrize("width", [20, 40, 60, 79, 100, 119, 200])
def test_a_table_fits_its_width(width):
    lines = show.table(fitted(ROWS, NOW, width, 50)).splitlines()
    assert len(lines) == len(ROWS) + 1
    assert max(map(len, lines)) <= width
    assert lines[2].split()[0].endswith("4d62"), "the end of a handle stays"


def test_more_room_shows_more():
    shown = [len(fitted(ROWS, NOW, width, 50)[0]) for width in range(20, 200)]
    assert shown == sorted(shown)
    assert (shown[0], shown[-1]) == (2, len(COLUMNS))
    assert fitted(ROWS, NOW, 200, 50)[2][0] == str(ROWS[1].status.handle)


@pytest.mark.parametrize("height", [1, 2, 3, 5, 10, 24, 100])
@pytest.mark.parametrize("problem", ["", "no figures: the store is away " * 20])
def test_a_page_fits_a_terminal(height, problem):
    board = top.Board(3)
    for rows in (None, [], ROWS):
        board.rows, board.problem = rows, problem
        page = screen.page(board.lines, 80, height)
        lines = re.sub(r"\033\[[\dH]*[HKJ]?", "", page).split("\r\n")
        assert len(lines) <= height
        assert max(map(len, lines)) < 80
    if height == 10 and not problem:
        assert lines[-1] == f"{len(ROWS) - 6} more"
        assert lines[3].startswith("..") or "densenet100" in lines[3]


class Provider:
    """Lists `jobs`; its store can't be reached."""

    def __init__(self, *jobs: Status):
        self.jobs = jobs
        self.reached = 0
        self.lines = 0

    def list(self, phases, limit=None):
        return iter(self.jobs[:limit])

    def logs(self, handle, node, place, has_ended):
        return LogPage([f"line {number}" for number in range(self.lines)], {"lines": self.lines})

    def reach_store(self):
        self.reached += 1
        raise NoAnswer("the store is away")


def test_a_store_that_is_away_leaves_the_phases():
    provider = Provider(
        status("a", outputs={"train_url": "obs://b/run/"}),
        status("b", outputs={"train_url": "obs://b/other/"}),
        status("c"),
    )
    jobs = top.Jobs(provider, [], 10)
    assert [row.progress for row in jobs.look()] == [None] * 3
    assert jobs.problem == "no figures: the store is away"
    assert provider.reached == 1
    assert len(top.Jobs(provider, [], 2).look()) == 2


def test_jobs_without_a_bucket_need_no_store():
    provider = Provider(status("a"), status("b", outputs={"train_url": "/local/folder"}))
    jobs = top.Jobs(provider, [], 10)
    jobs.look()
    assert (provider.reached, jobs.problem) == (0, "")


def test_a_run_that_went_on_after_a_jobs_end_is_of_another_job():
    """Which has the same train_url, and continues it."""
    ended = status("older", Phase.FAILED)  # at NOW
    assert not top.is_of_another(ended, Progress(at=NOW + 60))
    assert top.is_of_another(ended, Progress(at=NOW + 600))
    assert not top.is_of_another(status("newer"), Progress(at=NOW + 600))
    assert not top.is_of_another(ended, None)
    assert not top.is_of_another(status("never began", Phase.FAILED, started_at=0.0), Progress(at=NOW))


def test_a_job_without_figures_shows_the_newest_line_of_its_log():
    provider = Provider(status("a", outputs={}))
    jobs = top.Jobs(provider, [], 10)
    provider.lines = 3
    (row,) = jobs.look()
    assert row.line == "line 2"
    assert row.as_dict(NOW)["line"] == "line 2"
    wide = fitted([row], NOW, 200, 10)
    assert [line[-1] for line in wide] == ["NEWEST LINE", "line 2"]
    assert "line 2" not in fitted([row], NOW, 30, 10)[1], "where there is no room"
