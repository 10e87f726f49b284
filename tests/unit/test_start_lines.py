"""A start says what is going on wherever it takes long."""

from __future__ import annotations

import time

import pytest

from mindlift import silence
from mindlift.api import job
from mindlift.api.job import Job
from mindlift.model_utils.config.config import load
from mindlift.model_utils.ranks import Ranks


@pytest.fixture
def slow(monkeypatch):
    """A start whose parts take longer than nothing may be said."""
    monkeypatch.setattr(silence, "LIMIT_S", 0.05)
    monkeypatch.setattr(job.mindspore_build, "load", lambda: time.sleep(0.5))
    monkeypatch.setattr(job.device_adapter, "connect", lambda *_: None)
    monkeypatch.setattr(Job, "kernels", lambda _: time.sleep(0.5) or "")


def connect(rank: int, size: int) -> None:
    cfg = load(["--net", "densenet22", "--dataset", "digits"], prog="train.py")
    Job(cfg, Ranks(rank, size), "CPU", 1, None, trains=True).connect()


def test_what_takes_long_is_named(slow, capsys):
    connect(0, 1)
    said = capsys.readouterr().out
    assert "loading MindSpore, 0 s so far" in said
    assert "compiling the kernels for this CPU, 0 s so far" in said
    assert "ranks" not in said


def test_that_ranks_are_waited_for_is_said_before(slow, capsys):
    """MindSpore waits with the interpreter's lock, so no thread could say it meanwhile."""
    connect(0, 2)
    assert "waiting for all 2 ranks (--join_timeout)\n" in capsys.readouterr().out
    connect(1, 2)
    assert capsys.readouterr().out == ""
