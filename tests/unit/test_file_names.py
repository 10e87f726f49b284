"""Names from outside are never paths: where they come in, and again where something is written or removed."""

from __future__ import annotations

import pytest

from mindlift.file_names import FileName, inside, is_file_name
from mindlift.runs.manifest import Saved

PATHS = [
    "",
    ".",
    "..",
    "../a",
    "a/b",
    "/etc/passwd",
    "a\\b",
    ".hidden",
    "a\nb",
    "a\0b",
    "\x1b[2J",
    "x" * 256,
    "数" * 86,
    None,
    5,
]
NAMES = ["a", "a..b", "a b", "-rf", "~", "数" * 85, "x" * 255, "densenet100-1_2.ckpt", "a%2Fb"]


@pytest.mark.parametrize("name", PATHS, ids=repr)
def test_what_could_be_elsewhere_is_no_name(tmp_path, name):
    assert not is_file_name(name)
    with pytest.raises(ValueError, match="name"):
        inside(tmp_path, name)
    with pytest.raises(ValueError, match="name"):
        Saved(name, 1, 2, 3, 4, 5, "", 0.0).path(tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_names_of_files_are(tmp_path, name):
    assert FileName(name) == name
    assert inside(tmp_path, name) == tmp_path / name
