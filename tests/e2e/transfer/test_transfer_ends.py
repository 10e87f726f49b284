"""Ends of a process, and of a disk. The copies run in a process of their own, through a proxy that makes them slow."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from mindlift.errors import StorageError
from mindlift.files import machine
from mindlift.locks import create_held
from mindlift.storage.copying import copy as transfer
from mindlift.storage.copying.copy import copy_tree
from tests.support.faults import Fault
from tests.support.programs import ROOT, environment
from tests.support.servers import MB
from tests.support.transfers import FILES, Bucket, content, credentials, parts, write


def copying(store: Bucket, env: dict[str, str], source: str, target: str, more: str = "") -> subprocess.Popen:
    code = f"""
        import os, sys
        from pathlib import Path
        from mindlift.errors import MindLiftError
        from mindlift.storage.copying import download, upload
        from mindlift.storage.copying.copy import copy_tree
        download.RANGE = 1 << 20
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
    fault_proxy.add(
        Fault("trickle", path="/p/f", rate=400_000, times=None)
    )  # it is not done before it is stopped
    process = copying(store, credentials(minio, fault_proxy.endpoint), store.url("p"), str(tmp_path / "to"))
    wait_for(lambda: (tmp_path / "to").exists() and len(list((tmp_path / "to").glob("[!.]*"))) > 5)
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


def test_after_sigkill_only_the_rest_is_copied(minio, store, fault_proxy, tmp_path):
    """Twice: what two copies have brought that were killed is not asked for by the third."""
    files = {f"f{number:02}": os.urandom(200_000) for number in range(40)}
    store.put(files, "p/")
    fault_proxy.add(Fault("trickle", path="/p/f", rate=2_000_000, times=None))
    env = credentials(minio, fault_proxy.endpoint) | {"MANIFEST": str(tmp_path / "sync")}
    journal, there = tmp_path / "sync.journal", 0
    for least in (5, 15):
        process = copying(store, env, store.url("p"), str(tmp_path / "to"))
        wait_for(lambda least=least: journal.exists() and journal.read_bytes().count(b"\n") > least)
        process.kill()
        process.communicate()
        before, there = there, len(content(tmp_path / "to"))
        assert before + 4 < there < 40
    done = copy_tree(store.url("p"), str(tmp_path / "to"), manifest=tmp_path / "sync")
    assert content(tmp_path / "to") == files
    assert there - 4 <= done.unchanged <= there, "files may be there, and not yet be noted"
    assert done.done == 40 - done.unchanged
    assert not journal.exists()
    assert copy_tree(store.url("p"), str(tmp_path / "to"), manifest=tmp_path / "sync").unchanged == 40


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


def test_a_part_that_is_being_written_stays(store, tmp_path):
    store.put({"a": b"1"}, "p/")
    living = f".x.mindlift-{machine()}-1.part"
    write(tmp_path / "to", {f".y.mindlift-{machine()}-2.part": b"", "x.part": b""})
    descriptor = create_held(str(tmp_path / "to" / living))
    copy_tree(store.url("p"), str(tmp_path / "to"))
    os.close(descriptor)
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
