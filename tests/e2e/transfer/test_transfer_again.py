"""Copies again: only what has changed, deleting last, and no link or file in the way."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mindlift.errors import TransferError
from mindlift.storage.copying import download
from mindlift.storage.copying.copy import copy_tree
from tests.support.transfers import FILES, Bucket, content, write


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
