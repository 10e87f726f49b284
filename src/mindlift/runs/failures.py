"""What the ranks of a run failed with, by the ends of their logs."""

from __future__ import annotations

import os
import re
from pathlib import Path

RANK_LOG = re.compile(r"rank_([0-9]{1,6})\.log")
ERROR = re.compile(r"[-0-9]+ [:,0-9]+ ERROR (.+)")  # as runs/log.py writes it
MOST_RANKS = 4096
TAIL_BYTES = 16 << 10


def read(root: Path) -> dict[int, str]:
    """The error of each rank whose log ends with one; a rank that went on afterwards has none."""
    found = {rank: last_line(path) for rank, path in sorted(logs(root).items())[:MOST_RANKS]}
    errors = {rank: ERROR.fullmatch(line) for rank, line in found.items()}
    return {rank: error[1] for rank, error in errors.items() if error}


def logs(root: Path) -> dict[int, Path]:
    """The logs of a run by rank."""
    folder = root / "logs"
    named = [(RANK_LOG.fullmatch(path.name), path) for path in folder.iterdir()] if folder.is_dir() else []
    return {int(name[1]): path for name, path in named if name and path.is_file()}


def last_line(path: Path) -> str:
    with open(path, "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL_BYTES))
        return file.read().decode("utf-8", "replace").rstrip().rpartition("\n")[2]
