"""Whole copies against a real MinIO: in every direction, interrupted, killed, out of space, and again."""

from __future__ import annotations

import os

import pytest

from mindlift.errors import StorageError, TransferError
from mindlift.storage.copying import copy as transfer
from mindlift.storage.copying import download, upload
from mindlift.storage.copying.copy import copy_file, copy_tree
from mindlift.storage.copying.progress import Progress
from mindlift.storage.errors import MoxFileNotExistsException, MoxFileRespException
from mindlift.storage.places import set_auth
from mindlift.storage.s3.store import S3Store
from tests.support.faults import Fault
from tests.support.servers import LEAST_PART, MB
from tests.support.transfers import FILES, content, parts, write


def test_down(store, tmp_path):
    store.put(FILES, "p/")
    lines: list[str] = []
    report = copy_tree(store.url("p"), str(tmp_path / "to/here"), say=lines.append)
    assert content(tmp_path / "to/here") == FILES
    assert (report.expected, report.done, report.retries) == (len(FILES), len(FILES), 0)
    assert report.done_bytes == report.expected_bytes == sum(map(len, FILES.values()))
    assert len(lines) == 1
    assert lines[0].startswith(
        f"copied 6 of 6 files, 200.0 kB of 200.0 kB, {store.url('p')} -> {tmp_path / 'to/here'}: "
    )
    assert lines[0].endswith(" 0 retries")


def test_down_keeps_the_time_of_the_object(store, tmp_path):
    store.put({"f": b"x"})
    copy_tree(store.url(), str(tmp_path))
    changed = store.client.head_object(Bucket=store.name, Key="f")["LastModified"].timestamp()
    assert abs((tmp_path / "f").stat().st_mtime - changed) < 1


def test_up_server_copy_and_local_copy(store, tmp_path):
    write(tmp_path / "from", FILES)
    copy_tree(str(tmp_path / "from"), store.url("up/"))
    assert store.content("up/") == FILES
    copy_tree(store.url("up"), store.url("copied"))
    assert store.content("copied/") == FILES
    copy_tree(str(tmp_path / "from"), str(tmp_path / "local"))
    assert content(tmp_path / "local") == FILES


@pytest.mark.parametrize("size", [3 * MB, 3 * MB + 1, 11 * MB + 17])
def test_large_files(store, tmp_path, cut, size):
    data = os.urandom(size)
    write(tmp_path / "from", {"big": data, "small": b"s"})
    copy_tree(str(tmp_path / "from"), store.url("p"))
    etag = store.client.head_object(Bucket=store.name, Key="p/big")["ETag"]
    assert ("-" in etag) is (size > LEAST_PART), "in parts"
    assert copy_tree(store.url("p"), str(tmp_path / "to")).done == 2
    assert content(tmp_path / "to") == {"big": data, "small": b"s"}
    assert store.uploads() == []


def test_large_server_copies_are_in_parts(store, monkeypatch):
    monkeypatch.setattr("mindlift.storage.s3.store.LARGEST_COPY", MB)
    monkeypatch.setattr("mindlift.storage.s3.store.OWN_COPY_PART", LEAST_PART)
    data = os.urandom(LEAST_PART + 5)
    store.put({"a": data})
    copy_file(store.url("a"), store.url("b"))
    assert store.content()["b"] == data
    assert store.client.head_object(Bucket=store.name, Key="b")["ETag"].endswith('-2"')


def test_one_file(store, tmp_path):
    write(tmp_path, {"f": b"data"})
    copy_file(str(tmp_path / "f"), store.url("x/y"))
    copy_file(store.url("x/y"), store.url("x/z"))
    copy_file(store.url("x/z"), str(tmp_path / "deep/er/g"))
    copy_file(str(tmp_path / "deep/er/g"), str(tmp_path / "h"))
    assert (tmp_path / "h").read_bytes() == b"data"
    assert not parts(tmp_path)


@pytest.mark.parametrize(
    ("source", "target", "error", "said"),
    [
        ("{url}no", "{dir}/f", MoxFileNotExistsException, "no such file: obs://"),
        ("{dir}/no", "{url}f", MoxFileNotExistsException, "no such file: "),
        ("{url}d", "{dir}/f", MoxFileRespException, "is a folder; copy_parallel copies folders"),
        ("{url}d/f", "{url}", MoxFileRespException, "names no file"),
        ("{url}d/f", "{dir}", StorageError, "can't write .*: Is a directory"),
    ],
)
def test_one_file_that_can_not_be_copied(store, tmp_path, source, target, error, said):
    store.put({"d/f": b"x"})
    with pytest.raises(error, match=said):
        copy_file(source.format(url=store.url(), dir=tmp_path), target.format(url=store.url(), dir=tmp_path))
    assert not list(tmp_path.iterdir())


def test_file_list(store, tmp_path):
    store.put({"a": b"1", "b": b"2", "d/x": b"3", "d/y": b"4", "e/z": b"5"}, "p/")
    report = copy_tree(store.url("p"), str(tmp_path), file_list=["a", "d/", "d/x", "a"])
    assert content(tmp_path) == {"a": b"1", "d/x": b"3", "d/y": b"4"}
    assert report.done == report.expected == 3, "what is named twice is copied once"
    with pytest.raises(MoxFileNotExistsException, match="no such file: no of file_list"):
        copy_tree(store.url("p"), str(tmp_path), file_list=["a", "no"])
    with pytest.raises(TransferError, match=r"refused to copy '\.\./a'"):
        copy_tree(str(tmp_path / "d"), str(tmp_path / "to"), file_list=["../a"])


def test_empty_folders(store, tmp_path):
    store.put({"p/": b"", "p/empty/": b"", "p/d/": b"", "p/d/x": b"1"})
    copy_tree(store.url("p"), str(tmp_path / "to"))
    assert {path.relative_to(tmp_path / "to").as_posix() for path in (tmp_path / "to").rglob("*")} == {
        "empty",
        "d",
        "d/x",
    }
    copy_tree(store.url("p"), store.url("q"))
    assert "empty/" in store.content("q/")


@pytest.mark.parametrize("source", ["nothing", "empty"])
def test_a_source_that_is_missing_or_empty_copies_and_deletes_nothing(store, tmp_path, source):
    (tmp_path / "empty").mkdir()
    write(tmp_path / "to", {"keep": b"1"})
    for url in (store.url(source), str(tmp_path / source)):
        assert copy_tree(url, str(tmp_path / "to"), delete=True).expected == 0
    assert content(tmp_path / "to") == {"keep": b"1"}


@pytest.mark.parametrize("is_large", [False, True])
def test_a_file_that_grows_meanwhile_is_named(store, tmp_path, cut, monkeypatch, is_large):
    path = tmp_path / "from/log"
    write(tmp_path / "from", {"log": b"x" * (LEAST_PART + 5 if is_large else 1000)})
    pread = os.pread

    def grow(descriptor: int, size: int, at: int) -> bytes:
        with path.open("ab") as file:
            file.write(b"more")
        return pread(descriptor, size, at)

    monkeypatch.setattr(upload.os, "pread", grow)
    with pytest.raises(TransferError, match=f"{path} has changed .*while it was copied"):
        copy_tree(str(tmp_path / "from"), store.url("p"))
    assert store.content("p/") == {}
    assert store.uploads() == []


def test_a_file_that_has_changed_once_is_copied_anew(store, tmp_path, monkeypatch):
    path = write(tmp_path / "from", {"log": b"one"}) / "log"
    put = S3Store.write

    def change_first(self: S3Store, key: str, data: bytes):
        if data == b"one":
            path.write_bytes(b"one and two")
        return put(self, key, data)

    monkeypatch.setattr(S3Store, "write", change_first)
    copy_tree(str(tmp_path / "from"), store.url("p"))
    assert store.content("p/") == {"log": b"one and two"}


def test_failures_are_named_and_the_others_are_there(minio, store, fault_proxy, tmp_path):
    store.put({f"{number}": b"%d" % number for number in range(12)}, "p/")
    for number in (3, 5, 7):
        fault_proxy.add(Fault("status", path=f"/p/{number}$", status=500, times=None))
    set_auth(server=fault_proxy.endpoint, retry=2)
    with pytest.raises(TransferError) as caught:
        copy_tree(store.url("p"), str(tmp_path / "to"), manifest=tmp_path / "manifest")
    message = str(caught.value)
    assert message.startswith(f"3 of 12 files of {store.url('p')} were not copied")
    assert all(f"GET {store.name}/p/{number}: the store answered 500" in message for number in (3, 5, 7))
    assert content(tmp_path / "to") == {f"{n}": b"%d" % n for n in range(12) if n not in (3, 5, 7)}
    fault_proxy.clear()
    assert copy_tree(store.url("p"), str(tmp_path / "to"), manifest=tmp_path / "manifest").done == 3


def test_progress_speaks_every_ten_seconds(store, tmp_path, monkeypatch):
    now, lines = [0.0], []
    monkeypatch.setattr(
        transfer, "Progress", lambda what, say, bar: Progress(what, say, False, clock=lambda: now[0])
    )
    whole = download.Download.whole

    def slow(self, entry):
        now[0] += 5
        return whole(self, entry)

    monkeypatch.setattr(download.Download, "whole", slow)
    store.put({name: b"x" * 1000 for name in "abcd"}, "p/")
    copy_tree(store.url("p"), str(tmp_path), threads=1, processes=False, say=lines.append)
    assert lines[:-1] == [
        f"copy {store.url('p')}: 1 of 4 files, 2.0 kB of 4.0 kB, 200 B/s, 10 s left",
        f"copy {store.url('p')}: 3 of 4 files, 4.0 kB of 4.0 kB, 200 B/s, 0 s left",
    ]
    assert lines[-1].startswith("copied 4 of 4 files")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(store, tmp_path):
    store.put(FILES, "p/")
    (tmp_path / "to").mkdir(mode=0o555)
    with pytest.raises(StorageError, match="can't write .*: Permission denied"):
        copy_tree(store.url("p"), str(tmp_path / "to"))
    assert not list((tmp_path / "to").iterdir())


def test_a_file_where_a_folder_must_be(store, tmp_path):
    store.put({"d/x": b"1", "ok": b"2"}, "p/")
    write(tmp_path / "to", {"d": b"in the way"})
    with pytest.raises((TransferError, StorageError), match="d.*(File exists|Not a directory)"):
        copy_tree(store.url("p"), str(tmp_path / "to"))
    assert content(tmp_path / "to")["d"] == b"in the way"
