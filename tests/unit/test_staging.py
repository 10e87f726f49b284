"""Checkpoints from a bucket to the disk, and runs to and from a bucket."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from mindlift.errors import CheckpointError
from mindlift.files import append_line
from mindlift.model_utils.staging import checkpoints
from mindlift.model_utils.staging import publisher as publisher_module
from mindlift.model_utils.staging.publisher import Publisher, Target
from mindlift.model_utils.staging.restore import fetch_logs, restore
from mindlift.runs.manifest import Saved, file_sha256, parse
from mindlift.storage.moxing import file


def save(root: Path, step: int, data: bytes | None = None) -> Saved:
    """A checkpoint as the trainer leaves it, of random bytes."""
    folder = root / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"net-1_{step}.ckpt"
    path.write_bytes(data or os.urandom(1000 + step))
    saved = Saved(path.name, 0, step, 100, 1, path.stat().st_size, file_sha256(path), time.time())
    append_line(folder / "manifest.jsonl", vars(saved))
    return saved


def make_run(root: Path, mark: str = "mark") -> Path:
    root.mkdir(parents=True)
    (root / "run.json").write_text(json.dumps({"fingerprint": mark}))
    (root / "metrics.jsonl").write_text('{"step": 1}\n')
    (root / "logs").mkdir()
    (root / "logs/rank_0.log").write_text("a line\n")
    return root


def publish(root: Path, url: str, keep: int = 5) -> None:
    publisher = Publisher(root, Target(f"{url}/{root.name}", keep), lambda line: None, 0.01)
    assert publisher.close(30) is None


def bring(base: Path, url: str, mark: str, say) -> Path | None:
    return restore(base, url, mark, say, lambda run: None).root


def names_in(url: str) -> list[str]:
    """The files of the bucket's manifest, each of which must be there as it was saved."""
    records = parse(file.read(f"{url}/checkpoints/manifest.jsonl", binary=True))
    import hashlib

    for saved in records:
        data = file.read(f"{url}/checkpoints/{saved.file}", binary=True)
        assert hashlib.sha256(data).hexdigest() == saved.sha256
    there = [name for name in file.list_directory(f"{url}/checkpoints") if name.endswith(".ckpt")]
    assert sorted(there) == sorted(saved.file for saved in records), "nothing is left over"
    return [saved.file for saved in records]


def test_a_run_goes_to_the_bucket_and_comes_back(url, tmp_path, said):
    root = make_run(tmp_path / "a/20260101-000000")
    for step in range(1, 8):
        save(root, step)
    publish(root, url, keep=3)
    run = f"{url}/{root.name}"
    assert names_in(run) == ["net-1_5.ckpt", "net-1_6.ckpt", "net-1_7.ckpt"]
    save(root, 8)
    publish(root, url, 3)
    assert names_in(run) == ["net-1_6.ckpt", "net-1_7.ckpt", "net-1_8.ckpt"]

    back = bring(tmp_path / "b", url, "mark", said.append)
    assert back == tmp_path / "b" / root.name
    assert sorted(content_names(back)) == [
        "checkpoints/manifest.jsonl",
        "checkpoints/net-1_8.ckpt",
        "logs/rank_0.log",
        "metrics.jsonl",
        "run.json",
        "transfers.jsonl",
    ]
    save(back, 9)
    publish(back, url, 3)
    assert names_in(run) == ["net-1_7.ckpt", "net-1_8.ckpt", "net-1_9.ckpt"], "what was there before counts"


def content_names(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]


def test_which_run_is_continued(url, tmp_path, said):
    for name, mark, ended in (
        ("20260101-000000", "mark", False),
        ("20260102-000000", "mark", True),
        ("20260103-000000", "other", False),
    ):
        root = make_run(tmp_path / "a" / name, mark)
        save(root, 3)
        if ended:
            (root / "result.json").write_text("{}")
        publish(root, url)
    assert bring(tmp_path / "b", url, "mark", said.append) == tmp_path / "b/20260101-000000"
    assert bring(tmp_path / "c", url, "unknown", said.append) is None
    assert bring(tmp_path / "c", f"{url}/nothing/here", "mark", said.append) is None
    assert not (tmp_path / "c").exists()


def test_a_damaged_checkpoint_is_passed_over(url, tmp_path, said):
    root = make_run(tmp_path / "a/20260101-000000")
    save(root, 1)
    save(root, 2)
    newest = save(root, 3)
    publish(root, url)
    run = f"{url}/{root.name}"
    file.write(f"{run}/checkpoints/{newest.file}", os.urandom(newest.size_bytes), binary=True)
    file.remove(f"{run}/checkpoints/net-1_2.ckpt")
    back = bring(tmp_path / "b", url, "mark", said.append)
    assert [path.name for path in (back / "checkpoints").glob("*.ckpt")] == ["net-1_1.ckpt"]
    assert sum("trying an older one" in line for line in said) == 2


def test_a_checkpoint_without_a_manifest_line_is_not_there(url, tmp_path, said):
    root = make_run(tmp_path / "a/20260101-000000")
    save(root, 1)
    publish(root, url)
    file.write(f"{url}/{root.name}/checkpoints/net-1_2.ckpt", b"half of it", binary=True)
    back = bring(tmp_path / "b", url, "mark", said.append)
    assert [path.name for path in (back / "checkpoints").glob("*.ckpt")] == ["net-1_1.ckpt"]


def test_what_is_further_on_this_disk_stays(url, tmp_path, said):
    root = make_run(tmp_path / "a/20260101-000000")
    save(root, 1)
    publish(root, url)
    later = save(root, 2)
    assert bring(tmp_path / "a", url, "mark", said.append) == root
    assert file_sha256(root / "checkpoints" / later.file) == later.sha256
    assert not [line for line in said if line.startswith("copied")]


def test_publishing_survives_files_that_go_and_stores_that_fail(url, tmp_path, fault_proxy, monkeypatch):
    from tests.support.faults import Fault

    monkeypatch.setenv("S3_ENDPOINT", fault_proxy.endpoint)
    file.set_auth(retry=1)
    said: list[str] = []
    root = make_run(tmp_path / "20260101-000000")
    first = save(root, 1)
    gone = save(root, 2)
    (root / "checkpoints" / gone.file).unlink()
    failing = fault_proxy.add(
        Fault("status", method="PUT", path="net-1_1", times=2, status=403, code="AccessDenied")
    )
    publisher = Publisher(root, Target(f"{url}/{root.name}", 5), said.append, 0.05)
    deadline = time.monotonic() + 20
    while not publisher.done.checkpoints and time.monotonic() < deadline:
        time.sleep(0.02)
    assert publisher.close(30) is None
    assert failing.used == 2
    assert len([line for line in said if "will try again" in line]) == 1
    assert len([line for line in said if "works again" in line]) == 1
    assert names_in(f"{url}/{root.name}") == [first.file]


def test_closing_says_what_is_in_the_way(url, tmp_path, monkeypatch):
    monkeypatch.setenv("S3_ENDPOINT", "http://127.0.0.1:9")
    root = make_run(tmp_path / "20260101-000000")
    save(root, 1)
    publisher = Publisher(root, Target(f"{url}/{root.name}", 5), lambda line: None, 0.05)
    started = time.monotonic()
    assert publisher.close(1) is not None
    assert time.monotonic() - started < 3


@pytest.mark.parametrize("error", [KeyError("file"), SystemExit(0)])
def test_whatever_ends_the_publisher_is_told(url, tmp_path, monkeypatch, error):
    monkeypatch.setattr(publisher_module, "take_snapshot", lambda *_: (_ for _ in ()).throw(error))
    publisher = Publisher(tmp_path, Target(url, 5), lambda line: None, 0.05)
    found = publisher.close(10)
    assert found is error if isinstance(error, KeyError) else "ended early" in str(found)


def test_a_publisher_that_can_say_nothing_goes_on(url, tmp_path):
    """The terminal that it prints to is gone."""

    def say(line: str) -> None:
        raise BrokenPipeError

    root = make_run(tmp_path / "20260101-000000")
    first = save(root, 1)
    assert Publisher(root, Target(f"{url}/{root.name}", 5), say, 0.05).close(30) is None
    assert names_in(f"{url}/{root.name}") == [first.file]


def test_a_log_of_two_nodes_is_the_one_that_says_more(url, tmp_path):
    """A node other than the first has no checkpoint to compare."""
    run = f"{url}/20260101-000000"
    here = tmp_path / "logs" / "rank_8.log"
    here.parent.mkdir()
    for local, remote, expected in (
        ("step 1\nstep 2 at 9:00\n", "step 1\nstep 2 at 9:05\nstep 3\n", "remote"),
        ("step 1\nstep 2 at 9:05\nstep 3\n", "step 1\nstep 2 at 9:00\n", "local"),
        ("step 1\n", "step 1\nstep 2\n", "remote"),
        ("step 1\nstep 2\n", "step 1\n", "local"),
    ):
        here.write_text(local)
        file.write(f"{run}/logs/rank_8.log", remote)
        fetch_logs(tmp_path, run)
        assert here.read_text() == {"local": local, "remote": remote}[expected]
        assert not list(here.parent.glob("*.bucket"))


def test_checkpoints_by_url(url, tmp_path, stager, said):
    root = make_run(tmp_path / "20260101-000000")
    saved = [save(root, step) for step in (9, 10)]
    publish(root, url)
    run = f"{url}/{root.name}"
    names = ["net-1_10.ckpt", "net-1_9.ckpt"]
    for place in (url, run, f"{run}/", f"{run}/checkpoints"):
        assert [path.rpartition("/")[2] for path in checkpoints.found_at(place)] == names, place
    assert [path.name for path in checkpoints.fetch(stager, f"{run}/checkpoints/net-1_9.ckpt")] == names[1:]
    assert [path.name for path in checkpoints.fetch(stager, run)] == names[:1], "of a run the newest"
    assert any(
        f"{run} has 2 checkpoints: {run}/checkpoints/{names[0]}, the newest, is taken" in line
        for line in said
    )
    assert [path.name for path in checkpoints.fetch(stager, run, every=True)] == names
    copied = len(said)
    paths = checkpoints.fetch(stager, f"{run}/checkpoints/net-1_9.ckpt")
    assert len(said) == copied, "kept by ETag"
    assert file_sha256(paths[0]) == saved[0].sha256
    file.write(f"{run}/checkpoints/net-1_9.ckpt", b"another", binary=True)
    with pytest.raises(CheckpointError, match="net-1_9.ckpt is not what obs://.*manifest.jsonl says"):
        checkpoints.fetch(stager, f"{run}/checkpoints/net-1_9.ckpt")
    for content in (b"one", b"another"):
        file.write(f"{run}/unlisted.ckpt", content, binary=True)
        assert checkpoints.fetch(stager, f"{run}/unlisted.ckpt")[0].read_bytes() == content
    for name in ("net-2_1.ckpt", "net-10_1.ckpt", "net-3_1.pth", "net-4_1.safetensors", "notes.txt"):
        file.write(f"{url}/plain/{name}", "x")
    assert [path.rpartition("/")[2] for path in checkpoints.found_at(f"{url}/plain")] == [
        "net-10_1.ckpt",
        "net-4_1.safetensors",
        "net-3_1.pth",
        "net-2_1.ckpt",
    ]
    assert checkpoints.fetch(stager, str(tmp_path)) == [tmp_path]
    for place in (f"{url}/nowhere", f"{url}/nowhere.ckpt"):
        with pytest.raises(CheckpointError, match="no checkpoint at"):
            checkpoints.found_at(place)


def test_a_record_that_is_cut_short_is_not_read():
    saved = Saved("a.ckpt", 1, 2, 3, 4, 5, "6", 7.0)
    text = json.dumps(vars(saved)) + "\n" + json.dumps(vars(replace(saved, step=9)))[:-10]
    assert parse(text.encode()) == [saved]
