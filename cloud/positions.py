"""How far each log has been shown, so that following goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from cloud.providers.base import Status
from src.model_utils.run_paths import write_atomic


def default_folder() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return cache / "mindlift" / "followed"


class Positions:
    """Numbers of the next line, by job and node; kept in files of `folder`, None: only in memory.

    A job is its handle and when it was created: a name of a rehearsal can be given again.
    """

    def __init__(self, folder: Path | None):
        self.folder = folder
        self.known: dict[str, dict] = {}  # file's name: {"created_at": seconds, "lines": {node: number}}

    def get(self, job: Status, node: int) -> int:
        return self.of(job)["lines"].get(str(node), 0)

    def set(self, job: Status, node: int, line: int) -> None:
        self.of(job)["lines"][str(node)] = line
        self.save()

    def save(self) -> None:
        """Also after an interrupt, which may have come while this was being written."""
        if self.folder:
            self.folder.mkdir(parents=True, exist_ok=True)
            for name, found in self.known.items():
                write_atomic(self.folder / name, json.dumps(found))

    def of(self, job: Status) -> dict:
        name = file_name(job)
        if name not in self.known:
            self.known[name] = self.load(name)
        if self.known[name]["created_at"] != job.created_at:
            self.known[name] = {"created_at": job.created_at, "lines": {}}
        return self.known[name]

    def load(self, name: str) -> dict:
        try:
            found = json.loads((self.folder / name).read_text()) if self.folder else {}
            lines = {str(node): int(line) for node, line in found["lines"].items()}
            return {"created_at": float(found["created_at"]), "lines": lines}
        except (OSError, ValueError, AttributeError, KeyError, TypeError):
            return {
                "created_at": None,
                "lines": {},
            }  # none, or another version's: the log is shown from its start


def file_name(job: Status) -> str:
    return f"{hashlib.sha256(str(job.handle).encode()).hexdigest()[:24]}.json"
