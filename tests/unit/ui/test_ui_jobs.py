"""Rehearsals on the first page of `mindlift ui`, and on pages of their own."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from mindlift.cloud.platforms.request import Request, State
from mindlift.cloud.providers.local.folder import JobFolder
from tests.support.desks import without_keys

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def rehearsal(tmp_path, monkeypatch) -> JobFolder:
    """A failed rehearsal, as its folder has it."""
    without_keys(monkeypatch)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MINDLIFT_REHEARSALS", str(tmp_path / "rehearsals"))
    job = JobFolder(tmp_path / "rehearsals/digits-1123")
    (job.root / "logs").mkdir(parents=True)
    request = Request(
        "modelarts-v2", "digits-1123", "obs://b/code/", "train.py", outputs=(("train_url", "obs://b/r/"),)
    )
    job.request_file.write_text(request.as_json())
    job.write_state(
        State("failed", f"rank 1: {HOSTILE}", time.time() - 90, time.time() - 60, time.time(), exit_code=1)
    )
    job.log(0).write_text(f"begun\n{HOSTILE}\n\x1b]0;title\x07end\n")
    return job


def within(seconds: float, found: Callable[[], bool]) -> None:
    deadline = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_jobs_are_listed_with_what_they_failed_with(serve, rehearsal, tmp_path):
    (tmp_path / "runs").mkdir()
    asked = serve(tmp_path / "runs", ("modelarts", "openi", "local"))
    jobs = lambda: asked.get("list.json").json["parts"]["jobs"]  # noqa: E731
    wanted = ("local://digits-1123", "no token for OpenI", "<b>modelarts</b>: ")
    within(60, lambda: all(text in jobs() for text in wanted))
    page = jobs()
    assert "failed" in page
    assert "&lt;script&gt;alert(1)" in page
    assert HOSTILE not in page
    assert "Providers without keys" in page


def test_a_job_has_a_page_and_a_log(serve, rehearsal, tmp_path, monkeypatch):
    monkeypatch.setattr("mindlift.ui.jobs.sources.of_job", lambda handle, scratch: no_run())
    asked = serve(tmp_path, ("local",))
    name = f"of={quote(f'local://{rehearsal.id}', safe='')}"
    page = asked.get(f"show?{name}")
    assert page.status == 200
    assert HOSTILE not in page.text
    assert "digits-1123" in page.text
    found = asked.get(f"log.json?{name}&part=0").json
    assert found["lines"] == ["begun", HOSTILE, "\\x1b]0;title\\x07end"]
    rehearsal.log(0).write_text(rehearsal.log(0).read_text() + "more\n")
    time.sleep(1.1)  # a log is asked for once a second
    assert asked.get(f"log.json?{name}&part=0&after={found['next']}").json["lines"] == ["more"]
    within(5, lambda: "holds nothing" in asked.get(f"show.json?{name}").json["parts"]["head"])


def no_run() -> Path:
    from mindlift.errors import DataError

    raise DataError("obs://b/r/ holds nothing yet")


def test_a_job_that_is_not_there_is_one_line(serve, rehearsal, tmp_path):
    asked = serve(tmp_path, ("local",))
    for handle in ("local://nobody", "local://..", "openi://a/b/c"):
        found = asked.get(f"show?of={quote(handle, safe='')}")
        assert found.status == 404
        assert "all runs" in found.text
