"""What all ranks of a node would find alike, such as the files of a data set, is found by one of them.

The first that takes the lock writes arrays to a folder of this node's cache; the others wait, then map the same files, so
that they have them in memory once. If it fails or is killed, the next one tries: each says itself what is wrong with the data.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import time
from dataclasses import asdict
from pathlib import Path
from typing import Callable, Dict

import numpy as np

from mindlift import locks
from mindlift.files import is_own
from mindlift.model_utils.staging.node_gate import Marker, Process, since_boot_s

Arrays = Dict[str, np.ndarray]
Share = Callable[[str, Callable[[], Arrays]], Arrays]  # of a subject, and of what makes the arrays
MARKER = "made.json"
SWEEP_AFTER_S = 24 * 3600


def alone(subject: str, make: Callable[[], Arrays]) -> Arrays:
    """For a process that shares nothing."""
    return make()


def mapped(path: Path) -> np.ndarray:
    """A plain array: each slice of a numpy.memmap is a new one, which takes longer than to read a name from it."""
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


class NodeShare:
    """Called by every rank of a node with the same subjects in the same order; a `with` block removes what was made.

    `job` is node_gate.job_token: equal on these ranks and differs between jobs. `timeout_s` is how long a rank waits.
    """

    def __init__(self, folder: Path, job: str, rank: int, timeout_s: float, say: Callable[[str], None]):
        self.folder, self.rank, self.timeout_s, self.say = folder / job, rank, timeout_s, say
        self.calls = 0
        self.made: list[Path] = []

    def __enter__(self) -> NodeShare:
        return self

    def __exit__(self, *_: object) -> None:
        """Who has mapped the files keeps them; who comes too late makes its own."""
        for place in self.made:
            shutil.rmtree(place, ignore_errors=True)

    def __call__(self, subject: str, make: Callable[[], Arrays]) -> Arrays:
        """The arrays that `make` gives, made by one rank; `subject` is a verb and an object ("list the images of /data")."""
        words = re.sub(r"[^a-z0-9]+", "-", subject.lower()).strip("-")[:60]
        place = self.folder / f"{self.calls}-{words}"
        self.calls += 1
        with locks.alone(place.with_name(f"{place.name}.lock"), subject, self.timeout_s, self.say):
            marker = Marker.read(place / MARKER)
            if marker and marker.subject == subject and not marker.is_stale():
                return {name: mapped(place / f"{name}.npy") for name in marker.result}
            arrays = make()
            try:
                self.write(place, subject, arrays)
            except OSError as err:
                self.say(
                    f"warning: can't write {place} ({err.strerror or err}): every rank has to {subject} itself"
                )
            return arrays

    def write(self, place: Path, subject: str, arrays: Arrays) -> None:
        """Whole or not at all, also where there are no locks."""
        self.sweep()
        part = place.with_name(f"{place.name}.{os.getpid()}.part")
        shutil.rmtree(place, ignore_errors=True)  # of a program that the same launcher ran before
        try:
            part.mkdir(mode=0o700)
            for name, array in arrays.items():
                np.save(part / f"{name}.npy", array, allow_pickle=False)
            owner, launcher = Process.of(os.getpid()), Process.of(os.getppid())
            marker = Marker("done", subject, self.rank, owner, launcher, since_boot_s(), [*arrays])
            (part / MARKER).write_text(json.dumps(asdict(marker)), encoding="utf-8")
            part.rename(place)
            self.made.append(place)
        finally:
            shutil.rmtree(part, ignore_errors=True)

    def sweep(self) -> None:
        """Remove what jobs have left that were killed more than a day ago: who still runs has long mapped its files."""
        with contextlib.suppress(OSError):  # another job is sweeping them
            for folder in self.folder.parent.iterdir():
                is_old = time.time() - folder.stat().st_mtime > SWEEP_AFTER_S
                if folder != self.folder and is_own(folder) and is_old:
                    shutil.rmtree(folder, ignore_errors=True)
