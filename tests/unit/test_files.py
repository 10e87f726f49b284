"""Files that appear whole: what is at the path, and beside it, whatever happens while it is written."""

from __future__ import annotations

import errno
import os

import pytest

from mindlift.errors import DataError, StorageError
from mindlift.files import append_line, atomic_file, atomic_path, atomic_text, write_atomic
from mindlift.json_text import read_records


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def write_binary(path, content):
    with atomic_file(path) as file:
        file.write(content.encode())


def write_text(path, content):
    with atomic_text(path) as file:
        file.write(content)


def write_by_path(path, content):
    with atomic_path(path) as part:
        assert part.name == path.name, "libraries choose a format by the suffix"
        part.write_text(content, encoding="utf-8")


def write_quickly(path, content):
    write_atomic(path, content, durable=False)


WRITERS = [write_binary, write_text, write_by_path, write_atomic, write_quickly]
BLOCKS = [atomic_file, atomic_text, atomic_path]


@pytest.mark.parametrize("write", WRITERS)
def test_a_file_is_replaced_whole(tmp_path, write):
    path = tmp_path / "a.txt"
    for content in ("first\r\n", "zweite ä\n"):
        write(path, content)
        assert path.read_bytes() == content.encode()
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("write", WRITERS)
def test_a_folder_that_is_not_there(tmp_path, write):
    path = tmp_path / "gone" / "a.txt"
    with pytest.raises(StorageError, match=f"^can't write {path}: No such file or directory$"):
        write(path, "x")


@pytest.mark.parametrize("opened", BLOCKS)
@pytest.mark.parametrize(
    ("error", "seen"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), StorageError),
        (OSError("the encoder failed"), StorageError),
        (FileNotFoundError(errno.ENOENT, "none", "another.png"), FileNotFoundError),
        (DataError("no image"), DataError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
    ids=["full", "no number", "another file", "ours", "interrupted"],
)
def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path, opened, error, seen):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(seen) as caught, opened(path):
        raise error
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]
    assert (type(caught.value) is StorageError) == str(caught.value).startswith(f"can't write {path}: ")


def test_what_is_cut_short_by_a_kill_is_overwritten(tmp_path):
    (tmp_path / "a.txt.part").write_text("left over, and longer")
    write_atomic(tmp_path / "a.txt", "new")
    assert names(tmp_path) == ["a.txt"]


def test_advice_and_another_beginning(tmp_path):
    path = tmp_path / "gone" / "a"
    with (
        pytest.raises(StorageError, match="directory; pass --output$"),
        atomic_file(path, advice="; pass --output"),
    ):
        pass
    with (
        pytest.raises(StorageError, match="^can't save it: .*; none$"),
        atomic_path(path, "can't save it", "; none"),
    ):
        pass


def test_json_lines(tmp_path):
    path = tmp_path / "lines.jsonl"
    assert read_records(path) == ([], 0)
    append_line(path, {"name": "a\u2028b"})
    with open(path, "ab") as file:
        file.write(b'\n[1]\n"text"\n{"name": "\xff"}\n{"name": "cut')
    append_line(path, {"name": "after"})
    assert read_records(path)[0] == [{"name": "a\u2028b"}, {"name": "after"}]
