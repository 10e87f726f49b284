"""What the documents name is there: tests, files behind links; and the README fits a window."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "benchmarks/README.md"])
LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)")
TEST = re.compile(r"`(?:(test_\w+\.py)(?:::(test_\w+))?|(test_\w+))`")
TESTS = {path.name: path.read_text(encoding="utf-8") for path in ROOT.glob("tests/**/test_*.py")}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_tests_that_a_page_names_exist(page):
    text = page.read_text(encoding="utf-8")
    assert [link for link in LINK.findall(text) if not (page.parent / link).exists()] == []
    for file, name, alone in TEST.findall(text):
        searched = [TESTS.get(file, "")] if file else list(TESTS.values())
        wanted = f"def {name or alone}(" if name or alone else "def test_"
        assert any(wanted in body for body in searched), f"{file} {wanted}"


def test_the_pages_name_some_tests():
    assert sum(len(TEST.findall(page.read_text(encoding="utf-8"))) for page in PAGES) > 20


def test_lines_of_the_readme_fit_a_window():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if len(line) > 120 and not line.startswith("|")] == []
