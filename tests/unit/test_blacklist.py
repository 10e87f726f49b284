from __future__ import annotations

import numpy as np
import pytest

from mindlift.data.classification import blacklist
from mindlift.errors import DataError

FILES = [f"/data/n01/ILSVRC2012_val_{number:08d}.JPEG" for number in (3, 1, 7, 12)]


def test_the_listed_images_do_not_count(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("7\n3\n50000\n")
    np.testing.assert_array_equal(blacklist.counted(path, FILES, 4), [False, True, False, True])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1\nx\n", "'x'"),
        ("0\n", "'0'"),
        ("50001", "'50001'"),
        ("3\n3\n", "twice"),
        ("", "0 numbers"),
        ("5\n", "0 of its 1"),
    ],
)
def test_what_is_no_list_for_these_images(tmp_path, text, says):
    path = tmp_path / "list.txt"
    path.write_text(text)
    with pytest.raises(DataError, match=says):
        blacklist.counted(path, FILES, 4)


def test_imagenets_list_has_1762_numbers(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("\n".join(map(str, range(1, 1762))))
    with pytest.raises(DataError, match="1761 numbers, but ImageNet's has 1762"):
        blacklist.read(path, 50_000)
    path.write_text("\n".join(map(str, range(1, 1763))))
    files = [f"ILSVRC2012_val_{number:08d}.JPEG" for number in range(1, 50_001)]
    assert blacklist.counted(path, files, 50_000).sum() == 48_238


@pytest.mark.parametrize(("files", "says"), [(None, "none"), (["/data/cat.jpg"], "cat.jpg has no number")])
def test_images_need_numbers(tmp_path, files, says):
    path = tmp_path / "list.txt"
    path.write_text("1\n")
    with pytest.raises(DataError, match=says):
        blacklist.counted(path, files, 1)


def test_a_list_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match="No such file"):
        blacklist.read(tmp_path / "none", 4)
