"""`background_sync_copy`: a folder that is uploaded again and again by a thread."""

from __future__ import annotations

import atexit
import logging
import os
import threading

from mindlift.errors import MindLiftError
from mindlift.storage.moxing.on_demand import copy_file
from mindlift.storage.url import PathLike, join


class BackgroundCopy:
    """Copies what is new or changed every `seconds`. A round that fails is a warning; the next one tries again."""

    def __init__(self, local: str, remote: str, seconds: float):
        self.local, self.remote, self.seconds, self.process = local, remote, seconds, os.getpid()
        self.copied: dict[str, tuple[int, int]] = {}
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.loop, name="background_sync_copy", daemon=True)
        self.thread.start()
        atexit.register(self.stop)

    def loop(self) -> None:
        while not self.ending.wait(self.seconds):
            self.round()

    def round(self) -> None:
        for name, mark in self.files().items():
            if self.copied.get(name) == mark:
                continue
            try:
                copy_file(os.path.join(self.local, name), join(self.remote, name))
                self.copied[name] = mark
            except (MindLiftError, OSError) as err:
                logging.getLogger("moxing").warning("%s was not copied, will try again: %s", name, err)
                return

    def files(self) -> dict[str, tuple[int, int]]:
        found = {}
        for folder, _, names in os.walk(self.local):
            for name in names:
                path = os.path.join(folder, name)
                if os.path.isfile(path):
                    status = os.stat(path)
                    found[os.path.relpath(path, self.local)] = (status.st_size, status.st_mtime_ns)
        return found

    def stop(self) -> None:
        """End the thread, and copy once more what has changed. A second call does nothing, nor does one in a forked child."""
        if not self.ending.is_set() and self.process == os.getpid():
            self.ending.set()
            self.thread.join()
            atexit.unregister(self.stop)
            self.round()


def background_sync_copy(local: PathLike, obs: PathLike, seconds: float = 120, **_: object) -> BackgroundCopy:
    """Start copying the folder `local` to `obs` every `seconds`; the result's `stop()` ends that."""
    return BackgroundCopy(os.fspath(local), os.fspath(obs), seconds)
