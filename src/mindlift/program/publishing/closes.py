"""Tells at once when a file is closed after it was written, or renamed: Linux's inotify, by ctypes.

Without it (another system, no watches left) files are only looked at now and then, and what a program saves in the last
moment before it fails may be held back.
"""

from __future__ import annotations

import ctypes
import os
import select
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

CLOSE_WRITE, MOVED_TO, CREATE, IS_FOLDER = 0x8, 0x80, 0x100, 0x40000000
ONLY_FOLDERS = 0x01000000
HEAD, HEAD_BYTES = "iIII", 16  # watch, what, cookie, length of the name that follows
DRAINED_WITHIN_S = 1.0


class Closes:
    """`closed` is called with the path of each file that is closed or renamed below `root`, by a thread, in order."""

    def __init__(self, root: Path, closed: Callable[[str], None]):
        self.root, self.closed = str(root), closed
        self.folders: dict[int, str] = {}
        self.descriptor = -1
        self.telling = threading.Lock()

    def start(self) -> None:
        if sys.platform != "linux":
            return
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.descriptor = self.libc.inotify_init1(os.O_CLOEXEC)
        if self.descriptor >= 0:
            self.watch(self.root)
            threading.Thread(target=self.read, name="closes", daemon=True).start()

    def watch(self, folder: str) -> None:
        """A folder and those below it. What has been closed in one before that is for the next look to see."""
        what = CLOSE_WRITE | MOVED_TO | CREATE | ONLY_FOLDERS
        number = self.libc.inotify_add_watch(self.descriptor, os.fsencode(folder), what)
        if number < 0:
            return
        self.folders[number] = folder
        try:
            below = [entry.path for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)]
        except OSError:
            return
        for path in below:
            self.watch(path)

    def read(self) -> None:
        while True:
            select.select([self.descriptor], [], [])
            with self.telling:
                try:
                    data = os.read(self.descriptor, 1 << 16)
                except OSError:
                    return
                self.tell(data)

    def tell(self, data: bytes) -> None:
        for number, what, name in events(data):
            path = f"{self.folders.get(number, self.root)}/{name}"
            if what & IS_FOLDER:
                self.watch(path)
            elif what & (CLOSE_WRITE | MOVED_TO):
                self.closed(path)

    def drain(self) -> None:
        """Until all that has happened so far has been told."""
        deadline = time.monotonic() + DRAINED_WITHIN_S
        while self.descriptor >= 0 and time.monotonic() < deadline:
            with self.telling:
                if not select.select([self.descriptor], [], [], 0)[0]:
                    return
            time.sleep(0.005)


def events(data: bytes) -> Iterator[tuple[int, int, str]]:
    at = 0
    while at < len(data):
        number, what, _, length = struct.unpack_from(HEAD, data, at)
        at += HEAD_BYTES
        yield number, what, os.fsdecode(data[at : at + length].rstrip(b"\0"))
        at += length
