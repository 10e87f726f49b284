"""The documents are followed literally: their marked commands run, and what docs/adding.md adds is trained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support import pages
from tests.support.programs import ROOT, environment

ADDING = ROOT / "docs/adding.md"
README = ROOT / "README.md"
IS_RUNNING = "make test"  # these are its tests


@pytest.mark.heavy
def test_the_page_on_adding_is_followed(tmp_path):
    folder, printed = pages.checkout(tmp_path / "checkout"), ""
    for block in pages.blocks(ADDING):
        if block.file:
            (folder / block.file).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.file).write_text(block.body, encoding="utf-8")
        elif block.info == pages.RUN:
            printed += pages.run(block, folder, environment(XDG_CACHE_HOME=str(tmp_path)), 400)
    runs = [*folder.glob("output/2*"), *folder.glob("bare/toy/output/*")]
    steps = [json.loads((run / "result.json").read_text())["steps"] for run in runs]
    assert steps == [4] * 4, "the network, the data set, the task, the provider's job"
    assert (folder / "plain8.mindir").stat().st_size > 4 * 1586
    assert list(folder.glob("output/cloud/toy/*/result.json")), "what the job has left is fetched"


def marked(info: str) -> list[pages.Block]:
    return [block for block in pages.blocks(README) if block.info == info]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return pages.checkout(tmp_path_factory.mktemp("checkout"))


@pytest.mark.parametrize("number", range(len(marked(pages.QUICK))))
def test_quick_commands_of_the_readme(number, folder):
    pages.run(marked(pages.QUICK)[number], folder, environment(), 120)


@pytest.mark.heavy
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("number", range(len(marked(pages.RUN))))
def test_commands_of_the_readme(number, folder):
    block = marked(pages.RUN)[number]
    needs_make = any(command.startswith("make ") for command in block.commands)
    if needs_make and not (folder / ".venv/.ready").exists():
        pytest.skip("this environment was not made by `make setup`")
    without = "\n".join(command for command in block.commands if command != IS_RUNNING)
    pages.run(pages.Block(block.info, without + "\n"), folder, environment(), 1700)
