"""The publisher by itself: what is said, what is deleted when, and files that can't be published at all."""

from __future__ import annotations

import os
import time

import pytest

from mindlift.model_utils.staging.lease import Lease
from mindlift.model_utils.staging.node_gate import Process
from mindlift.program.publishing.closes import Closes
from mindlift.program.publishing.deletions import Deletions
from mindlift.program.publishing.publisher import Publisher, Rules
from mindlift.program.publishing.reporter import Reporter
from mindlift.program.publishing.restore import Restored
from mindlift.program.publishing.state import State, here
from tests.support.home import wait_for
from tests.support.transfers import Bucket


@pytest.mark.parametrize(
    ("waiting", "arrives", "here", "due"),
    [
        ([], [], ["new"], ["old"]),
        (["new"], [], ["new"], []),
        (["new"], ["new"], ["new"], ["old"]),
        (["new", "tmp"], ["new"], ["new", "tmp"], []),
        (["new", "tmp"], ["new"], ["new"], ["old"]),  # what is gone can't arrive
        (["x.log"], [], ["x.log"], ["old"]),
    ],
)
def test_a_deletion_waits_for_what_was_here(waiting, arrives, here, due):
    deletions = Deletions()
    deletions.notice(["old"], ["new", "tmp", "x.log"], waiting)
    for name in arrives:
        deletions.arrived(name)
    deletions.notice(["old"], here, ["later"])  # what comes after it does not hold it up
    assert deletions.due(here, lambda name: name.endswith(".log")) == due


def test_a_file_that_is_here_again_is_not_deleted():
    deletions = Deletions()
    deletions.notice(["old"], [], [])
    deletions.notice(["old"], ["old"], ["old"])
    assert deletions.due(["old"], lambda name: False) == []


def test_a_line_a_minute_and_one_for_each_turn():
    said: list[str] = []
    now = [0.0]
    reporter = Reporter("obs://bk/x", said.append, clock=lambda: now[0])
    for second in range(130):
        now[0] = second
        reporter.published(1_000_000)
        reporter.say_so()
    assert said == [
        "published 61 files, 61.0 MB, to obs://bk/x",
        "published 60 files, 60.0 MB, to obs://bk/x",
    ]
    for _ in range(3):
        reporter.failed(OSError("away"))
    reporter.published(1)
    assert said[2:] == [
        "warning: could not publish to obs://bk/x, will try again: away",
        "publishing to obs://bk/x works again",
    ]
    reporter.deleted = 2
    assert (
        reporter.summary()
        == "published 131 files, 130.0 MB, to obs://bk/x; deleted 2 that the program has deleted"
    )


@pytest.fixture
def published(minio, bucket, url, tmp_path):
    """A publisher of the folder `out`, and its bucket."""
    store = Bucket(minio, bucket)
    (tmp_path / "out").mkdir()
    said: list[str] = []
    state = State(tmp_path / "cache", tmp_path / "out", store.url("run/"))
    lease = Lease(store.url("run/"), said.append)
    found = Publisher(tmp_path / "out", lease, Rules(0.4), Restored(), state, said.append)
    found.prepare()
    return found, store


def test_a_file_that_can_not_be_published_does_not_hold_up_the_end(published, tmp_path):
    publisher, store = published
    publisher.start(os.getpid(), lambda: True)
    for name in (b"good", b"not \xff text", b"good too"):
        (tmp_path / "out" / os.fsdecode(name)).write_text("x")
    publisher.end(ended_well=True)
    missing = publisher.close(lambda: float("inf"))
    assert missing == [os.fsdecode(b"not \xff text")]
    assert store.content("run/") == {"good": b"x", "good too": b"x"}


def test_thousands_of_files_at_the_end(published, tmp_path):
    publisher, store = published
    publisher.start(os.getpid(), lambda: True)
    for number in range(2000):
        (tmp_path / "out" / f"{number}.txt").write_text(str(number))
    publisher.end(ended_well=True)
    assert publisher.close(lambda: float("inf")) == []
    found = store.client.get_paginator("list_objects_v2").paginate(Bucket=store.name, Prefix="run/")
    assert sum(len(page["Contents"]) for page in found) == 2000
    assert publisher.reporter.files == 2000


def test_what_is_known_is_on_the_disk(published, tmp_path):
    publisher, _ = published
    publisher.start(os.getpid(), lambda: True)
    (tmp_path / "out/a").write_text("x")
    wait_for(lambda: publisher.state.published(), 20)
    program = publisher.state.program()
    publisher.end(ended_well=True)
    publisher.close(lambda: float("inf"))
    assert sorted(publisher.state.published()) == ["a"]
    assert program == Process.of(os.getpid())
    assert here(program)
    assert not here(None)


def test_a_close_is_told_at_once_also_in_new_folders(tmp_path):
    told: list[str] = []
    closes = Closes(tmp_path, told.append)
    closes.start()
    (tmp_path / "a").write_text("x")
    (tmp_path / "d/e").mkdir(parents=True)
    time.sleep(0.2)
    (tmp_path / "d/e/b").write_text("x")
    os.replace(tmp_path / "d/e/b", tmp_path / "d/c")
    closes.drain()
    wait_for(lambda: len(told) == 3, 10)
    assert [os.path.relpath(path, tmp_path) for path in told] == ["a", "d/e/b", "d/c"]
