"""Who may write to a place in a bucket: leases before a MinIO, and before one that passes over conditions, as OBS does."""

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
from mindlift.storage.places import locate
from mindlift.storage.s3.http_plane import HttpPlane
from tests.support.transfers import Bucket


@pytest.fixture(params=["heeds conditions", "passes over them"])
def store(minio, bucket, url, request, monkeypatch) -> Bucket:
    if request.param == "passes over them":
        put = HttpPlane.put
        monkeypatch.setattr(
            HttpPlane, "put", lambda self, *words, conditions=None, **more: put(self, *words, **more)
        )
    return Bucket(minio, bucket)


class Clock:
    """`sleep` of a lease: counts the seconds, and does something in between, or while what was written settles."""

    def __init__(self, meanwhile=lambda: None, settle=lambda: None):
        self.waited, self.meanwhile, self.settle = 0.0, meanwhile, settle

    def __call__(self, seconds):
        if seconds == leases.SETTLE_S:
            return self.settle()
        self.waited += seconds
        return self.meanwhile()


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


def test_of_many_that_want_a_place_one_gets_it(store, monkeypatch):
    taken(store)
    monkeypatch.setattr(leases, "STALE_S", 0.0)
    barrier = threading.Barrier(6)

    class AtOnce(Lease):
        def wait_until_free(self):
            held = super().wait_until_free()
            barrier.wait()
            return held

    def wants(_):
        made = AtOnce(store.url("run/"), lambda line: None, Clock(settle=lambda: time.sleep(2.0)))
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


def test_one_that_wakes_up_in_the_middle_of_a_write_does_not_get_the_place_back(store):
    """Where a store has no conditions: it had looked, and then slept while another one took the place."""
    first = taken(store)
    second = taken(store)
    if second.store.is_conditional:
        pytest.skip("the store refuses that write")
    first.entry = first.store.write(
        first.key, json.dumps({**record(store), "id": first.id, "generation": 1}).encode()
    )
    second.check()
    assert (record(store)["id"], record(store)["generation"]) == (second.id, 2)
    with pytest.raises(LeaseLost):
        first.check()
    second.check()


def test_a_store_that_passes_over_conditions_is_found_out(store, request):
    heeds = "heeds conditions" in request.node.callspec.id
    assert taken(store).store.is_conditional is heeds
    client = locate(store.url("run/"))[0]
    assert client.is_conditional is heeds, "for manifests too"
    one = client.write_if("f", b"one", None)
    assert client.write_if("f", b"two", None) is None
    client.write("f", b"three")
    assert client.write_if("f", b"four", one) is None


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b"\xff", b'{"process": 5, "generation": "x"}'])
def test_a_damaged_lease_is_of_an_unknown_process(store, text):
    store.put({f"run/{leases.NAME}": text})
    clock = Clock()
    second = Lease(store.url("run/"), lambda line: None, clock)
    second.take()
    assert leases.STALE_S - 5 < clock.waited <= leases.STALE_S
    assert record(store)["id"] == second.id
