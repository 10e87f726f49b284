"""The same command again: where it continues, what it says where it does not, and whose run is fetched then."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from mindlift.cloud.providers.local.client import BUCKET
from tests.support.home import wait_for
from tests.support.servers import s3_client

HERE = ["--provider", "local", "--allow_dirty", "true"]
LONG = [
    "--net",
    "densenet22",
    "--dataset",
    "digits",
    "--recipe",
    "max_epoch=400",
    "ckpt_interval=2",
    "log_interval=1",
]


def stopped(home, handle: str) -> None:
    """Cancel a job that has saved something, and wait for its end."""
    folder = home.job(handle)
    wait_for(lambda: sum(line.startswith("epoch ") for line in folder.log_lines(0)) > 3)
    done = home.run("cancel", handle, "--wait")
    assert done.code == 0, done.err
    assert "job stopped" in done.err
    assert home.status(handle)["phase"] == "stopped"


@pytest.mark.heavy
def test_a_job_without_a_place_continues_in_that_of_the_one_before(home, few_digits):
    with contextlib.suppress(ClientError):  # a test before has made it
        s3_client(home.store).create_bucket(Bucket=BUCKET)
    words = [*HERE, "--data_url", few_digits, *LONG]
    first = home.run("submit", *words)
    assert first.code == 0, first.err
    assert "the same command" not in first.err
    one = first.out.strip()
    place = f"obs://{BUCKET}/runs/{one.partition('://')[2]}/"
    running = home.run("plan", *words)
    assert f"starts anew: {one}, the same command, has not ended: it is " in running.err
    stopped(home, one)
    assert f"continues {one}, the same command, which has stopped: {place}" in home.run("plan", *words).err
    again = home.run("submit", *words)
    assert again.code == 0, again.err
    assert f"continues {one}, the same command, which has stopped: {place}" in again.err
    two = again.out.strip()
    folder = home.job(two)
    wait_for(lambda: any(line.startswith("continuing from ") for line in folder.log_lines(0)))
    wait_for(lambda: sum(line.startswith("epoch ") for line in folder.log_lines(0)) > 3)
    shown = {row["handle"]: row for row in json.loads(home.run("top", "--once", "--json").out)}
    assert shown[two]["step"] > 2
    stopped(home, two)
    fetched = home.run("fetch", two, "--out", home.folder / "fetched")
    assert fetched.code == 0, fetched.err
    events = [
        json.loads(line) for line in (Path(fetched.out.strip()) / "metrics.jsonl").read_text().splitlines()
    ]
    assert [line["event"] for line in events if "event" in line] == [
        "start",
        "stopped",
        "continued",
        "stopped",
    ]
    assert home.run("submit", *words, "--name", "other").code == 0, "another name is the same command"
    stopped(home, "local://other")
    third = home.run("submit", *words, "--name", "other")
    assert third.out.strip() == "local://other-2", "a name is given once"
    assert home.run("cancel", "local://other-2", "--wait").code == 0


@pytest.mark.heavy
def test_a_job_that_continues_an_older_run_shows_that_one(home, few_digits):
    """Another job has left a newer run in the same place."""
    words = ["--data_url", few_digits, *LONG]
    first = home.submit(*words)
    stopped(home, first)
    other = home.run("submit", *home.common, *words, "lr=0.05", "max_steps=3")
    assert home.run("wait", other.out.strip()).code == 0
    assert "a new run begins: " in home.run("logs", other.out.strip()).out
    assert " was made with lr 0.1 (now 0.05)" in home.run("logs", other.out.strip()).out
    again = home.submit(*words)
    folder = home.job(again)
    wait_for(lambda: any(line.startswith("continuing from ") for line in folder.log_lines(0)))
    stopped(home, again)
    names = {}
    for handle in (first, other.out.strip(), again):
        done = home.run("fetch", handle, "--none", "--out", home.folder / handle.rpartition("/")[2])
        assert done.code == 0, done.err
        assert "2 runs in " in done.err
        assert ", that of this job" in done.err
        names[handle] = Path(done.out.strip()).name
    assert names[again] == names[first] != names[other.out.strip()]
    assert max(names.values()) == names[other.out.strip()], "the newest is another job's"
