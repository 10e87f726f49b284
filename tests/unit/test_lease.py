"""Who may write to a place in a bucket: leases before a MinIO."""

from __future__ import annotations

import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from mindlift.errors import ConfigError
from mindlift.model_utils.staging import lease as leases
from mindlift.model_utils.staging.lease import Lease, LeaseLost
from tests.support.transfers import Bucket


@pytest.fixture
def store(minio, bucket, url) -> Bucket:
    return Bucket(minio, bucket)


class Clock:
    """`sleep` of a lease: counts the seconds, and does something in between."""

    def __init__(self, meanwhile=lambda: None):
        self.waited, self.meanwhile = 0.0, meanwhile

    def __call__(self, seconds):
        self.waited += seconds
        self.meanwhile()


def record(store: Bucket) -> dict:
    return json.loads(store.content("run/")[leases.NAME])


def taken(store: Bucket, **more) -> Lease:
    made = Lease(store.url("run/"), lambda line: None, Clock(), **more)
    made.take()
    return made


def test_a_second_run_to_one_place_is_refused(store):
    said: list[str] = []
    first = taken(store)
    second = Lease(store.url("run/"), said.append, Clock(first.renew))
    with pytest.raises(
        ConfigError, match=rf"is the output of a run that is going on \(process {os.getpid()} on "
    ):
        second.take()
    second.release()
    assert store.content("run/")
    first.release()
    assert store.content("run/") == {}


def test_a_run_that_is_leaving_is_waited_for(store):
    """After SIGTERM a job publishes the rest, renewing its lease, and gives it back."""
    first = taken(store)
    steps = iter([first.renew, first.renew, first.release])
    second = Lease(store.url("run/"), lambda line: None, Clock(lambda: next(steps)()))
    second.take()
    assert record(store)["id"] == second.id


def test_a_run_that_is_silent_is_followed_after_a_while(store):
    taken(store)
    said: list[str] = []
    clock = Clock()
    second = Lease(store.url("run/"), said.append, clock)
    second.take()
    assert leases.STALE_S - 5 < clock.waited <= leases.STALE_S
    assert [line.partition(" ")[0] for line in said] == [store.url("run/"), "taking"]
    assert (record(store)["id"], record(store)["generation"]) == (second.id, 2)


def test_silence_counts_from_the_last_renewal_by_the_clock_of_the_store(store, monkeypatch):
    """A job that is started again later than STALE_S after its death does not wait at all."""
    monkeypatch.setattr(leases, "STALE_S", 1.0)
    taken(store)
    time.sleep(2.1)
    clock = Clock()
    Lease(store.url("run/"), lambda line: None, clock).take()
    assert clock.waited == 0


def test_a_process_of_this_machine_that_has_ended_is_followed_at_once(store):
    taken(store)
    changed = record(store)
    changed["process"]["start"] += 1  # its number belongs to a later process now
    store.put({f"run/{leases.NAME}": json.dumps(changed).encode()})
    clock = Clock()
    Lease(store.url("run/"), lambda line: None, clock).take()
    assert clock.waited == 0


def test_of_many_that_want_a_place_one_gets_it(store):
    taken(store)
    barrier = threading.Barrier(6)

    class AtOnce(Lease):
        def wait_until_free(self):
            held = super().wait_until_free()
            barrier.wait()
            return held

    def wants(_):
        made = AtOnce(store.url("run/"), lambda line: None, Clock())
        try:
            made.take()
        except ConfigError:
            return None
        return made

    with ThreadPoolExecutor(6) as pool:
        found = [each for each in pool.map(wants, range(6)) if each]
    assert [each.id for each in found] == [record(store)["id"]]


def test_a_run_that_was_taken_over_notices(store, monkeypatch):
    monkeypatch.setattr(leases, "RENEW_S", 0.05)
    lost, said = threading.Event(), []
    first = Lease(store.url("run/"), said.append, Clock(), lost.set)
    first.take()
    second = taken(store)
    first.keep()
    assert lost.wait(20)
    assert "has been taken over by process" in said[-1]
    with pytest.raises(LeaseLost, match=f"taken over by process {os.getpid()} on "):
        first.check()
    first.release()
    assert record(store)["id"] == second.id


def test_a_run_that_slept_finds_out_before_it_writes(store, monkeypatch):
    """It was stopped; another one took the place, ended, and gave it back."""
    first = taken(store)
    monkeypatch.setattr(leases, "STALE_S", 0.5)
    taken(store).release()
    time.sleep(0.6)
    with pytest.raises(LeaseLost):
        first.check()


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b"\xff", b'{"process": 5, "generation": "x"}'])
def test_a_damaged_lease_is_of_an_unknown_process(store, text):
    store.put({f"run/{leases.NAME}": text})
    clock = Clock()
    second = Lease(store.url("run/"), lambda line: None, clock)
    second.take()
    assert leases.STALE_S - 5 < clock.waited <= leases.STALE_S
    assert record(store)["id"] == second.id
