"""Many files are copied by worker processes, which may be killed."""

from __future__ import annotations

import os
import signal

from mindlift.storage.copying import engine
from mindlift.storage.copying.copy import copy_tree
from tests.support.transfers import content, write

CROWD = {f"{number % 20:02}/{number:04}.txt": b"%d" % number for number in range(1200)}


def test_a_crowd_is_copied_by_worker_processes(store, tmp_path, monkeypatch):
    started: list[int] = []
    monkeypatch.setattr(engine.Worker, "feed", counted(engine.Worker.feed, started))
    write(tmp_path / "from", CROWD)
    assert copy_tree(str(tmp_path / "from"), store.url("p"), processes=2).done == 1200
    assert copy_tree(store.url("p"), str(tmp_path / "to"), processes=2).done == 1200
    assert content(tmp_path / "to") == CROWD
    assert len(set(started)) == 4, "two processes each way"
    copy_tree(store.url("p"), store.url("q"), file_list=["00", "01", "00/0000.txt"], processes=False)
    assert len(store.content("q/")) == 120
    assert len(set(started)) == 4


def counted(feed, started: list[int]):
    def wrapper(self, entries) -> None:
        started.append(self.process.pid)
        feed(self, entries)

    return wrapper


def test_a_worker_that_is_killed_is_made_up_for(store, tmp_path, monkeypatch):
    write(tmp_path / "from", CROWD)
    receive, killed = engine.Worker.receive, []

    def kill_first(self, progress):
        if not killed:
            killed.append(self.process.pid)
            os.kill(self.process.pid, signal.SIGKILL)
        yield from receive(self, progress)

    monkeypatch.setattr(engine.Worker, "receive", kill_first)
    assert copy_tree(str(tmp_path / "from"), str(tmp_path / "to"), processes=2).done == 1200
    assert killed
    assert content(tmp_path / "to") == CROWD


def test_all_workers_killed(tmp_path, monkeypatch):
    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        raise EOFError

    monkeypatch.setattr(engine.Worker, "receive", lambda self, _: kill(self) or iter(()))
    write(tmp_path / "from", CROWD)
    assert copy_tree(str(tmp_path / "from"), str(tmp_path / "to"), processes=2).done == 1200
    assert content(tmp_path / "to") == CROWD
