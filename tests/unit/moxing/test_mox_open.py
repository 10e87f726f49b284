"""`moxing.file.File`: modes, lines, seeking, and what libraries do with it."""

from __future__ import annotations

import csv
import json
import logging
import os
import pickle
import zipfile

import numpy as np
import pytest
from PIL import Image

from mindlift.errors import TransferError
from mindlift.storage.moxing import file

MODES = [
    ("r", "old"),
    ("rb", "old"),
    ("br", "old"),
    ("w", "new"),
    ("bw", "new"),
    ("a", "oldnew"),
    ("ab", "oldnew"),
    ("r+", "newold"[:3]),
    ("rb+", "new"),
    ("w+", "new"),
    ("w+b", "new"),
    ("a+", "oldnew"),
    ("ba+", "oldnew"),
]


@pytest.mark.parametrize(("mode", "content"), MODES)
def test_modes(place, mode, content):
    file.write(f"{place}/x", "old")
    with file.File(f"{place}/x", mode) as opened:
        assert opened.mode == mode
        assert opened.name == f"{place}/x"
        if opened.writable():
            opened.write(b"new" if "b" in mode else "new")
        assert opened.readable() == ("r" in mode or "+" in mode)
    assert file.read(f"{place}/x") == content


def test_a_wrong_mode_and_a_missing_file(place):
    with pytest.raises(ValueError, match="use r, w, a"):
        file.File(f"{place}/x", "q")
    for mode in ("r", "r+"):
        with pytest.raises(FileNotFoundError):
            file.File(f"{place}/missing", mode)


def test_lines_seeking_and_sizes(place):
    text = "".join(f"line {number} é\n" for number in range(1000))
    file.write(f"{place}/x", text)
    with file.File(f"{place}/x") as opened:
        assert opened.readline() == "line 0 é\n"
        assert next(opened) == "line 1 é\n"
        assert opened.next() == "line 2 é\n"
        assert len(list(opened)) == 997
        assert opened.seek(0) == 0
        assert opened.readlines()[-1] == "line 999 é\n"
        assert opened.size() == len(text.encode())
    with file.File(f"{place}/x", "rb") as opened:
        opened.seek(-5, os.SEEK_END)
        assert opened.tell() == len(text.encode()) - 5
        assert opened.read(2) == text.encode()[-5:-3]
        assert opened.read() == text.encode()[-3:]
        assert opened.read() == b""


def test_libraries_read_and_write_through_it(place):
    with file.File(f"{place}/a.json", "w") as opened:
        json.dump({"é": [1, 2]}, opened, ensure_ascii=False)
    with file.File(f"{place}/a.json") as opened:
        assert json.load(opened) == {"é": [1, 2]}
    with file.File(f"{place}/a.npy", "wb") as opened:
        np.save(opened, np.arange(10))
    with file.File(f"{place}/a.npy", "rb") as opened:
        np.testing.assert_array_equal(np.load(opened), np.arange(10))
    with file.File(f"{place}/a.png", "wb") as opened:
        Image.new("RGB", (4, 3)).save(opened, "PNG")
    with file.File(f"{place}/a.png", "rb") as opened:
        assert Image.open(opened).size == (4, 3)
    with file.File(f"{place}/a.zip", "wb") as opened, zipfile.ZipFile(opened, "w") as archive:
        archive.writestr("inside", "x" * 1000)
    with file.File(f"{place}/a.zip", "rb") as opened:
        assert zipfile.ZipFile(opened).read("inside") == b"x" * 1000
    with file.File(f"{place}/a.csv", "w") as opened:
        csv.writer(opened).writerows([["a", "b"], [1, 2]])
    with file.File(f"{place}/a.csv") as opened:
        assert list(csv.reader(opened)) == [["a", "b"], ["1", "2"]]
    with file.File(f"{place}/a.pkl", "wb") as opened:
        pickle.dump({1: 2}, opened)
    with file.File(f"{place}/a.pkl", "rb") as opened:
        assert pickle.load(opened) == {1: 2}
    stream = file.File(f"{place}/a.log", "w")
    logger = logging.Logger("x")
    logger.addHandler(logging.StreamHandler(stream))
    logger.info("logged")
    assert file.read(f"{place}/a.log") == "logged\n", "a handler flushes, and flush uploads"
    stream.close()


def test_an_exception_in_the_block_leaves_the_object_as_it_was(store):
    file.write(f"{store}/x", "old")
    with pytest.raises(RuntimeError), file.File(f"{store}/x", "w") as opened:  # noqa: PT012
        opened.write("half")
        raise RuntimeError
    assert file.read(f"{store}/x") == "old"


def test_an_object_that_is_replaced_while_it_is_read_is_an_error(store):
    file.write(f"{store}/x", os.urandom(6 << 20), binary=True)
    with file.File(f"{store}/x", "rb") as opened:
        opened.read(10)
        file.write(f"{store}/x", os.urandom(6 << 20), binary=True)
        with pytest.raises(TransferError, match="replaced while it was read"):
            opened.read()
