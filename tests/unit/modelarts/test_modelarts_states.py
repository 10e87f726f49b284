"""States, times, reasons and lists of jobs at ModelArts."""

from __future__ import annotations

import pytest

from mindlift.cloud.providers.modelarts import view
from mindlift.cloud.states import Phase
from tests.support.modelarts_jobs import HANDLE, PACKAGE, created, found_id, job_of


@pytest.mark.parametrize(
    ("word", "phase"),
    [
        ("queued", Phase.QUEUED),
        ("starting", Phase.STARTING),
        ("running", Phase.RUNNING),
        ("stopping", Phase.STOPPING),
        ("succeeded", Phase.SUCCEEDED),
        ("failed", Phase.FAILED),
        ("stopped", Phase.STOPPED),
        ("Rebalancing", Phase.UNKNOWN),
    ],
)
def test_phases(double, word, phase):
    service, handle = created(double)
    double.runner.set(handle.id, phase=word)
    found = service.show(handle)
    assert found.phase is phase
    assert found.handle == handle
    assert [status.phase for status in service.list(())] == [phase]
    if phase is Phase.UNKNOWN:
        assert found.raw == "Rebalancing"
        assert list(service.list([Phase.UNKNOWN])) == []


def test_times_and_restarts(double):
    service, handle = created(double, nodes=2)
    double.runner.set(handle.id, phase="succeeded", started_at=1000.0, ended_at=1090.5, restarts=2)
    found = service.show(handle)
    assert (found.started_at, found.duration_s, found.restarts, found.nodes, found.cards) == (
        1000,
        90.5,
        2,
        2,
        8,
    )
    assert abs(found.created_at - double.now()) < 60
    double.runner.set(handle.id, phase="running", started_at=double.now() - 30, ended_at=0.0)
    assert 29 < service.show(handle).duration_s < 60


def test_reasons(double):
    service, handle = created(double)
    double.events[handle.id] += [("Warning", "waiting for 8 cards:\n3 are free"), ("Info", "still here")]
    assert service.show(handle).reason == "waiting for 8 cards: 3 are free"
    double.runner.set(handle.id, phase="failed", exit_code=137, reason="out of memory")
    assert service.show(handle).reason == "worker-0 ended with exit code 137: out of memory"
    double.runner.set(handle.id, phase="failed", exit_code=None)
    double.events[handle.id].append(("Error", "the image can't be pulled"))
    assert service.show(handle).reason == "the image can't be pulled"


def test_why_a_running_job_was_started_again():
    records = [
        {
            "start_type": "init_or_rescheduled",
            "end_reason": "NPU fault",
            "end_related_task": "worker-1",
            "end_recover": "job_reschedule",
        },
        {"start_type": "init_or_rescheduled"},
    ]
    found = view.status_of({"status": {"phase": "Running", "running_records": records}}, HANDLE, 0)
    assert (found.reason, found.restarts) == ("worker-1: NPU fault (job_reschedule)", 1)


def test_details_of_a_flavor_tell_its_cards():
    resource = {
        "flavor_id": "modelarts.new.huge",
        "node_count": 3,
        "flavor_detail": {"flavor_info": {"npu": {"unit_num": "16"}}},
    }
    found = view.status_of({"spec": {"resource": resource}}, HANDLE, 0)
    assert (found.cards, found.nodes) == (16, 3)


@pytest.mark.parametrize("count", [49, 50, 51, 101])
def test_lists_are_whole_and_newest_first(double, count):
    """The service counts pages, not jobs."""
    double.quota = 1000
    for number in range(count):
        created_at = f"obs://bucket/run-{number}/"
        if number == 0:
            service, _ = created(double, name="job-0", train_url=created_at)
        else:
            service.create(job_of(double, name=f"job-{number}", train_url=created_at), PACKAGE)
    assert [status.name for status in service.list(())] == [f"job-{n}" for n in reversed(range(count))]
    assert found_id(service, job_of(double, name="job-0")) == next(iter(double.jobs))
    assert service.find(job_of(double, name="job")) is None


@pytest.mark.parametrize(("limit", "sizes"), [(1, [1]), (3, [3]), (50, [50]), (51, [26, 26]), (60, [30, 30])])
def test_no_more_jobs_are_asked_for_than_are_shown(double, limit, sizes):
    double.quota = 1000
    service, _ = created(double, name="job-0", train_url="obs://bucket/run-0/")
    for number in range(1, 70):
        service.create(job_of(double, name=f"job-{number}", train_url=f"obs://bucket/run-{number}/"), PACKAGE)
    double.requests.clear()
    found = [status.name for status in service.list((), limit)]
    assert found == [f"job-{number}" for number in range(69, 69 - limit, -1)]
    assert [call.json()["limit"] for call in double.requests] == sizes


def test_lists_by_phase(double):
    service, first = created(double)
    second = service.create(job_of(double, name="second", train_url="obs://bucket/other/"), PACKAGE)
    double.runner.set(first.id, phase="failed")
    assert [status.handle for status in service.list([Phase.FAILED, Phase.STOPPED])] == [first]
    assert [status.handle for status in service.list([Phase.QUEUED])] == [second]
