from __future__ import annotations

import json

import pytest

from mindlift.data import class_names
from mindlift.errors import DataError

THREE = ["cat", "dog", "eel"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("n.txt", "cat\ndog\neel\n"),
        ("n.txt", "\ufeffcat\r\ndog \r\neel"),
        ("n.json", json.dumps(THREE)),
        ("n.json", json.dumps({"0": "cat", "2": "eel", "1": "dog"})),
        ("n.json", json.dumps({str(i): [f"n{i}", name] for i, name in enumerate(THREE)})),
    ],
)
def test_forms_of_files(tmp_path, name, text):
    (tmp_path / name).write_bytes(text.encode())
    assert class_names.load(tmp_path / name, 3, False) == THREE


def test_a_folder_of_class_folders(tmp_path):
    for name in THREE:
        (tmp_path / "train" / name).mkdir(parents=True)
        (tmp_path / "val" / name).mkdir(parents=True)
    assert class_names.load(tmp_path, 3, False) == THREE
    assert class_names.load(tmp_path / "train", 3, False) == THREE


@pytest.mark.parametrize(
    ("name", "text", "count", "part"),
    [
        ("n.txt", "cat\ndog\n", 3, "does not name class 2"),
        ("n.txt", "cat\ndog\neel\n", 2, "names class 2, but the network has 2 classes"),
        ("n.json", "{", 3, "expected one name per line"),
        ("n.json", '{"a": "cat"}', 3, "expected one name per line"),
        ("n.json", '"cat"', 3, "expected one name per line"),
        ("n.json", "[1, 2, 3]", 3, "1 is not a name"),
        ("n.txt", None, 3, "No such file"),
    ],
)
def test_names_that_do_not_fit(tmp_path, name, text, count, part):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=part):
        class_names.load(tmp_path / name, count, False)


def test_missing_names_can_be_accepted(tmp_path):
    (tmp_path / "n.txt").write_text("cat\ndog\n")
    assert class_names.load(tmp_path / "n.txt", 3, True) == ["cat", "dog", "class 2"]


def test_names_that_are_known_of_the_training(tmp_path):
    assert class_names.of_training("digits", None, 10) == list(class_names.DIGITS)
    assert class_names.of_training("cifar10", None, 7) is None
    assert class_names.of_training("imagenet", None, 3) is None
    assert class_names.of_training("imagenet", tmp_path / "gone", 3) is None
    for name in THREE:
        (tmp_path / name).mkdir()
    assert class_names.of_training("imagenet", tmp_path, 3) == THREE
    assert class_names.of_training("imagenet", tmp_path, 4) is None, "another data set by now"
