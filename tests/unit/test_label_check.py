"""Labels that can't be meant: nothing but background and ignored pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mindlift.data.segmentation import label_check
from mindlift.data.segmentation import lists as seg_lists
from mindlift.errors import DataError


class Labels:
    """Labels of a row of pixels each; None is a damaged file."""

    def __init__(self, rows, num_classes=2, ignore_label=255):
        self.rows, self.num_classes, self.ignore_label = rows, num_classes, ignore_label
        self.read = 0

    def __len__(self):
        return len(self.rows)

    def decoded_label(self, index):
        self.read += 1
        if self.rows[index] is None:
            raise DataError("corrupt label")
        return np.array([self.rows[index]], np.uint8)


@pytest.mark.parametrize(
    ("rows", "kwargs", "share"),
    [
        ([[0, 255]], {}, "50.0 %"),
        ([[0, 0, 0, 255]] * 3, {"num_classes": 21}, "25.0 %"),
        ([None, [255, 255]], {}, "100.0 %"),
        ([[0, 0], [0, 255]], {}, "25.0 %"),
        ([[0, 7]], {"ignore_label": 7}, "50.0 %"),
        ([[0, 255]] * 1000, {}, "50.0 %"),
    ],
)
def test_background_and_ignored_pixels_only_are_refused(rows, kwargs, share):
    with pytest.raises(DataError, match=f"{share} are --ignore_label") as caught:
        label_check.check(Labels(rows, **kwargs))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("rows", "kwargs"),
    [
        ([[0, 1, 255]], {}),
        ([[0, 0]], {}),  # no object in any of them, and nothing that hides one
        ([[0, 255], [0, 1]], {}),
        ([[0, 255]], {"num_classes": 1}),
        ([None], {}),
        ([], {}),
        ([[0, 9]], {}),  # no class at all, which its reader says
    ],
)
def test_others_pass(rows, kwargs):
    label_check.check(Labels(rows, **kwargs))


def test_the_first_good_label_is_enough():
    labels = Labels([[0, 1]] * 500)
    label_check.check(labels)
    assert labels.read == 1


def test_classes_that_never_appear_are_named():
    names = [f"c{i}" for i in range(12)]
    assert label_check.absent(np.ones(12), names) == ""
    assert label_check.absent(np.array([1, 0, 3]), names[:3]).startswith("no label has a pixel of c1:")
    assert "and 3 more" in label_check.absent(np.array([1, *[0] * 11]), names)


@pytest.mark.parametrize("gone", ["0.jpg", "3.png", "11.jpg", "7.png"])
def test_any_missing_file_of_a_list_is_named_at_the_start(tmp_path, gone):
    pairs = [seg_lists.Pair(f"{i}.jpg", f"{i}.png") for i in range(12)]
    for pair in pairs:
        for name in pair:
            (tmp_path / name).write_bytes(b"")
    seg_lists.write(tmp_path / seg_lists.TRAIN_LIST, pairs)
    seg_lists.check(tmp_path, True)
    Path(tmp_path / gone).unlink()
    with pytest.raises(DataError, match=rf"/{gone} is missing, which the list of the training images names;"):
        seg_lists.check(tmp_path, True)
    (tmp_path / "1.jpg").unlink()
    with pytest.raises(DataError, match=r"and so are 1 of the 24 files"):
        seg_lists.check(tmp_path, True)
