"""docs/troubleshooting.md: our messages are the ones that the programs print, and every code of a platform is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from mindlift.cloud.providers.modelarts import codes as modelarts
from mindlift.cloud.providers.openi import codes as openi
from tests.support import messages as support

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


def test_every_message_is_on_the_page():
    """In a row, or in the list behind them: `python -m tests.support.messages` writes that anew."""
    found = {text for texts in support.of_project().values() for text in texts}
    assert len(found) > 700
    rows, lines = support.explained(PAGE), set(PAGE.splitlines())
    assert sorted(text for text in found - lines if not any(row.search(text) for row in rows)) == []
    assert support.section(PAGE) in PAGE, "the list is an old one"


MODULE = """
class Wrong(ValueError): ...
class Worse(Wrong): ...
def f(x, log):
    says = f"the file {x} is gone"
    if x:
        raise Wrong("one name is wrong" if x else f"two names {x} are wrong")
    log.warning("this may take " + str(x) + " a while")
    print(gettext("{0} words of {1} follow", 1, x))
    raise module.Worse("it is much worse") from None
    unheard("nobody is told of this")
    says = "too short"
"""


def test_how_messages_are_collected():
    assert support.collected({"a.py": MODULE})["a.py"] == {
        "the file … is gone",
        "one name is wrong",
        "two names … are wrong",
        "this may take … a while",
        "… words of … follow",
        "it is much worse",
    }
    script = 'die "DEVICE_NUM \'$1\': expected a number"\necho "rank $i of ${N} ended with $(code 2)" >&2\n'
    assert support.of_script(script) == {"DEVICE_NUM '…': expected a number", "rank … of … ended with …"}


def test_a_row_explains_what_it_quotes():
    page = f"{support.OWN}\n\n| message |\n| `no data at …`, `nothing to read in …` | x | y |\n\n{support.BEGINS}"
    rows = support.explained(page)
    assert [
        any(row.search(text) for row in rows)
        for text in ("no data at …; list it", "nothing to read in …", "else")
    ] == [
        True,
        True,
        False,
    ]
