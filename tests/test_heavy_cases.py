"""heavy_cases.txt names tests that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LINES = (ROOT / "tests/heavy_cases.txt").read_text(encoding="utf-8").splitlines()
FUNCTIONS = sorted({line.partition("[")[0] for line in LINES if not line.startswith("#")})


@pytest.mark.parametrize("name", FUNCTIONS)
def test_it_is_there(name):
    path, _, function = name.partition("::")
    assert re.search(rf"^def {function}\(", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE)


def test_each_is_named_once():
    assert len(set(LINES)) == len(LINES)
