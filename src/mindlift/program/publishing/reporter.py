"""What is said about publishing: a line a minute, one when it begins to fail and one when it works again."""

from __future__ import annotations

import time
from typing import Callable

from mindlift.storage.copying.progress import as_bytes

SAY_EVERY_S = 60.0
Say = Callable[[str], None]


class Reporter:
    """Counts what went to `url`; `problem` is why publishing fails just now."""

    def __init__(self, url: str, say: Say, clock: Callable[[], float] = time.monotonic):
        self.url, self.say, self.clock = url, say, clock
        self.files = self.size = self.deleted = 0
        self.told = (0, 0)  # files and bytes at the last line
        self.told_at = clock()
        self.problem: Exception | None = None

    def published(self, size: int) -> None:
        self.files, self.size = self.files + 1, self.size + size
        if self.problem:
            self.say(f"publishing to {self.url} works again")
        self.problem = None

    def failed(self, err: Exception) -> None:
        if self.problem is None:
            text = " ".join(str(err).split())
            self.say(f"warning: could not publish to {self.url}, will try again: {text}")
        self.problem = err

    def say_so(self) -> None:
        """From time to time."""
        if self.files > self.told[0] and self.clock() - self.told_at >= SAY_EVERY_S:
            files, size = self.files - self.told[0], self.size - self.told[1]
            self.say(f"published {files} files, {as_bytes(size)}, to {self.url}")
            self.told, self.told_at = (self.files, self.size), self.clock()

    def summary(self) -> str:
        line = f"published {self.files} files, {as_bytes(self.size)}, to {self.url}"
        return f"{line}; deleted {self.deleted} that the program has deleted" if self.deleted else line
