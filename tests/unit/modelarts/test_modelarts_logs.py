"""Logs of ModelArts: whole, once, and where a preview has them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mindlift.cloud.errors import LogNotThere
from mindlift.cloud.follow.follow import Follower
from mindlift.cloud.follow.positions import Positions
from mindlift.cloud.handle import Handle
from mindlift.cloud.providers.modelarts.client import ModelArts
from mindlift.cloud.retry import RetryPolicy
from mindlift.cloud.states import Phase
from tests.support.modelarts_jobs import created, job_of, provider


def lines(count: int) -> list[str]:
    return [f"line {number}\fwith\x85marks" for number in range(count)]


def read_all(service: ModelArts, handle: Handle, has_ended: bool = False) -> list[str]:
    """What a follower shows; tests/unit/test_logs.py has all that can happen on the way."""
    found: list[str] = []
    follower = Follower(service, handle, found.append, found.append, Positions(None), RetryPolicy(0))
    status = service.show(handle)
    follower.read_node(replace(status, phase=Phase.SUCCEEDED) if has_ended else status, 0)
    return found


NUMBERINGS = {
    "from 1": (1, 1, False),
    "from 0, base line again": (0, 1, True),
    "from 1, base line again": (1, 1, True),
    "marks": (1700000000000, 1000, False),
    "marks, base line again": (1700000000000, 1000, True),
}


@pytest.mark.parametrize("numbering", NUMBERINGS)
@pytest.mark.parametrize("count", [1, 500, 1203])
def test_logs_are_whole_however_lines_are_numbered(double, numbering, count):
    double.first_line, double.line_step, double.repeats_base_line = NUMBERINGS[numbering]
    service, handle = created(double)
    with pytest.raises(LogNotThere):
        read_all(service, handle)
    double.runner.logs[handle.id, 0] = lines(count)
    assert read_all(service, handle) == lines(count)


def test_a_long_log_is_not_read_again_from_its_start(double):
    service, handle = created(double)
    double.runner.logs[handle.id, 0] = lines(9000)
    status, positions, out = service.show(handle), Positions(None), []
    follower = Follower(service, handle, out.append, out.append, positions, RetryPolicy(0))
    follower.read_node(status, 0)
    double.runner.logs[handle.id, 0] = lines(9001)
    double.requests.clear()
    other = Follower(provider(job_of(double)), handle, out.append, out.append, positions, RetryPolicy(0))
    other.read_node(status, 0)
    assert out == lines(9001)
    assert len(double.requests) == 1


def test_logs_from_the_preview(double):
    double.has_log_lines = False
    service, handle = created(double)
    double.runner.logs[handle.id, 0] = lines(20)
    assert read_all(service, handle) == lines(20)


def test_half_a_line_waits_for_its_rest(double):
    double.has_log_lines, double.ends_lines = False, False
    service, handle = created(double)
    double.runner.set(handle.id, phase="running")
    double.runner.logs[handle.id, 0] = ["whole", "half"]
    assert read_all(service, handle) == ["whole"]
    assert read_all(service, handle, has_ended=True) == ["whole", "half"]


def test_a_node_of_its_own(double):
    service, handle = created(double, nodes=2)
    double.runner.logs[handle.id, 1] = ["of node 1"]
    assert service.logs(handle, 1, {}, False).lines == ["of node 1"]
    with pytest.raises(LogNotThere):
        service.logs(handle, 0, {}, False)
