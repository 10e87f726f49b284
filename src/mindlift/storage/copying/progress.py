"""How far a copy is: a bar on a terminal, a line every 10 s in a log."""

from __future__ import annotations

import importlib.util
import logging
import sys
import threading
import time
from typing import Any, Callable

from mindlift.forks import FORKS
from mindlift.language import gettext, localized

LINE_EVERY_S = 10.0
Say = Callable[[str], None]


def log_line(text: str) -> None:
    logging.getLogger("moxing").info(text)


class Progress:
    """Counts files and bytes; a `with` block around one copy. Threads may share it."""

    def __init__(self, what: str, say: Say | None = None, show_bar: bool | None = None, clock=time.monotonic):
        self.what, self.say, self.clock = what, say or log_line, clock
        self.show_bar = sys.stderr.isatty() and has_bars() if show_bar is None else show_bar
        self.lock = threading.Lock()
        self.files = self.size = self.listed = 0
        self.total_files = self.total_size = self.retries = 0
        self.started = self.spoken = clock()
        self.bar: Any = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def list(self, count: int = 1) -> None:
        self.listed += count
        if self.is_time():
            self.say(f"{self.what}: {self.listed} files listed so far")

    def expect(self, files: int, size: int) -> None:
        """The listing is complete: this is what will be copied."""
        self.total_files, self.total_size = files, size
        if self.show_bar and size:
            with FORKS.importing():
                from tqdm import tqdm

            self.bar = tqdm(
                total=size,
                unit="B",
                unit_scale=True,
                desc=gettext("{0} ({1} files)", localized(self.what), files),
                leave=False,
            )

    def add(self, size: int, files: int = 0) -> None:
        with self.lock:
            self.size += size
            self.files += files
            if self.bar is not None:
                self.bar.update(size)
                return
            speaks = self.is_time()
        if speaks:
            self.say(self.line())

    def end_file(self, is_copied: bool) -> None:
        with self.lock:
            self.files += is_copied

    def line(self) -> str:
        seconds = self.clock() - self.started
        rate = self.size / max(seconds, 1e-9)
        if not self.total_files:
            return f"{self.what}: {as_bytes(self.size)} so far, {as_bytes(rate)}/s"
        left = (self.total_size - self.size) / rate if rate else 0
        return (
            f"{self.what}: {self.files} of {self.total_files} files,"
            f" {as_bytes(self.size)} of {as_bytes(self.total_size)}, {as_bytes(rate)}/s, {left:.0f} s left"
        )

    def is_time(self) -> bool:
        now = self.clock()
        if self.show_bar or now - self.spoken < LINE_EVERY_S:
            return False
        self.spoken = now
        return True


def has_bars() -> bool:
    """Not where this package travels with a program of others, as few of its requirements are there."""
    return importlib.util.find_spec("tqdm") is not None


def as_bytes(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if abs(size) < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
