"""Bytes that nobody has closed, or wrote past `File.write`, arrive; and a move onto itself loses nothing.

What is expected is what open(), os.rename and shutil.move do on a disk.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mindlift.errors import StorageError, TransferError
from mindlift.storage.moxing import file
from mindlift.storage.places import locate
from tests.support.moxing_code import credentials
from tests.support.programs import ROOT

PICTURE = Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3))


def child(target) -> None:
    target.flush()
    subprocess.run([sys.executable, "-c", "print('from a child')"], stdout=target, check=True)


WRITERS = {
    "JPEG": lambda target: PICTURE.save(target, "JPEG"),
    "BMP": lambda target: PICTURE.save(target, "BMP"),
    "TIFF": lambda target: PICTURE.save(target, "TIFF"),
    "tofile": lambda target: np.arange(100).tofile(target),
    "after a flush": lambda target: (target.flush(), target.write(b"x"), target.raw.write(b"y")),
    "child": child,
    "in place": lambda target: (
        target.write(b"abc"),
        target.flush(),
        target.seek(0),
        os.write(target.fileno(), b"X"),
    ),
    "truncate": lambda target: (target.write(b"abc"), target.flush(), target.truncate(1)),
}


@pytest.mark.parametrize("how", WRITERS)
def test_what_is_written_past_write_arrives(store, tmp_path, how):
    with open(tmp_path / "local", "wb") as here, file.File(f"{store}/there", "wb") as there:
        WRITERS[how](here)
        WRITERS[how](there)
    assert file.read(f"{store}/there", binary=True) == (tmp_path / "local").read_bytes() != b""


def test_what_nobody_closes_arrives_with_a_warning(store, capfd):
    pickle.dump({"a": 1}, file.File(f"{store}/a.pkl", "wb"))
    gc.collect()
    assert pickle.loads(file.read(f"{store}/a.pkl", binary=True)) == {"a": 1}
    assert capfd.readouterr().err == f"warning: {store}/a.pkl was never closed; it is uploaded now\n"


PROGRAM = """
import json, os, sys
from mindlift.storage.moxing import file
from mindlift.storage.places import locate
json.dump({{"a": 1}}, file.File("{store}/one.json", "w"))
kept = file.File("{store}/two.txt", "w")
kept.write("open to the end")
big = file.File("{store}/big", "wb")
big.write(bytes(40 << 20))
kept.stream.flush(), big.stream.flush()  # or the fork would write it, too, as with open()
if os.fork() == 0:
    sys.exit(0)
os.wait()
cycle = [file.File("{store}/three.txt", "a")]
cycle.append(cycle)
cycle[0].write("in a cycle")
"""


def test_the_end_of_a_program_uploads_what_is_open(store, minio):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(store=store)],
        env={**os.environ, **credentials(minio), "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert json.loads(file.read(f"{store}/one.json")) == {"a": 1}
    assert file.read(f"{store}/two.txt") == "open to the end"
    assert file.read(f"{store}/three.txt") == "in a cycle"
    assert file.get_size(f"{store}/big") == 40 << 20
    assert sorted(done.stderr.splitlines()) == sorted(
        f"warning: {store}/{name} was never closed; it is uploaded now"
        for name in ("one.json", "two.txt", "three.txt", "big")
    )


def test_a_block_that_fails_uploads_nothing(store, capfd):
    with contextlib.suppress(ZeroDivisionError), file.File(f"{store}/half", "w") as target:
        target.write("half")
        raise ZeroDivisionError
    assert not file.exists(f"{store}/half")
    assert capfd.readouterr().err == ""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_file_that_a_full_disk_has_cut_short_is_not_uploaded(store):
    target = file.File(f"{store}/cut", "wb")
    os.dup2(os.open("/dev/full", os.O_WRONLY), target.fileno())
    with pytest.raises(OSError, match="No space left"):
        target.write(bytes(1 << 20))
    with pytest.raises((OSError, StorageError)):
        target.close()
    assert not file.exists(f"{store}/cut")


def test_a_move_onto_itself_changes_nothing(place):
    file.write(f"{place}/a", "A")
    file.make_dirs(f"{place}/d")
    file.write(f"{place}/d/b", "B")
    file.rename(f"{place}/a", f"{place}/a")
    file.rename(f"{place}/d", f"{place}//d/")
    with pytest.raises(TransferError, match="one of the two folders is in the other"):
        file.rename(f"{place}/d", f"{place}/d/old")
    with pytest.raises(TransferError, match="one of the two folders is in the other"):
        file.copy_parallel(f"{place}/d", f"{place}/d/copy")
    assert (file.read(f"{place}/a"), file.read(f"{place}/d/b")) == ("A", "B")
    file.rename(f"{place}/d", f"{place}/dd")  # a longer name is another place
    assert file.read(f"{place}/dd/b") == "B"


def test_a_link_to_a_folder_is_that_folder(tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d/b").write_text("B")
    (tmp_path / "link").symlink_to(tmp_path / "d")
    file.rename(str(tmp_path / "d/b"), str(tmp_path / "link/b"))
    assert Path(tmp_path / "d/b").read_text() == "B"


FULL = """
import resource, sys
from mindlift.storage.moxing import file
from mindlift.storage.places import locate
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))  # as a full disk, of which a part is free
for name in sys.argv[1:]:
    try:
        file.write(name, "x" * 5000)
        print("written")
    except OSError as err:
        print(err.strerror)
"""


def test_a_write_to_a_full_disk_leaves_what_was_there(tmp_path):
    (tmp_path / "old").write_text("old")
    (tmp_path / "link").symlink_to("old")
    names = [str(tmp_path / name) for name in ("old", "link", "new")]
    done = subprocess.run(
        [sys.executable, "-c", FULL, *names],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines() == ["File too large"] * 3, done.stderr
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"old": "old", "link": "old"}


def test_a_write_keeps_what_open_keeps(tmp_path):
    """Mode, links, second names and devices."""
    (tmp_path / "mode").touch(mode=0o600)
    (tmp_path / "link").symlink_to("linked")
    (tmp_path / "one").touch()
    os.link(tmp_path / "one", tmp_path / "two")
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    mask = os.umask(0o027)
    try:
        for name in ("mode", "link", "one", "pipe", "new"):
            file.write(tmp_path / name, name)
    finally:
        os.umask(mask)
    assert os.read(reader, 99) == b"pipe"
    os.close(reader)
    assert os.stat(tmp_path / "mode").st_mode & 0o777 == 0o600
    assert os.stat(tmp_path / "new").st_mode & 0o777 == 0o640
    assert (tmp_path / "link").is_symlink()
    assert [(tmp_path / name).read_text() for name in ("linked", "two")] == ["link", "one"]
    with pytest.raises(FileNotFoundError):
        file.write(tmp_path / "missing/a", "x")
    with pytest.raises(IsADirectoryError):
        file.write(tmp_path, "x")


def test_a_marker_that_holds_bytes_keeps_them(store, tmp_path):
    """A key like any other on S3; a disk has no file of that name."""
    bucket = locate(store)[0]
    for key, data in (("d/", b"own"), ("d/e/", b"inner"), ("d/f", b"file"), ("d/empty/", b"")):
        bucket.write(key, data)
    with pytest.raises(
        TransferError, match="refused to copy the folder itself: its name is a folder's, but it holds 3"
    ):
        file.rename(f"{store}/d", str(tmp_path / "d"))
    file.rename(f"{store}/d", f"{store}/moved")
    assert {entry.key: bucket.read(entry.key) for entry in bucket.pages("", "")} == {
        "moved/": b"own",
        "moved/e/": b"inner",
        "moved/empty/": b"",
        "moved/f": b"file",
    }
    file.copy_parallel(f"{store}/moved", f"{store}/copied")
    assert bucket.read("copied/") == b"own"
