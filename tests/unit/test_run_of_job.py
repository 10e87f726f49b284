"""Of several runs in one place, a job's own is found by when it was begun or continued."""

from __future__ import annotations

import json
import math

import pytest

from mindlift.cloud.handle import Handle
from mindlift.cloud.providers.base import Status
from mindlift.cloud.states import Phase
from mindlift.runs.remote import Lifetime, begun_by, run_of_job

OLD, NEW = "20261128-133800", "20261129-090000"
# the runs, the newest first, with their beginnings; a job's start and end; the run that is its own
CASES = [
    ({NEW: [5000.0], OLD: [1000.0]}, (4990.0, 5600.0), NEW),
    ({NEW: [5000.0], OLD: [1000.0, 9000.0]}, (8990.0, math.inf), OLD),  # it was continued after the newer one
    ({NEW: [5000.0], OLD: [1000.0, 9000.0]}, (990.0, 2000.0), OLD),
    ({NEW: [1040.0], OLD: [1002.0]}, (1000.0, 1030.0), OLD),  # two jobs within the skew of clocks
    ({NEW: [1042.0], OLD: [1002.0]}, (1040.0, 1070.0), NEW),
    ({NEW: [5000.0], OLD: [4930.0]}, (5000.0, math.inf), NEW),  # a clock that is a minute late
    ({NEW: [5000.0]}, (7000.0, 7100.0), None),  # it failed before it began a run
    ({NEW: [5000.0]}, (0.0, math.inf), None),  # it has not started
    ({NEW: [], OLD: []}, (5000.0, math.inf), NEW),  # of versions that do not say when they began
    ({NEW: [], OLD: [1000.0]}, (5000.0, math.inf), NEW),
    ({}, (5000.0, math.inf), None),
]


@pytest.mark.parametrize(("begun", "job", "own"), CASES)
def test_whose_run_it_is(begun, job, own):
    assert begun_by(Lifetime(*job), begun) == own


def test_runs_are_read_where_they_are(tmp_path):
    for name, begun in ((OLD, [1000.0, 9000.0]), (NEW, [5000.0])):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(
            json.dumps({"fingerprint": "x", "ranks": 1, "begun": begun})
        )
    (tmp_path / "20261130-000000").mkdir()  # with no run.json it is no run yet
    assert run_of_job(str(tmp_path), Lifetime(8990.0)) == OLD
    assert run_of_job(str(tmp_path), Lifetime(4990.0, 5100.0)) == NEW
    assert run_of_job(str(tmp_path / "none"), Lifetime(4990.0)) is None


@pytest.mark.parametrize("begun", ['"1000"', "[null]", "1000", "null", '["1"]'])
def test_beginnings_that_are_none(tmp_path, begun):
    (tmp_path / NEW).mkdir()
    (tmp_path / NEW / "run.json").write_text(f'{{"begun": {begun}}}')
    assert run_of_job(str(tmp_path), Lifetime(1000.0)) == NEW


@pytest.mark.parametrize(
    ("phase", "expected"), [(Phase.RUNNING, Lifetime(100.0)), (Phase.FAILED, Lifetime(100.0, 130.0))]
)
def test_a_job_lives_until_it_has_ended(phase, expected):
    status = Status(Handle("local", ("x",)), "x", phase, phase.value, started_at=100.0, duration_s=30.0)
    assert status.lifetime == expected
