"""How far each log has been shown, so that following continues where it stopped."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

from mindlift import json_text
from mindlift.cloud.follow.log_text import Place
from mindlift.cloud.providers.base import Status
from mindlift.files import expanded, write_atomic


@dataclass(frozen=True)
class Position:
    """`shown` lines behind a provider's `place` were printed: Ctrl-C may come between two lines of a page."""

    place: Place = field(default_factory=lambda: Place())
    shown: int = 0


class PositionsOfJob(TypedDict):
    """A file: when the job was created, and the positions by the number of the node."""

    created_at: float | None
    nodes: dict[str, Position]


def default_folder() -> Path:
    cache = Path(expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache"))
    return cache / "mindlift" / "followed"


class Positions:
    """Positions by job and node; kept in files of `folder`, None: only in memory.

    A job is its handle and when it was created: a name of a rehearsal can be given again.
    """

    def __init__(self, folder: Path | None):
        self.folder = folder
        self.known: dict[str, PositionsOfJob] = {}  # by the file's name

    def get(self, job: Status, node: int) -> Position:
        return self.of(job)["nodes"].get(str(node), Position())

    def set(self, job: Status, node: int, position: Position) -> None:
        self.of(job)["nodes"][str(node)] = position
        self.save()

    def save(self) -> None:
        """Also after an interrupt, which may have come while this was being written."""
        if self.folder:
            self.folder.mkdir(parents=True, exist_ok=True)
            for name, found in self.known.items():
                write_atomic(self.folder / name, json.dumps(found, default=vars))

    def of(self, job: Status) -> PositionsOfJob:
        name = file_name(job)
        if name not in self.known:
            self.known[name] = self.load(name)
        if self.known[name]["created_at"] != job.created_at:
            self.known[name] = {"created_at": job.created_at, "nodes": {}}
        return self.known[name]

    def load(self, name: str) -> PositionsOfJob:
        """What the file says; of none, or another version's, nothing: the log is shown from its start."""
        try:
            found = json_text.read(self.folder / name) if self.folder else {}
            nodes = {
                str(node): Position(Place(**item["place"]), int(item["shown"]))
                for node, item in found["nodes"].items()
            }
            return {"created_at": float(found["created_at"]), "nodes": nodes}
        except (OSError, ValueError, AttributeError, KeyError, TypeError):
            return {"created_at": None, "nodes": {}}


def file_name(job: Status) -> str:
    return f"{hashlib.sha256(str(job.handle).encode()).hexdigest()[:24]}.json"
