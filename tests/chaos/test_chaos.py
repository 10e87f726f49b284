"""Accidents at random points of a run's life: the same command again ends as a run without one. See __main__.py.

One point alone: `pytest "tests/chaos/test_chaos.py::test_nothing_is_lost[two_ranks-3]"`, with MINDLIFT_CHAOS_SEED if
the seed was another one.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos import faults, kills, rehearsals
from tests.chaos.points import Point
from tests.chaos.trainings import Shared

SCENARIOS: dict[str, tuple[Callable[[Point], bool], int]] = {
    "one rank": (kills.one_rank, 10),
    "dropout": (kills.dropout, 2),
    "two ranks": (kills.two_ranks, 7),
    "bucket, empty disk": (kills.empty_disk, 8),
    "two nodes, one URL": (kills.two_nodes, 4),
    "rehearsal": (rehearsals.rehearsal, 4),
    "store away": (faults.store_away, 6),
    "full disk": (faults.full_disk, 4),
    "full store": (faults.full_store, 4),
    "SIGTERM": (kills.sigterm, 6),
    "SIGHUP": (kills.sighup, 4),
    "SIGSTOP": (kills.sigstop, 3),
    "damaged files": (faults.damaged_files, len(faults.DAMAGES)),
}
QUICK = {("one rank", 2), ("SIGSTOP", 0)}  # of `make test`: while it saves, and at its start
POINTS = [(name, index) for name, (_, count) in SCENARIOS.items() for index in range(count)]


def slug(scenario: str) -> str:
    return scenario.replace(",", "").replace(" ", "_")


def parameter(name: str, index: int) -> object:
    marks = () if (name, index) in QUICK else pytest.mark.heavy
    return pytest.param(name, index, id=f"{slug(name)}-{index}", marks=marks)


@pytest.fixture(scope="session")
def shared(few_digits, tmp_path_factory) -> Shared:
    """One for all processes of a session."""
    folder = tmp_path_factory.getbasetemp()
    return Shared((folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "shared", few_digits)


@pytest.fixture
def folder(tmp_path) -> Path:
    yield tmp_path / "p"
    shutil.rmtree(tmp_path / "p", ignore_errors=True)


@pytest.mark.parametrize(("scenario", "index"), [parameter(*point) for point in POINTS])
def test_nothing_is_lost(scenario, index, shared, folder, minio, bucket, fault_proxy, record_property):
    point = Point(scenario, index, shared, folder, minio, bucket, fault_proxy)
    record_property("scenario", scenario)
    try:
        said = SCENARIOS[scenario][0](point)
    finally:
        for job in point.jobs:
            job.stop()
    record_property("outcome", "line" if said else "at once")
