"""Where this machine keeps its copies of data sets and checkpoints, and how its processes share the work of making them."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from hashlib import sha256
from pathlib import Path

from mindlift.json_text import Record
from mindlift.locks import alone
from mindlift.model_utils.inputs import Source
from mindlift.storage.copying import copy as transfer
from mindlift.storage.copying.progress import Say


class Stager:
    """Stages below the folder `cache`. Of several processes that stage the same, one does, and the others wait for it,
    at most `timeout_s`, and find it there."""

    def __init__(self, cache: Path, say: Say, show_bar: bool | None = None, timeout_s: float = 7200.0):
        self.cache, self.say, self.show_bar, self.timeout_s = cache, say, show_bar, timeout_s
        self.staged: list[Record] = []  # records of what was copied, see run_paths.transfers

    def place(self, kind: str, source: Source) -> Path:
        """A folder for one source, the same for the same URL."""
        name = source.name or Path(source.url.rstrip("/")).name or "data"
        return (
            self.cache
            / kind
            / f"{name.split('.')[0]}-{sha256(source.url.rstrip('/').encode()).hexdigest()[:8]}"
        )

    def alone(self, target: Path, what: str) -> AbstractContextManager[None]:
        """Nobody else fills `target` in the block."""
        return alone(beside(target, "lock"), f"stage {what}", self.timeout_s, self.say)

    def fetch(self, url: str, path: Path) -> None:
        """Copy an object to a file."""
        report = transfer.copy_file(url, str(path))
        self.say(report.as_line())
        self.note(report)

    def note(self, report: transfer.Report) -> None:
        self.staged.append(transferred("staged", report.source, report.done_bytes, report.seconds))


def beside(folder: Path, what: str) -> Path:
    """A hidden file or folder that says something about `folder`."""
    return folder.with_name(f".{folder.name}.{what}")


def transferred(event: str, what: str, size_bytes: int, seconds: float) -> Record:
    """A line of a run's transfers.jsonl: `event` is staged or published, `time` is when it was done."""
    return {
        "time": round(time.time(), 3),
        "event": event,
        "what": what,
        "bytes": size_bytes,
        "seconds": round(seconds, 3),
    }
