"""The documents as tests see them: their fenced blocks, the files that they write, a checkout to run them in."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(
    r"(?:^`(?P<file>[\w./-]+)`\n)?^```(?P<info>[^\n]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL
)
RUN, QUICK = "bash run", "bash quick"  # blocks that the heavy and the quick suite run
SET_UP = (
    "requirements.txt",
    "requirements-dev.txt",
    "scripts/setup.sh",
)  # newer than .venv/.ready they install


@dataclass(frozen=True)
class Block:
    """A fenced block; `file` is the path that stands alone in backticks on the line before it."""

    info: str
    body: str
    file: str | None = None

    @property
    def commands(self) -> list[str]:
        """The commands of a shell's block, without comments, each on one line."""
        lines = re.sub(r"\\\n\s*", "", self.body).splitlines()
        found = [re.sub(r"(^|\s)#.*", "", line).rstrip() for line in lines]
        return [line for line in found if line]


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [Block(match["info"].strip(), match["body"], match["file"]) for match in FENCE.finditer(text)]


def commands(page: Path) -> Iterator[str]:
    """Those of all shell blocks, whether marked or not."""
    for block in blocks(page):
        if block.info.split(" ")[0] == "bash":
            yield from block.commands


def checkout(folder: Path) -> Path:
    """The files of this checkout as a commit of its own in `folder`, with this interpreter's environment as .venv."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    ).stdout.decode()
    for name in listed.split("\0"):
        if name and (ROOT / name).is_file() and not name.startswith(".venv"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    for name in SET_UP:
        os.utime(folder / name, (1, 1))
    git(folder, "init", "-q")
    (folder / ".git/info/exclude").write_text(".venv\n")
    (folder / ".venv").symlink_to(sys.prefix)
    git(folder, "add", "-A")
    git(folder, "-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-qm", "as it is")
    return folder


def git(folder: Path, *words: str) -> None:
    subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True)


def run(block: Block, folder: Path, environment: dict[str, str], timeout: float) -> str:
    """What the block's commands print, run one after another in one shell; the first failure fails the test."""
    script = "\n".join(["set -e", *block.commands])
    path = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env={**environment, "PATH": path},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def write_between(page: Path, begin: str, end: str, text: str) -> None:
    """Put `text` between two marks of a page."""
    before, _, rest = page.read_text(encoding="utf-8").partition(begin)
    page.write_text(f"{before}{begin}\n\n{text}\n{end}{rest.partition(end)[2]}", encoding="utf-8")
