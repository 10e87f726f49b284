"""A job that is submitted again continues where the one before it has left off, or says why it does not."""

from __future__ import annotations

import pytest

from mindlift.cloud.errors import Answer, NoAnswer, NoSuchJob
from mindlift.cloud.handle import Handle
from mindlift.cloud.job import Job
from mindlift.cloud.job_file import read
from mindlift.cloud.prepare import earlier
from mindlift.cloud.prepare.earlier import Earlier, decided, key, renamed
from mindlift.cloud.providers.base import Status
from mindlift.cloud.states import Phase

ENDED = {Phase.FAILED: "has failed", Phase.STOPPED: "was stopped"}
BEFORE = Handle("local", ("densenet22-digits-1128-010203",))
PLACE = "obs://mindlift/runs/densenet22-digits-1128-010203/"


def job(now: str = "1128-020304", **flags: object) -> Job:
    given = {"net": "densenet22", "dataset": "digits", **flags}
    found = read("", given, now)
    return found.replace(train_url=found.train_url or f"obs://mindlift/runs/{found.name}/")


def program(now: str = "1128-020304", **more: object) -> Job:
    found = read(
        "", {"code": "/somewhere/mine", "boot_file": "train.py", "outputs": ["out=obs://buck/"], **more}, now
    )
    return found.replace(outputs={"out": f"obs://buck/runs/{found.name}/out/"})


def status(phase: Phase) -> Status:
    return Status(BEFORE, BEFORE.id, phase, phase.value)


@pytest.mark.parametrize("phase", [Phase.FAILED, Phase.STOPPED])
def test_one_that_has_not_succeeded_is_continued(phase):
    found, says = decided(job(), Earlier(BEFORE, BEFORE.id, {"train_url": PLACE}), status(phase))
    assert found == job().replace(train_url=PLACE)
    assert says == f"continues {BEFORE}, the same command, which {ENDED[phase]}: {PLACE}"


@pytest.mark.parametrize(
    ("asked", "outputs", "phase", "says"),
    [
        (job(), {"train_url": PLACE}, Phase.SUCCEEDED, "has succeeded"),
        (job(), {"train_url": PLACE}, Phase.RUNNING, "has not ended: it is running"),
        (job(), {"train_url": PLACE}, Phase.UNKNOWN, "has not ended: it is unknown"),
        (
            job(provider="openi"),
            {},
            Phase.FAILED,
            "has failed, and openi keeps the results of each job apart",
        ),
        (program(), {"out": PLACE}, Phase.FAILED, "has failed, and a program without keep restores nothing"),
    ],
)
def test_others_start_anew_and_say_why(asked, outputs, phase, says):
    found, line = decided(asked, Earlier(BEFORE, BEFORE.id, outputs), status(phase))
    assert found == asked
    assert line == f"starts anew: {BEFORE}, the same command, {says}"


def test_a_program_that_keeps_its_outputs_is_continued():
    found, says = decided(
        program(keep="true"), Earlier(BEFORE, BEFORE.id, {"out": PLACE}), status(Phase.FAILED)
    )
    assert found.outputs == {"out": PLACE}
    assert says.startswith("continues ")


def test_jobs_of_one_command_have_one_key():
    same = [
        job("1128-020304"),
        job("1129-101010"),
        job(allow_dirty="true"),
        job(description="x"),
        job(max_cost="3"),
    ]
    assert len({key(each) for each in same}) == 1
    assert key(job(name="a")) == key(job(name="b"))
    others = [
        job(recipe=["lr=0.2"]),
        job(cards="2"),
        job(data_url="obs://buck/d/"),
        job(train_url="obs://buck/r/"),
        program(),
    ]
    assert len({key(each) for each in [job(), *others]}) == 1 + len(others)


@pytest.mark.parametrize(
    ("name", "before", "expected"),
    [
        ("run", "run", "run-2"),
        ("run", "run-2", "run-3"),
        ("run", "run-9", "run-10"),
        ("run", "other", "run"),
        ("a" * 64, "a" * 64, "a" * 62 + "-2"),
    ],
)
def test_a_name_of_the_users_gets_a_number(name, before, expected):
    asked = job(name=name, train_url="obs://buck/r/")
    found = renamed(asked, before)
    assert found.name == expected
    assert found.log_url == f"obs://buck/logs/{expected}/"
    assert renamed(job(name=name, log_url="obs://buck/mine/"), before).log_url == "obs://buck/mine/"


class Provider:
    """Says one thing of any job."""

    def __init__(self, found: Status | Exception):
        self.found = found

    def show(self, handle: Handle) -> Status:
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


def test_what_was_submitted_is_remembered(tmp_path):
    asked, said = job(), []
    assert earlier.continued(asked, Provider(AssertionError()), said.append, tmp_path) == asked
    earlier.remember(asked, asked.replace(train_url=PLACE), BEFORE, tmp_path)
    again = job("1130-111111")
    found = earlier.continued(again, Provider(status(Phase.FAILED)), said.append, tmp_path)
    assert found == again.replace(train_url=PLACE)
    assert said == [f"continues {BEFORE}, the same command, which has failed: {PLACE}"]


def test_a_job_that_is_gone(tmp_path):
    asked, said = job(), []
    earlier.remember(asked, asked, BEFORE, tmp_path)
    gone = NoSuchJob(Answer("the rehearsal", "show", "404", "no job"))
    assert earlier.continued(asked, Provider(gone), said.append, tmp_path) == asked
    assert said == [f"starts anew: {BEFORE}, the same command, is gone"]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"handle": "x", "name": "y", "outputs": {}}', '{"outputs": 1}']
)
def test_a_note_that_can_not_be_read_is_none(tmp_path, text):
    (tmp_path / f"{key(job())}.json").write_text(text)
    assert earlier.recall(job(), tmp_path) is None


def test_a_service_that_does_not_answer(tmp_path, monkeypatch):
    asked, said = job(), []
    earlier.remember(asked, asked, BEFORE, tmp_path)
    monkeypatch.setattr(
        earlier, "RetryPolicy", lambda say: type("Once", (), {"call": lambda self, body: body()})()
    )
    assert earlier.continued(asked, Provider(NoAnswer("no network")), said.append, tmp_path) == asked
    assert said == [f"whether this continues {BEFORE}, the same command, is not known: no network"]
