"""Following, retrying and creating once, against providers that misbehave as services do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from cloud import creation
from cloud.errors import NoAnswer, Overloaded, Refused
from cloud.follow import Follower
from cloud.handle import Handle
from cloud.job import Job
from cloud.package import Package
from cloud.patience import Patience
from cloud.positions import Positions, file_name
from cloud.providers.base import LogPage, Status
from cloud.states import Phase

HANDLE = Handle("local", ("job",))
NOW = Status(HANDLE, "job", Phase.QUEUED, "queued")


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Scripted:
    """A provider whose answers are given: each a value, or an error that is raised."""

    longest_poll_s = 15.0

    def __init__(self, statuses=(), pages=(), creations=(), finds=()):
        self.answers = {
            "show": list(statuses),
            "logs": list(pages),
            "create": list(creations),
            "find": list(finds),
        }
        self.asked: list[tuple] = []

    def answer(self, what: str, *details: object):
        self.asked.append((what, *details))
        answers = self.answers[what]
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(found, Exception):
            raise found
        return found

    def show(self, handle):
        return self.answer("show")

    def logs(self, handle, node, after):
        return self.answer("logs", node, after)

    def create(self, job, package):
        return self.answer("create")

    def find(self, job):
        return self.answer("find")


def patience(clock: Clock, deadline_s: float = 120) -> Patience:
    return Patience(deadline_s, clock=clock, sleep=clock.sleep)


def follower(
    provider: Scripted, clock: Clock, positions: Positions | None = None, **more
) -> tuple[Follower, list, list]:
    out: list[str] = []
    notes: list[str] = []
    found = Follower(
        provider, HANDLE, out.append, notes.append, positions or Positions(None), patience(clock), sleep=clock.sleep,
        clock=clock, **more,
    )  # fmt: skip
    return found, out, notes


def phase(word: Phase, **more: object) -> Status:
    return replace(NOW, phase=word, raw=word.value, **more)


def test_phases_and_lines_come_once():
    provider = Scripted(
        [
            phase(Phase.QUEUED, reason="2 jobs ahead"),
            phase(Phase.RUNNING),
            phase(Phase.RUNNING),
            phase(Phase.SUCCEEDED, duration_s=75),
        ],
        [LogPage(0), LogPage(0, ["a", "b"]), LogPage(2), LogPage(2, ["c"]), LogPage(3), LogPage(3)],
    )
    found, out, notes = follower(provider, Clock())
    assert found.run().phase is Phase.SUCCEEDED
    assert out == ["a", "b", "c"]
    assert notes == ["job queued: 2 jobs ahead", "job running", "job succeeded after 1 min 15 s"]


def test_lines_that_are_gone_and_a_log_that_began_anew():
    provider = Scripted(
        [phase(Phase.FAILED)],
        [LogPage(0, ["a"]), LogPage(5, ["f"]), LogPage(2), LogPage(0, ["x"]), LogPage(1)],
    )
    found, out, notes = follower(provider, Clock())
    found.run()
    assert out == ["a", "f", "x"]
    assert "4 lines of node 0's log are gone" in notes
    assert "the log of node 0 began anew" in notes


def test_nodes_are_told_apart():
    provider = Scripted(
        [phase(Phase.FAILED, nodes=2)], [LogPage(0, ["a"]), LogPage(1), LogPage(0, ["b"]), LogPage(1)]
    )
    found, out, _ = follower(provider, Clock())
    found.run()
    assert out == ["node 0: a", "node 1: b"]


def test_following_goes_on_where_it_stopped(tmp_path):
    for pages, expected in (
        ([LogPage(0, ["a", "b"]), LogPage(2)], ["a", "b"]),
        ([LogPage(2, ["c"]), LogPage(3)], ["c"]),
    ):
        found, out, _ = follower(Scripted([phase(Phase.FAILED)], pages), Clock(), Positions(tmp_path))
        found.run()
        assert out == expected


def test_positions_that_can_not_be_read_start_anew(tmp_path):
    positions = Positions(tmp_path)
    positions.set(NOW, 0, 7)
    assert Positions(tmp_path).get(NOW, 0) == 7
    (tmp_path / file_name(NOW)).write_text("[1]")
    assert Positions(tmp_path).get(NOW, 0) == 0


def test_a_name_that_is_given_again_is_another_job(tmp_path):
    first, again = replace(NOW, created_at=100.5), replace(NOW, created_at=200.5)
    Positions(tmp_path).set(first, 0, 7)
    assert Positions(tmp_path).get(first, 0) == 7
    assert Positions(tmp_path).get(again, 0) == 0


def test_the_deadline_returns_the_job_as_it_is():
    clock = Clock()
    found, _, _ = follower(Scripted([phase(Phase.RUNNING)], [LogPage(0)]), clock)
    assert found.run(100).phase is Phase.RUNNING
    assert 100 <= clock.now < 130


def test_an_unknown_phase_is_followed_and_shown():
    provider = Scripted(
        [replace(NOW, phase=Phase.UNKNOWN, raw="Hibernating"), phase(Phase.SUCCEEDED)], [LogPage(0)]
    )
    found, _, notes = follower(provider, Clock())
    assert found.run().phase is Phase.SUCCEEDED
    assert notes[0] == "job unknown (Hibernating)"


AWAY, BUSY = (
    NoAnswer("show: the service does not answer"),
    Overloaded("S", "show", "429", "slow down", retry_after_s=7),
)


def test_a_service_that_is_away_is_waited_for():
    clock = Clock()
    found, _, _ = follower(Scripted([AWAY, BUSY, phase(Phase.SUCCEEDED)], [AWAY, LogPage(0)]), clock)
    assert found.run().phase is Phase.SUCCEEDED
    assert clock.now >= 7, "as long as it asked for"


@pytest.mark.parametrize("error", [AWAY, BUSY])
def test_patience_ends(error):
    clock = Clock()
    with pytest.raises(type(error)):
        patience(clock, 60).call(raising(error))
    assert 20 < clock.now <= 60


def raising(error: Exception) -> Callable[[], None]:
    def request() -> None:
        raise error

    return request


TAKEN = Refused("S", "create", "2751", "the name is taken")
CREATIONS = {
    "at once": ([HANDLE], [None], 1),
    "the answer was lost": ([AWAY], [HANDLE], 1),
    "lost, and found only a little later": ([AWAY], [None, HANDLE], 1),
    "the request was lost": ([AWAY, HANDLE], [None], 2),
    "overloaded": ([BUSY, HANDLE], [None], 2),
    "the lost one arrives late": ([AWAY, TAKEN], [None, None, HANDLE], 2),
}


@pytest.mark.parametrize("case", CREATIONS)
def test_a_job_is_created_once(case):
    creations, finds, count = CREATIONS[case]
    provider, clock = Scripted(creations=creations, finds=finds), Clock()
    assert creation.create_once(provider, Job(), Package("r", False, {}), patience(clock)) == HANDLE
    assert [what for what, *_ in provider.asked].count("create") == count


def test_a_refusal_is_final():
    provider = Scripted(creations=[TAKEN], finds=[HANDLE])
    with pytest.raises(Refused, match="2751"):
        creation.create_once(provider, Job(), Package("r", False, {}), patience(Clock()))
    assert [what for what, *_ in provider.asked] == ["create"], "another one's job of that name is not ours"
