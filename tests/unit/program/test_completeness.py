"""The rule by which a file is complete, as a table; and that files behave as the rule supposes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from mindlift.program.publishing.completeness import Completeness, grows
from mindlift.program.publishing.folder import Stamp, runs, scan, writers
from tests.support.home import wait_for

WRITTEN = Stamp(10, 1000, 1000, 1, 7)
RENAMED = Stamp(10, 1000, 2000, 1, 7)
LATER = Stamp(20, 3000, 3000, 1, 7)
OPEN = {(1, 7): {42}}


class Looks:
    """What was seen at each second of a file `f`; `end` says how the program ended."""

    def __init__(self, unfinished=None):
        self.now = 0.0
        self.rule = Completeness(10.0, unfinished or {}, clock=lambda: self.now)

    def look(self, stamp, writers, is_alive=True, gone=()):
        self.rule.look({"f": stamp}, writers, is_alive, lambda pid: pid not in gone)
        self.now += 1
        return self.rule.is_complete("f")

    def ends(self, how, stamp, writers=None):
        self.rule.end = how
        return self.look(stamp, writers or {}, is_alive=False)


def test_a_file_that_nobody_has_open_settles():
    looks = Looks()
    assert [looks.look(WRITTEN, {}) for _ in range(12)] == [False] * 9 + [True] * 3
    assert looks.look(LATER, {}) is False


def test_a_file_that_is_open_never_settles():
    looks = Looks()
    assert not any(looks.look(WRITTEN, OPEN) for _ in range(30))
    assert [looks.look(WRITTEN, {}) for _ in range(8)][-1] is False
    assert looks.look(WRITTEN, {}) is True


@pytest.mark.parametrize(("written", "complete"), [({}, True), (OPEN, False), (None, False)])
def test_a_renamed_file_is_complete_at_once_where_its_writers_can_be_seen(written, complete):
    assert Looks().look(RENAMED, written) is complete


def test_without_a_view_of_writers_files_settle():
    looks = Looks()
    assert [looks.look(RENAMED, None) for _ in range(10)] == [False] * 9 + [True]


@pytest.mark.parametrize(
    ("before", "last", "how", "complete"),
    [
        ({}, WRITTEN, "badly", True),  # seen closed while the program was alive
        (OPEN, WRITTEN, "badly", False),  # it was open when the program was last seen
        ({}, LATER, "badly", False),  # written after that
        ({}, RENAMED, "badly", True),
        (OPEN, WRITTEN, "well", True),
        ({}, LATER, "well", True),
    ],
)
def test_how_the_program_ended_decides_about_its_last_files(before, last, how, complete):
    looks = Looks()
    looks.look(WRITTEN, before)
    assert looks.ends(how, last) is complete


@pytest.mark.parametrize(("by_itself", "complete"), [(True, True), (False, False)])
def test_a_file_that_is_seen_closed_a_moment_after_the_end(by_itself, complete):
    """By an exit code the program has closed it, or its interpreter has; by a signal its death has."""
    looks = Looks()
    looks.rule.note_closed("f", WRITTEN, False)
    looks.rule.ended_by_itself = by_itself
    assert looks.ends("badly", WRITTEN) is complete


@pytest.mark.parametrize("by_itself", [True, False])
def test_a_file_that_was_open_and_is_seen_closed_after_the_end_is_held_back(by_itself):
    looks = Looks()
    looks.look(WRITTEN, OPEN)
    looks.rule.note_closed("f", WRITTEN, False)
    looks.rule.ended_by_itself = by_itself
    looks.rule.end = "badly"
    assert looks.rule.is_complete("f") is False


def test_a_look_during_which_the_program_ended_proves_nothing():
    looks = Looks()
    looks.look(WRITTEN, {}, is_alive=False)
    assert looks.ends("badly", WRITTEN) is False


def test_a_file_whose_writer_ended_with_it_is_held_back_until_all_is_well():
    looks = Looks()
    looks.look(WRITTEN, OPEN)
    assert not any(looks.look(WRITTEN, {}, gone={42}) for _ in range(30))
    assert looks.ends("badly", WRITTEN) is False
    assert looks.ends("well", WRITTEN) is True


def test_a_file_that_its_writer_has_closed_is_not_held_back():
    looks = Looks()
    looks.look(WRITTEN, OPEN)
    assert [looks.look(WRITTEN, {}) for _ in range(11)][-1] is True


def test_what_an_earlier_run_left_unfinished_waits_for_another_write():
    looks = Looks(unfinished={"f": WRITTEN.content})
    assert not any(looks.look(WRITTEN, {}) for _ in range(30))
    assert looks.ends("well", WRITTEN) is False
    assert looks.ends("well", LATER) is True


@pytest.mark.parametrize(
    ("name", "does"),
    [
        ("train.log", True),
        ("a/b/metrics.jsonl", True),
        ("events.out.tfevents.123.host", True),
        ("net.ckpt", False),
        ("log/net.ckpt", False),
    ],
)
def test_logs_grow(name, does):
    from mindlift.program.publishing.completeness import GROWING

    assert grows(name, GROWING) is does


# what the rule supposes of Linux


def test_writing_sets_both_times_and_renaming_one(tmp_path):
    (tmp_path / "part").write_bytes(b"x" * 1000)
    assert not scan(tmp_path)["part"].is_renamed
    time.sleep(0.02)  # the kernel's clock for files ticks every 4 ms or so
    os.replace(tmp_path / "part", tmp_path / "whole")
    assert scan(tmp_path)["whole"].is_renamed
    with open(tmp_path / "whole", "ab") as file:
        file.write(b"y")
    assert not scan(tmp_path)["whole"].is_renamed


def test_writers_are_seen_also_by_another_name_and_readers_are_not(tmp_path):
    path, link = tmp_path / "f", tmp_path / "link"
    path.write_bytes(b"1")
    link.symlink_to(path)
    for mode, is_writer in (("r", False), ("a", True), ("r+", True)):
        code = f"import time; f = open({str(link)!r}, {mode!r}); print(1, flush=True); time.sleep(60)"
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            found = writers() or {}
            assert (process.pid in found.get(scan(tmp_path)["f"].file, ())) is is_writer
            assert runs(process.pid)
            process.send_signal(signal.SIGKILL)
            wait_for(
                lambda process=process: not runs(process.pid), 10
            )  # a zombie, for nobody has waited for it
    assert not runs(process.pid)


def test_a_scan_leaves_out_folders_by_links_and_what_is_no_file(tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d/f").write_text("x")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "nothing").symlink_to("missing")
    (tmp_path / ".f.mindlift-1.part").write_text("x")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "same").symlink_to("d/f")
    assert sorted(scan(tmp_path)) == ["d/f", "same"]
