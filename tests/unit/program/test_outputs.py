"""Outputs before a MinIO: what is restored, who may publish, what an uploaded file is."""

from __future__ import annotations

import os
import time

import pytest

from mindlift.errors import TransferError
from mindlift.model_utils.staging import lease as leases
from mindlift.program.publishing.folder import Stamp, scan
from mindlift.program.publishing.restore import Nodes, choose, restore
from mindlift.program.publishing.state import State
from mindlift.program.publishing.uploads import Uploads, job_of, whole_lines
from mindlift.storage.copying import upload
from mindlift.storage.copying.engine import Failure
from mindlift.storage.copying.plan import Known
from mindlift.storage.places import locate
from mindlift.storage.store import Entry
from tests.support.transfers import Bucket

HERE = Stamp(10, 5_000, 6_000, 1, 1)
NEWER, OLDER = Entry("f", 10, "e1", 9_000), Entry("f", 10, "e1", 1_000)


@pytest.mark.parametrize(
    ("there", "known", "chosen"),
    [
        (NEWER, Known(Entry("f", 10, modified_ns=5_000), Entry("f", 10, "e1")), "same"),
        (NEWER, Known(Entry("f", 10, modified_ns=4_000), Entry("f", 10, "e1")), "publish"),  # written since
        (
            NEWER,
            Known(Entry("f", 10, modified_ns=5_000), Entry("f", 10, "e0")),
            "fetch",
        ),  # by another machine
        (
            NEWER,
            Known(Entry("f", 10, modified_ns=4_000), Entry("f", 10, "e0")),
            "fetch",
        ),  # both: the newer one
        (OLDER, Known(Entry("f", 10, modified_ns=4_000), Entry("f", 10, "e0")), "publish"),
        (NEWER, None, "fetch"),
        (OLDER, None, "publish"),
        (Entry("f", 10, "", 5_000), None, "same"),  # of its size and time, as a copy sets it
        (Entry("f", 10, "d41d8cd98f00b204e9800998ecf8427e", 9_000), None, "same"),  # of its content
    ],
)
def test_which_of_two_files_counts(tmp_path, there, known, chosen):
    (tmp_path / "f").write_bytes(b"")
    assert choose(tmp_path / "f", HERE, there, known) == chosen


@pytest.fixture
def store(minio, bucket, url) -> Bucket:
    return Bucket(minio, bucket)


def state(tmp_path, store) -> State:
    return State(tmp_path / "cache", tmp_path / "out", store.url("run/"))


def restored(tmp_path, store, nodes=None):
    nodes = nodes or Nodes()
    return restore(tmp_path / "out", store.url("run/"), nodes, state(tmp_path, store), lambda line: None)


def test_an_empty_disk_gets_what_the_bucket_has(store, tmp_path):
    store.put({"run/a": b"1", "run/d/b": b"22", f"run/{leases.NAME}": b"{}", "run/node-1/c": b"3"})
    found = restored(tmp_path, store, Nodes(0, 2))
    assert {name: (tmp_path / "out" / name).read_bytes() for name in scan(tmp_path / "out")} == {
        "a": b"1",
        "d/b": b"22",
    }
    assert (found.files, found.size, found.unfinished) == (2, 3, {})
    assert restored(tmp_path, store, Nodes(0, 2)).files == 0


def test_another_node_begins_with_the_first_ones_files(store, tmp_path):
    """A checkpoint that rank 0 has saved is loaded by all ranks."""
    store.put({"run/a": b"1", "run/b": b"2", "run/node-1/b": b"mine", "run/node-2/b": b"other"})
    found = restored(tmp_path, store, Nodes(1, 3))
    out = tmp_path / "out"
    assert {name: (out / name).read_bytes() for name in scan(out)} == {"a": b"1", "b": b"mine"}
    assert sorted(found.published) == ["a", "b"]
    assert Nodes(1, 3).url("obs://bk/x/") == "obs://bk/x/node-1/"


def test_what_is_newer_here_stays_and_what_is_missing_comes(store, tmp_path):
    store.put({"run/a": b"old", "run/b": b"b"})
    out = tmp_path / "out"
    out.mkdir()
    (out / "a").write_bytes(b"newer")
    os.utime(out / "a", (time.time() + 60, time.time() + 60))
    found = restored(tmp_path, store)
    assert (out / "a").read_bytes() == b"newer"
    assert sorted(found.published) == ["b"]


def test_files_that_a_kill_may_have_torn_are_told_apart(store, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    for name in ("published", "complete", "torn", "renamed.tmp"):
        (out / name).write_bytes(name.encode())
    time.sleep(0.02)
    os.replace(out / "renamed.tmp", out / "renamed")
    files = scan(out)
    assert restored(tmp_path, store).unfinished == {}  # no run was here before: they are the user's
    known = Known(
        Entry("published", 9, modified_ns=files["published"].modified_ns), Entry("published", 9, "e")
    )
    state(tmp_path, store).write({"published": known}, {"complete": files["complete"].content}, 0)
    assert sorted(restored(tmp_path, store).unfinished) == ["torn"]


def test_a_damaged_state_is_none(store, tmp_path):
    found = state(tmp_path, store)
    found.write({}, {}, 0)
    found.complete_file.write_text("{")
    assert (found.complete(), found.program()) == ({}, None)


# uploads


def uploaded(store, root, entries, grows=lambda name: False):
    target, key = locate(store.url("run/"))
    return list(Uploads(job_of(root, target, key), grows).run(entries))


def entry(root, name):
    found = scan(root)[name]
    return Entry(name, found.size, modified_ns=found.modified_ns)


@pytest.mark.parametrize("size", [10, 7 << 20])
def test_only_the_file_that_was_found_complete_is_uploaded(store, tmp_path, monkeypatch, size):
    monkeypatch.setattr("mindlift.program.publishing.uploads.MULTIPART_FROM", 5 << 20)
    monkeypatch.setattr(upload, "MULTIPART_FROM", 5 << 20)
    (tmp_path / "f").write_bytes(bytes(size))
    found = entry(tmp_path, "f")
    (outcome,) = uploaded(store, tmp_path, [found])
    assert outcome.source == found
    with open(tmp_path / "f", "r+b") as file:
        file.write(b"changed")  # of the same size, and half of it
    (outcome,) = uploaded(store, tmp_path, [found])
    assert isinstance(outcome, Failure)
    assert isinstance(outcome.error, TransferError)
    assert store.content("run/")["f"] == bytes(size)


def test_logs_are_uploaded_by_whole_lines(store, tmp_path):
    (tmp_path / "t.log").write_bytes(b"one\ntw")
    (outcome,) = uploaded(store, tmp_path, [entry(tmp_path, "t.log")], grows=lambda name: True)
    assert outcome.source.size == 4
    assert store.content("run/") == {"t.log": b"one\n"}
    assert whole_lines(b"\0binary\nrest") == b"\0binary\nrest"
