"""Lines of logs for the page: of files by bytes, of jobs by number. Control characters are shown, not obeyed."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from mindlift import sanitize
from mindlift.language import gettext
from mindlift.runs import failures
from mindlift.ui.runs import is_inside

BLOCK_BYTES = 64 << 10  # of one answer
LONGEST = 4000  # letters of a line


@dataclass
class Lines:
    """What is new, where to go on, and which parts the log has: ranks, or nodes."""

    lines: list[str] = field(default_factory=list)
    next: int = 0
    parts: list[int] = field(default_factory=list)
    note: str = ""


def of_run(root: Path, served: Path, rank: int, after: int) -> Lines:
    """The whole lines of a rank's log behind byte `after`; below 0: its last ones."""
    files = {number: path for number, path in failures.logs(root).items() if is_inside(path, served)}
    if rank not in files:
        return Lines(parts=sorted(files), note=gettext("this run has no log in its folder"))
    with open(files[rank], "rb") as file:
        size = os.fstat(file.fileno()).st_size
        start = max(0, size - BLOCK_BYTES) if after < 0 or after > size else after
        file.seek(start)
        block = file.read(BLOCK_BYTES)
    whole = block[: block.rfind(b"\n") + 1] or (block if len(block) == BLOCK_BYTES else b"")
    lines = whole.decode("utf-8", "replace").split("\n") if whole else []
    if whole.endswith(b"\n"):
        lines.pop()
    is_cut = start > 0 and start != after
    return Lines([shown(line) for line in lines[is_cut:]], start + len(whole), sorted(files))


def shown(line: str) -> str:
    """One line of text: without colours, and of a progress bar its last state."""
    text = sanitize.COLOUR.sub("", line.rstrip("\r")).rpartition("\r")[2].expandtabs()
    return sanitize.single_line(text[:LONGEST])
