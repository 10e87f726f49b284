"""docs/troubleshooting.md: our messages are the ones that the programs print, and every code of a platform is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from mindlift.cloud.providers.modelarts import codes as modelarts
from mindlift.cloud.providers.openi import codes as openi

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
OURS = re.findall(
    r"^\| `([^`]+)`", PAGE.partition("## What MindLift says")[2].partition("\n## ")[0], re.MULTILINE
)


def messages(path: Path) -> set[str]:
    """The texts of a file, with … for what is put into them."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.JoinedStr):
            parts = (str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
            found.add("".join(parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)
    return found


@pytest.fixture(scope="module")
def known() -> str:
    files = [*ROOT.glob("src/**/*.py"), *ROOT.glob("cloud/**/*.py")]
    return "\n".join(sorted(set().union(*map(messages, files))))


@pytest.mark.parametrize("message", OURS)
def test_a_message_of_ours_is_one_that_there_is(known, message):
    parts = [re.escape(part.strip()) for part in message.split("…") if part.strip()]
    assert re.search(".*".join(parts), known)


def test_the_page_has_our_messages():
    assert len(OURS) > 30


@pytest.mark.parametrize(
    "code",
    [
        *modelarts.CODES,
        *(code for code, known in openi.CODES.items() if known.advice),
    ],
)
def test_every_code_that_is_known_is_explained(code):
    assert re.search(rf"^\|.*(?<!\d){re.escape(code)}(?!\d)", PAGE, re.MULTILINE)
