"""Following, retrying and creating once, against providers that misbehave as services do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from mindlift.cloud.errors import Answer, LogNotThere, NoAnswer, Overloaded, Refused
from mindlift.cloud.follow.follow import Follower
from mindlift.cloud.follow.positions import Position, Positions, file_name
from mindlift.cloud.handle import Handle
from mindlift.cloud.job import Job
from mindlift.cloud.prepare import creation
from mindlift.cloud.prepare.package import Package
from mindlift.cloud.providers.base import LogPage, Status
from mindlift.cloud.retry import RetryPolicy
from mindlift.cloud.states import Phase

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

    def logs(self, handle, node, place, has_ended):
        return self.answer("logs", node, dict(place), has_ended)

    def create(self, job, package):
        return self.answer("create")

    def find(self, job):
        return self.answer("find")


def retry(clock: Clock, deadline_s: float = 120) -> RetryPolicy:
    return RetryPolicy(deadline_s, clock=clock, sleep=clock.sleep)


def follower(
    provider: Scripted, clock: Clock, positions: Positions | None = None, **more
) -> tuple[Follower, list, list]:
    out: list[str] = []
    notes: list[str] = []
    found = Follower(
        provider,
        HANDLE,
        out.append,
        notes.append,
        positions or Positions(None),
        retry(clock),
        sleep=clock.sleep,
        clock=clock,
        **more,
    )
    return found, out, notes


def phase(word: Phase, **more: object) -> Status:
    return replace(NOW, phase=word, raw=word.value, **more)


def page(count: int, *lines: str, **more: object) -> LogPage:
    """Lines, with a place behind them."""
    return LogPage(lines, {"lines": count}, **more)


def test_phases_and_lines_come_once():
    provider = Scripted(
        [
            phase(Phase.QUEUED, reason="2 jobs ahead"),
            phase(Phase.RUNNING),
            phase(Phase.RUNNING),
            phase(Phase.SUCCEEDED, duration_s=75),
        ],
        [page(0), page(2, "a", "b", has_more=True), page(3, "c"), page(3), page(4, "d")],
    )
    found, out, notes = follower(provider, Clock())
    assert found.run().phase is Phase.SUCCEEDED
    assert out == ["a", "b", "c", "d"]
    assert notes == ["job queued: 2 jobs ahead", "job running", "job succeeded after 1 min 15 s"]
    asked = [details for what, *details in provider.asked if what == "logs"]
    assert [place.get("lines", 0) for _, place, _ in asked] == [0, 0, 2, 3, 3]
    assert [has_ended for _, _, has_ended in asked] == [False, False, False, False, True]


def test_what_a_provider_notes_of_a_log_is_shown():
    found, out, notes = follower(
        Scripted([phase(Phase.FAILED)], [page(1, "x", note="the log started again")]), Clock()
    )
    found.run()
    assert out == ["x"]
    assert "node 0: the log started again" in notes


def test_nodes_are_told_apart():
    provider = Scripted([phase(Phase.FAILED, nodes=2)], [page(1, "a"), page(1, "b")])
    found, out, _ = follower(provider, Clock())
    found.run()
    assert out == ["node 0: a", "node 1: b"]


def test_following_goes_on_where_it_stopped(tmp_path):
    for pages, expected, place in (
        ([page(2, "a", "b")], ["a", "b"], {}),
        ([page(3, "c")], ["c"], {"lines": 2}),
    ):
        provider = Scripted([phase(Phase.FAILED)], pages)
        found, out, _ = follower(provider, Clock(), Positions(tmp_path))
        found.run()
        assert out == expected
        assert ("logs", 0, place, True) in provider.asked


def test_an_interrupt_between_two_lines_loses_none(tmp_path):
    pages = [page(3, "a", "b", "c")]
    found, out, _ = follower(Scripted([phase(Phase.FAILED)], pages), Clock(), Positions(tmp_path))

    def interrupted(line: str) -> None:
        if line == "b":
            raise KeyboardInterrupt
        out.append(line)

    found.out = interrupted
    with pytest.raises(KeyboardInterrupt):
        found.run()
    again, more, _ = follower(Scripted([phase(Phase.FAILED)], pages), Clock(), Positions(tmp_path))
    again.run()
    assert (out, more) == (["a"], ["b", "c"])


def test_positions_that_can_not_be_read_start_anew(tmp_path):
    positions = Positions(tmp_path)
    positions.set(NOW, 0, Position({"lines": 7}))
    assert Positions(tmp_path).get(NOW, 0) == Position({"lines": 7})
    for text in ("[1]", '{"created_at": 0, "lines": {"0": 7}}', '{"created_at": 0, "nodes": {"0": 7}}'):
        (tmp_path / file_name(NOW)).write_text(text)
        assert Positions(tmp_path).get(NOW, 0) == Position()


def test_a_name_that_is_given_again_is_another_job(tmp_path):
    first, again = replace(NOW, created_at=100.5), replace(NOW, created_at=200.5)
    Positions(tmp_path).set(first, 0, Position({"lines": 7}, 2))
    assert Positions(tmp_path).get(first, 0) == Position({"lines": 7}, 2)
    assert Positions(tmp_path).get(again, 0) == Position()


def test_the_deadline_returns_the_job_as_it_is():
    clock = Clock()
    found, _, _ = follower(Scripted([phase(Phase.RUNNING)], [page(0)]), clock)
    assert found.run(100).phase is Phase.RUNNING
    assert 100 <= clock.now < 130


def test_an_unknown_phase_is_followed_and_shown():
    provider = Scripted(
        [replace(NOW, phase=Phase.UNKNOWN, raw="Hibernating"), phase(Phase.SUCCEEDED)], [page(0)]
    )
    found, _, notes = follower(provider, Clock())
    assert found.run().phase is Phase.SUCCEEDED
    assert notes[0] == "job unknown (Hibernating)"


def test_a_phase_that_stays_unknown_ends_the_wait():
    clock = Clock()
    provider = Scripted(
        [phase(Phase.RUNNING), replace(NOW, phase=Phase.UNKNOWN, raw="Hibernating")], [page(0)]
    )
    found, _, _ = follower(provider, clock)
    assert found.run().raw == "Hibernating"
    assert 900 < clock.now < 1000


AWAY, BUSY = (
    NoAnswer("show: the service does not answer"),
    Overloaded(Answer("S", "show", "429", "slow down"), retry_after_s=7),
)


def test_a_service_that_is_away_is_waited_for():
    clock = Clock()
    found, _, _ = follower(Scripted([AWAY, BUSY, phase(Phase.SUCCEEDED)], [AWAY, page(0)]), clock)
    assert found.run().phase is Phase.SUCCEEDED
    assert clock.now >= 7, "as long as it asked for"


@pytest.mark.parametrize("error", [AWAY, BUSY])
def test_patience_ends(error):
    clock = Clock()
    with pytest.raises(type(error)):
        retry(clock, 60).call(raising(error))
    assert 20 < clock.now <= 60


def raising(error: Exception) -> Callable[[], None]:
    def request() -> None:
        raise error

    return request


NO_LOG = LogNotThere(Answer("ModelArts", "log", "ModelArts.2818", "the log file is not generated"))
CLEARED = LogNotThere(
    Answer("ModelArts", "log", "ModelArts.2819", "the log file has been cleared"), is_final=True
)
NO_RIGHT = Refused(Answer("ModelArts", "log", "ModelArts.0108", "no permission", "", 403))


@pytest.mark.parametrize("error", [NO_LOG, CLEARED, NO_RIGHT, AWAY, BUSY], ids=str)
def test_a_log_that_can_not_be_read_ends_nothing(error):
    """`submit --wait` has the code of the job, whatever becomes of its log."""
    statuses = [phase(Phase.RUNNING)] * 5 + [phase(Phase.SUCCEEDED)]
    found, out, notes = follower(Scripted(statuses, [error]), Clock())
    assert found.run().phase is Phase.SUCCEEDED
    assert out == []
    said = [line for line in notes if "can't be read" in line]
    assert len(said) == (0 if error is NO_LOG else 1), notes
    assert any("lines of node 0's log may be missing" in line for line in notes) is (error is not NO_LOG)


def test_last_lines_are_asked_for_again_when_the_job_has_ended():
    found, out, notes = follower(Scripted([phase(Phase.SUCCEEDED)], [AWAY, BUSY, page(1, "last")]), Clock())
    found.run()
    assert out == ["last"]
    assert not [line for line in notes if "missing" in line]


TAKEN = Refused(Answer("S", "create", "2751", "the name is taken"))
LIMITED = Overloaded(Answer("S", "create", "429", "slow down"), created_nothing=True)
UNSENT = NoAnswer("create: connection refused", was_sent=False)
CREATIONS = {  # answers to create and to find; how often create is sent
    "at once": ([HANDLE], [None], 1),
    "the answer was lost": ([AWAY], [HANDLE], 1),
    "lost, and found only a little later": ([AWAY], [None, AWAY, None, HANDLE], 1),
    "500, and it was created": ([BUSY], [None, HANDLE], 1),
    "nothing was sent": ([UNSENT, HANDLE], [None], 2),
    "too many requests": ([LIMITED, LIMITED, HANDLE], [None], 3),
}


@pytest.mark.parametrize("case", CREATIONS)
def test_a_job_is_created_once(case):
    creations, finds, count = CREATIONS[case]
    provider, clock = Scripted(creations=creations, finds=finds), Clock()
    assert creation.create_once(provider, Job(), Package("r", False, {}), retry(clock)) == HANDLE
    assert [what for what, *_ in provider.asked].count("create") == count


@pytest.mark.parametrize("error", [AWAY, BUSY], ids=str)
def test_what_may_have_been_created_is_not_sent_again(error):
    provider = Scripted(creations=[error], finds=[None])
    with pytest.raises(NoAnswer, match="no job of that name appeared"):
        creation.create_once(provider, Job(name="n"), Package("r", False, {}), retry(Clock()))
    assert [what for what, *_ in provider.asked].count("create") == 1


def test_a_refusal_is_final():
    provider = Scripted(creations=[TAKEN], finds=[HANDLE])
    with pytest.raises(Refused, match="2751"):
        creation.create_once(provider, Job(), Package("r", False, {}), retry(Clock()))
    assert [what for what, *_ in provider.asked] == ["create"], "another one's job of that name is not ours"
