"""How far each log has been shown, so that following goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from cloud.handle import Handle
from src.model_utils.run_paths import write_atomic


def default_folder() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return cache / "mindlift" / "followed"


class Positions:
    """Numbers of the next line, by job and node; kept in files of `folder`, None: only in memory."""

    def __init__(self, folder: Path | None):
        self.folder = folder
        self.known: dict[str, dict[str, int]] = {}

    def get(self, handle: Handle, node: int) -> int:
        return self.read(handle).get(str(node), 0)

    def set(self, handle: Handle, node: int, line: int) -> None:
        self.read(handle)[str(node)] = line
        self.save(handle)

    def save(self, handle: Handle) -> None:
        """Also after an interrupt, which may have come while this was being written."""
        if self.folder:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_atomic(self.file(handle), json.dumps(self.read(handle)))

    def forget(self, handle: Handle) -> None:
        self.known.pop(str(handle), None)
        if self.folder:
            self.file(handle).unlink(missing_ok=True)

    def read(self, handle: Handle) -> dict[str, int]:
        if str(handle) not in self.known:
            self.known[str(handle)] = self.load(handle)
        return self.known[str(handle)]

    def load(self, handle: Handle) -> dict[str, int]:
        if not self.folder or not self.file(handle).exists():
            return {}
        try:
            return {str(node): int(line) for node, line in json.loads(self.file(handle).read_text()).items()}
        except (ValueError, AttributeError, TypeError):
            return {}  # a file that another version wrote: the log is shown from its start

    def file(self, handle: Handle) -> Path:
        assert self.folder
        return self.folder / f"{hashlib.sha256(str(handle).encode()).hexdigest()[:24]}.json"
