"""`~` has one meaning: where a path is expanded, and for users without a home."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import pytest

from mindlift import files
from mindlift.ascend_check import redaction
from mindlift.cloud.prepare import images
from mindlift.cloud.providers.local import folder
from mindlift.cloud.providers.modelarts import keys
from mindlift.data.segmentation import lists
from mindlift.storage.url import local_path

SOURCES = Path(files.__file__).parent
ONLY = {"files.py"}


@pytest.fixture
def nobody(monkeypatch):
    """No HOME and no entry in passwd, as for a container's user."""

    def getpwuid(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.delenv("HOME", raising=False)
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", getpwuid)


def test_one_file_expands_and_looks_for_the_home():
    found = set()
    for path in SOURCES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = node.attr if isinstance(node, ast.Attribute) else ""
            is_home = name == "home" and isinstance(node.value, ast.Name) and node.value.id == "Path"
            if name == "expanduser" or is_home:
                found.add(path.relative_to(SOURCES).as_posix())
    assert found == ONLY


@pytest.mark.parametrize(
    "expand",
    [files.expanded, local_path, lambda text: str(lists.find(Path("/"), text))],
    ids=["files", "storage", "lists"],
)
def test_a_file_that_begins_with_a_tilde_is_that_file(tmp_path, monkeypatch, expand):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "~root.txt").write_text("x")
    (tmp_path / "home").mkdir()
    (tmp_path / "home/list.txt").write_text("x")
    assert expand("~root.txt") == "~root.txt"
    assert expand("~/list.txt") == str(tmp_path / "home/list.txt")


@pytest.mark.parametrize(
    "ask",
    [
        files.home,
        lambda: local_path("~/x"),
        lambda: redaction.of_this_machine({})("nothing"),
        lambda: list(images.tables_of({})),
        lambda: keys.profile_path({}),
        lambda: keys.profile_path({keys.FILE: "~/x"}),
        folder.home,
        lambda: lists.find(Path("/nowhere"), "~/x"),
    ],
)
def test_a_user_without_a_home_is_served(nobody, monkeypatch, ask):
    for name in ("XDG_CACHE_HOME", "MINDLIFT_REHEARSALS"):
        monkeypatch.delenv(name, raising=False)
    ask()
    assert str(os.getuid()) in files.home()
