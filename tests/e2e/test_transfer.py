"""Whole copies against a real MinIO: in every direction, interrupted, killed, out of space, and again."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mindlift.errors import StorageError, TransferError
from mindlift.storage.copying import copy as transfer
from mindlift.storage.copying import download, engine, upload
from mindlift.storage.copying.copy import copy_file, copy_tree
from mindlift.storage.copying.progress import Progress
from mindlift.storage.errors import MoxFileNotExistsException, MoxFileRespException
from mindlift.storage.places import SERVICES, set_auth
from mindlift.storage.s3.store import S3Store
from tests.support.faults import Fault
from tests.support.programs import ROOT, environment
from tests.support.servers import LEAST_PART, MB, s3_client

FILES = {
    "a.bin": os.urandom(200_000),
    "d/b.txt": b"bee",
    "d/e/c": b"",
    "数据/图 +%41&?#.png": b"picture",
    "n" * 230 + "1": b"one",
    "n" * 230 + "2": b"two",
}


class Bucket:
    """A bucket as a plain client sees it."""

    def __init__(self, store, name: str):
        self.client, self.name, self.store = s3_client(store), name, store
        self.client.meta.events.register("before-send.s3.PutObject", without_expect)

    def url(self, key: str = "") -> str:
        return f"obs://{self.name}/{key}"

    def put(self, files: dict[str, bytes], prefix: str = "") -> None:
        for key, data in files.items():
            self.client.put_object(Bucket=self.name, Key=prefix + key, Body=data)

    def content(self, prefix: str = "") -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix):
            for item in page.get("Contents", []):
                body = self.client.get_object(Bucket=self.name, Key=item["Key"])["Body"].read()
                found[item["Key"][len(prefix) :]] = body
        return found

    def uploads(self) -> list[dict[str, Any]]:
        return self.client.list_multipart_uploads(Bucket=self.name).get("Uploads", [])


def without_expect(request: Any, **_: object) -> None:
    """After an empty PUT, MinIO waits 30 s with the answer to one that expects it on that connection."""
    del request.headers["Expect"]


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def content(folder: Path) -> dict[str, bytes]:
    """All files, also those that are still being written."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def parts(folder: Path) -> list[Path]:
    return list(folder.rglob("*.part"))


@pytest.fixture
def store(minio, bucket, monkeypatch) -> Iterator[Bucket]:
    """A bucket that URLs lead to, here and in worker processes."""
    for name, value in credentials(minio).items():
        monkeypatch.setenv(name, value)
    set_auth(retry_wait=0.01)
    yield Bucket(minio, bucket)
    SERVICES.forget()


def credentials(minio, endpoint: str = "") -> dict[str, str]:
    return {
        "S3_ENDPOINT": endpoint or minio.endpoint,
        "ACCESS_KEY_ID": minio.access_key,
        "SECRET_ACCESS_KEY": minio.secret_key,
    }


@pytest.fixture(params=["obstore", "http"])
def plane(request, monkeypatch) -> str:
    if request.param == "obstore" and not importlib.util.find_spec("obstore"):
        pytest.skip("obstore is not installed")
    monkeypatch.setenv("MINDLIFT_DATA_PLANE", request.param)
    return request.param


def test_down(store, tmp_path, plane):
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
def test_large_files(store, tmp_path, cut, plane, size):
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
    monkeypatch.setattr("mindlift.storage.s3.store.COPY_PART", LEAST_PART)
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


def test_delete_comes_last_and_only_after_success(store, tmp_path, monkeypatch):
    store.put({"a": b"new", "d/b": b"2"}, "p/")
    target = write(tmp_path / "to", {"a": b"old", "gone/x": b"3", "d/old": b"4"})
    with monkeypatch.context() as patch:
        patch.setattr(download.Download, "whole", refuse)
        with pytest.raises(TransferError, match="2 of 2 files"):
            copy_tree(store.url("p"), str(target), delete=True)
    assert content(target) == {"a": b"old", "gone/x": b"3", "d/old": b"4"}
    assert copy_tree(store.url("p"), str(target), delete=True).deleted == 3
    assert content(target) == {"a": b"new", "d/b": b"2"}
    assert not (target / "gone").exists()
    copy_tree(str(target), store.url("q"))
    (target / "a").unlink()
    assert copy_tree(str(target), store.url("q"), delete=True).deleted == 1
    assert store.content("q/") == {"d/b": b"2"}


def refuse(self, entry):
    raise TransferError(f"{entry.key}: refused by the test")


class Synced:
    """A folder and a prefix, copied again and again with a manifest."""

    def __init__(self, store: Bucket, folder: Path, is_down: bool):
        self.store, self.folder, self.is_down = store, folder / "side", is_down
        self.manifest = folder / "state/manifest.jsonl"

    def copy(self) -> int:
        """The number of files that were copied; both sides are the same then."""
        ends = [self.store.url("p"), str(self.folder)]
        done = copy_tree(*(ends if self.is_down else ends[::-1]), manifest=self.manifest, delete=True).done
        assert content(self.folder) == self.store.content("p/")
        return done

    def edit(self, name: str, data: bytes, at_source: bool) -> None:
        if at_source is self.is_down:
            self.store.put({name: data}, "p/")
        else:
            path = self.folder / name
            before = path.stat()
            path.write_bytes(data)
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns - 5_000_000_000))  # an older clock


@pytest.mark.parametrize("is_down", [True, False], ids=["down", "up"])
def test_only_what_has_changed_is_copied_again(store, tmp_path, is_down):
    files = {"a": b"1", "d/b": b"22", "u\u2028\u0085\x0c": b"odd"}
    side = Synced(store, tmp_path, is_down)
    store.put(files, "p/") if is_down else write(side.folder, files)
    assert [side.copy(), side.copy()] == [3, 0]
    side.edit("a", b"2", at_source=True)
    assert side.copy() == 1, "a same-size edit of the source"
    assert content(side.folder)["a"] == b"2"
    side.edit("a", b"3", at_source=False)
    assert side.copy() == 1, "a same-size edit of the target"
    assert content(side.folder)["a"] == b"2"
    assert side.copy() == 0
    side.manifest.write_text("{damaged")
    assert side.copy() == 3


def test_links_that_lead_out_of_the_target_are_refused(store, tmp_path):
    store.put({"ok": b"1", "link/deep/x": b"2", "link/y": b"3", "link/empty/": b""}, "p/")
    (tmp_path / "outside").mkdir()
    (tmp_path / "to").mkdir()
    (tmp_path / "to/link").symlink_to(tmp_path / "outside")
    with pytest.raises(TransferError, match="a link in it leads out"):
        copy_tree(store.url("p"), str(tmp_path / "to"))
    assert list((tmp_path / "outside").iterdir()) == []


def test_a_target_that_is_a_link_is_followed(store, tmp_path):
    store.put(FILES, "p/")
    (tmp_path / "real").mkdir()
    (tmp_path / "to").symlink_to("real")
    copy_tree(store.url("p"), str(tmp_path / "to"))
    assert content(tmp_path / "real") == FILES


@pytest.mark.parametrize("target", ["bucket", "folder"])
def test_what_is_no_file_is_refused_and_the_rest_copied(store, tmp_path, target):
    write(tmp_path / "from", {"ok": b"1"})
    os.mkfifo(tmp_path / "from/pipe")
    (tmp_path / "from/dead").symlink_to("nothing")
    with open(os.fsencode(tmp_path / "from") + b"/\xff.txt", "wb"):
        pass
    to = store.url("p") if target == "bucket" else str(tmp_path / "to")
    with pytest.raises(TransferError) as caught:
        copy_tree(str(tmp_path / "from"), to)
    assert "pipe: it is not a regular file" in str(caught.value)
    assert "dead" in str(caught.value)
    copied = store.content("p/") if target == "bucket" else content(tmp_path / "to")
    assert copied["ok"] == b"1"
    assert set(copied) <= {"ok", os.fsdecode(b"\xff.txt")}


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


def test_failures_are_named_and_the_others_are_there(minio, store, fault_proxy, tmp_path, plane):
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


# Ends of a process. The copies run in a process of their own, through a proxy that makes them slow.


def copying(store: Bucket, env: dict[str, str], source: str, target: str, more: str = "") -> subprocess.Popen:
    code = f"""
        import os, sys
        from pathlib import Path
        from mindlift.errors import MindLiftError
        from mindlift.storage.copying import download, upload
        from mindlift.storage.copying.copy import copy_tree
        download.SMALL = download.RANGE = 1 << 20
        upload.MULTIPART_FROM = upload.LEAST_PART = 5 << 20
        {more}
        print("ready", flush=True)
        try:
            manifest = Path(os.environ["MANIFEST"]) if "MANIFEST" in os.environ else None
            copy_tree({source!r}, {target!r}, threads=2, manifest=manifest)
        except (MindLiftError, KeyboardInterrupt) as err:
            sys.exit(f"{{type(err).__name__}}: {{err}}")
        """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=ROOT,
        env=environment(**env),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    return process


def wait_for(condition, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.01)


def test_ctrl_c_leaves_no_half_file(minio, store, fault_proxy, tmp_path):
    store.put({f"f{number}": b"x" * 300_000 for number in range(40)} | {"big": os.urandom(3 * MB)}, "p/")
    fault_proxy.add(Fault("trickle", path="/p/f", rate=2_000_000, times=None))
    process = copying(store, credentials(minio, fault_proxy.endpoint), store.url("p"), str(tmp_path / "to"))
    wait_for(lambda: (tmp_path / "to").exists() and len(content(tmp_path / "to")) > 5)
    process.send_signal(signal.SIGINT)
    error = process.communicate(timeout=30)[1]
    assert error.startswith("KeyboardInterrupt")
    assert process.returncode == 1
    assert not parts(tmp_path)
    expected = store.content("p/")
    copied = content(tmp_path / "to")
    assert 0 < len(copied) < len(expected)
    assert all(expected[name] == data for name, data in copied.items())


def test_ctrl_c_aborts_uploads(minio, store, fault_proxy, tmp_path):
    write(tmp_path / "from", {"big": os.urandom(12 * MB)})
    gate = threading.Event()
    fault_proxy.add(Fault("replace", "PUT", path="partNumber=[23]", call=lambda: gate.wait(20), times=None))
    process = copying(store, credentials(minio, fault_proxy.endpoint), str(tmp_path / "from"), store.url("p"))
    try:
        wait_for(lambda: any("partNumber=2" in request.target for request in fault_proxy.requests))
        process.send_signal(signal.SIGINT)
        wait_for(lambda: any(request.method == "DELETE" for request in fault_proxy.requests))
    finally:
        gate.set()
    process.communicate(timeout=30)
    assert store.content("p/") == {}
    wait_for(lambda: store.uploads() == [])


@pytest.mark.parametrize("has_manifest", [True, False])
def test_after_sigkill_the_leftovers_are_swept(minio, store, fault_proxy, tmp_path, has_manifest):
    files = {f"d/f{number:02}": b"%d" % number * 1000 for number in range(10)} | {"d/big": os.urandom(3 * MB)}
    store.put(files, "p/")
    fault_proxy.add(Fault("stall", path="/p/d/big", after=500_000, seconds=60, times=None))
    env = credentials(minio, fault_proxy.endpoint) | (
        {"MANIFEST": str(tmp_path / "manifest")} if has_manifest else {}
    )
    process = copying(store, env, store.url("p"), str(tmp_path / "to"))
    wait_for(lambda: len(parts(tmp_path)) == 1 and parts(tmp_path)[0].stat().st_size)
    process.kill()
    process.communicate()
    assert parts(tmp_path)
    assert not (tmp_path / "to/d/big").exists()
    copy_tree(store.url("p"), str(tmp_path / "to"), manifest=tmp_path / "manifest" if has_manifest else None)
    assert content(tmp_path / "to") == files


def test_the_part_of_a_living_process_stays(store, tmp_path):
    store.put({"a": b"1"}, "p/")
    living = f".x.mindlift-{os.getpid()}.part"
    write(tmp_path / "to", {living: b"", ".x.mindlift-999999999.part": b"", "x.part": b""})
    copy_tree(store.url("p"), str(tmp_path / "to"))
    assert set(content(tmp_path / "to")) == {living, "x.part", "a"}


@pytest.mark.parametrize("name", ["small", "large"])
def test_a_full_disk_is_one_line_and_no_file(minio, store, tmp_path, name):
    store.put({"ok": b"x" * 100, name: os.urandom(400_000 if name == "small" else 3 * MB)}, "p/")
    more = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))"
    process = copying(store, credentials(minio), store.url("p"), str(tmp_path / "to"), more)
    error = process.communicate(timeout=60)[1]
    assert error.splitlines() == [f"StorageError: can't write {tmp_path}/to/{name}: File too large"]
    assert name not in content(tmp_path / "to")
    assert not parts(tmp_path)


def test_too_little_space_is_said_before_anything_is_copied(store, tmp_path, monkeypatch):
    monkeypatch.setattr(transfer.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 5}))
    store.put(FILES, "p/")
    with pytest.raises(
        StorageError, match="not enough disk space in .*: 200.0 kB to copy, 5 B free; nothing"
    ):
        copy_tree(store.url("p"), str(tmp_path / "to"))
    assert not list(tmp_path.iterdir())


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
