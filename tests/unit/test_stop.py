"""How ranks agree that their time is up."""

from __future__ import annotations

import signal
from types import SimpleNamespace

import mindspore as ms
import numpy as np
import pytest

from mindlift.training.stop import TIME_IS_UP, Stop


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def stop_of(rank: int, size: int, deadline: float | None = 100.0) -> tuple[Stop, Clock]:
    clock = Clock()
    signals = ms.Parameter(ms.Tensor(np.zeros(size), ms.float32))
    step = SimpleNamespace(signals=signals, heard=[0] * size)
    ranks = SimpleNamespace(rank=rank, size=size, is_main=rank == 0)
    return Stop(SimpleNamespace(number=0), step, ranks, deadline, clock), clock


def test_one_rank_stops_when_its_time_is_up():
    stop, clock = stop_of(0, 1)
    assert not stop.is_agreed
    clock.now = 100.0
    assert stop.is_agreed
    assert stop.is_planned
    endless, clock = stop_of(0, 1, None)
    clock.now = 1e9
    assert not endless.is_agreed


def test_ranks_stop_when_the_first_clock_says_so():
    """It is told in the next step, and all hear it after the same one."""
    (first, early), (second, _) = stop_of(0, 2), stop_of(1, 2)
    early.now = 101.0
    for each in (first, second):
        each.tell()
        assert not each.is_agreed, "before the others know"
    told = first.step.signals.asnumpy() + second.step.signals.asnumpy()
    assert told.tolist() == [TIME_IS_UP, 0]
    for each in (first, second):
        each.step.heard = [int(number) for number in told]
        assert each.is_agreed
        assert each.is_planned


@pytest.mark.parametrize(
    "heard", [[signal.SIGTERM, TIME_IS_UP], [TIME_IS_UP, signal.SIGTERM], [signal.SIGTERM, 0]]
)
def test_a_signal_comes_before_the_plan(heard):
    stop, _ = stop_of(0, 2)
    stop.step.heard = heard
    assert not stop.is_planned
    assert stop.reason().startswith("SIGTERM")
