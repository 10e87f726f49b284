"""What stands around the code: badges, versions, the site's pages, and what git ignores."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from urllib.parse import quote

import pytest

from mindlift import __version__
from mindlift.model_utils import mindspore_build
from tests.support import pages

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "benchmarks/README.md"])
README, README_CN = ROOT / "README.md", ROOT / "README_CN.md"
BADGE = re.compile(r"\[!\[([^\]]+)\]\(https://img\.shields\.io/badge/([^)]+?)-blue\)\]\(([^)]+)\)")


def badge(label: str, value: str) -> str:
    """As shields.io writes it: a dash of the value is doubled, the rest is quoted."""
    return f"{label}-{quote(value.replace('-', '--'))}"


@pytest.mark.parametrize("page", [README, README_CN], ids=lambda page: page.name)
def test_badges_are_true(page):
    about = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    known = dict(re.findall(r'^(license|requires-python|version) = "([^"]+)"', about, re.MULTILINE))
    oldest, newest = mindspore_build.OLDEST, mindspore_build.NEWEST
    found = BADGE.findall(page.read_text(encoding="utf-8"))
    assert [(shown, target) for _, shown, target in found] == [
        (badge("license", known["license"]), "LICENSE"),
        (badge("python", known["requires-python"]), "docs/versions.md"),
        (badge("mindspore", f"{dotted(oldest)} - {dotted(newest)}"), "docs/versions.md"),
        (badge("version", known["version"]), "CHANGELOG.md"),
    ]
    licence = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in licence
    assert "Version 2.0, January 2004" in licence


def dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version[:2]))


def test_the_changelog_has_the_version():
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    about = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert headings[0] == "Unreleased"
    assert all(re.fullmatch(r"\d+\.\d+\.\d+ - \d{4}-\d\d-\d\d", each) for each in headings[1:])
    assert headings[1].split()[0] == __version__
    assert f'version = "{__version__}"' in about


# What the commands of README.md and of the pages write at the top of the checkout, if one runs them there.
WRITTEN = re.compile(
    r"--(?:out|file_name|contact_sheet|output_dir|output_csv|pretrained|ckpt_file) ([\w./-]+)(?!\S)"
)


def test_what_the_commands_write_is_ignored():
    """So that the next `plan` does not find changes that are not committed."""
    commands = [command for page in PAGES for block in pages.blocks(page) for command in block.commands]
    names = (name for command in commands for name in WRITTEN.findall(command))
    found = {name for name in names if not name.partition(".")[0].isupper()}
    here = {name for name in found if "/" not in name}
    written = {name if "." in name or name in FOLDERS else f"{name}.mindir" for name in here}
    assert len(written) > 8
    asked = [f"{name}/x" if name in FOLDERS else name for name in sorted(written)]
    done = subprocess.run(
        ["git", "check-ignore", *asked], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines() == asked


def anchors(page: Path) -> set[str]:
    """Of the headings of a page, as GitHub and the site make them; a heading that comes again gets a number."""
    text = re.sub(pages.FENCE, "", page.read_text(encoding="utf-8"))
    found: list[str] = []
    for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        found.append(re.sub(r"[^\w\- ]", "", plain).replace(" ", "-"))
    return set(found)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_headings_that_a_page_links_to_exist(page):
    text = re.sub(pages.FENCE, "", page.read_text(encoding="utf-8"))
    links = re.findall(r"\]\((?!https?:)([^)#\s]*)#([^)\s]+)\)", text)
    assert [
        each for each in links if each[1] not in anchors(page.parent / each[0] if each[0] else page)
    ] == []


def test_the_site_has_every_page():
    nav = set(re.findall(r"([\w.]+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE))
    hooks = (ROOT / "scripts/docs_site.py").read_text(encoding="utf-8")
    above = dict(re.findall(r'^    "([\w./]+)": "([\w.]+\.md)",$', hooks, re.MULTILINE))
    assert {"README.md", "CHANGELOG.md", "LICENSE"} <= above.keys()
    assert nav == {path.name for path in ROOT.glob("docs/*.md")} | set(above.values())


FOLDERS = {"both", "events", "fetched", "masks", "tables"}
