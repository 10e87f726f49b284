"""The first table of docs/architecture.md leads to files that are there and hold the names it gives."""

from __future__ import annotations

import re

import pytest

from tests.support.programs import ROOT

PAGE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
TABLE = PAGE.partition("## Find anything in two hops")[2].partition("\n## ")[0]
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in TABLE.splitlines()
    if line.startswith("| ")
]
ASKED = (  # what a reader has to find
    "rank variables of OpenMPI",
    "learning rate of InceptionV4's phase 2",
    "retry rule of a 503",
    "MD5 check of a download",
    "class colours of VOC",
    "request body of ModelArts",
    "list of a run's files",
)


@pytest.mark.parametrize("subject", ASKED)
def test_the_page_answers(subject):
    assert [row for row in ROWS if subject in row[0]]


@pytest.mark.parametrize("row", ROWS[1:], ids=lambda row: row[0])
def test_a_row_leads_to_its_file(row):
    folder = re.search(r"`([^`]+)/`", row[1])
    folders = sorted((ROOT / "src/mindlift").glob(folder[1].replace("<task>", "*"))) if folder else [ROOT]
    assert folders
    file, *names = re.findall(r"`([^`]+)`", row[2] if "`" in row[2] else row[1])
    for place in folders:
        if file.endswith((".py", ".yaml")) and "__" not in file:
            text = (place / file).read_text(encoding="utf-8") if (place / file).exists() else None
            if text is None and "<task>" in row[1]:
                continue  # a folder of another kind beside the tasks
            assert text is not None, place / file
            in_file = [name for name in names if "/" not in name and not name.endswith(".py")]
            assert [name for name in in_file if name not in text] == []
