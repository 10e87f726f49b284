"""Hooks of mkdocs: pages from outside docs/, and blocks and links as the site knows them. See mkdocs.yml."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
PAGES = {  # files from elsewhere, and what they are called there
    "README.md": "index.md",
    "README_CN.md": "README_CN.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "SECURITY.md": "SECURITY.md",
    "LICENSE": "LICENSE.md",
    "benchmarks/README.md": "benchmarks.md",
}
SOURCES = {page: source for source, page in PAGES.items()}
FENCE = re.compile(r"^```(\w+) \w+$", re.MULTILINE)  # `bash run`, by which the tests find what to run
LINK = re.compile(r"(!?\[(?:[^\[\]]|!\[[^\]]*\]\([^)]*\))*\])\(([^)\s]+)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for source, page in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(
            File.generated(config, page, content=text if source.endswith(".md") else f"```text\n{text}```\n")
        )
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    source = SOURCES.get(page.file.src_uri, f"docs/{page.file.src_uri}")
    return LINK.sub(
        lambda found: link(found[1], found[2], posixpath.dirname(source)), FENCE.sub(r"```\1", markdown)
    )


def link(label: str, target: str, folder: str) -> str:
    """The same link within the site; the label alone where the target is a file that the site has not."""
    path, anchor = target.partition("#")[::2]
    if not path or "://" in target:
        return f"{label}({target})"
    place = posixpath.normpath(posixpath.join(folder, path))
    found = PAGES.get(place) or (place[len("docs/") :] if place.startswith("docs/") else "")
    if not found:
        return label[1:-1]
    return f"{label}({found}{'#' * bool(anchor)}{anchor})"
