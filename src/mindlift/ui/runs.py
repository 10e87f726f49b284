"""The runs below a folder, read again when their files change. Nothing outside the folder is read for them."""

from __future__ import annotations

import os
import stat
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Tuple

from mindlift.errors import MindLiftError
from mindlift.report import names
from mindlift.runs import folder as run_folder
from mindlift.runs.folder import RunData
from mindlift.runs.manifest import MANIFEST
from mindlift.runs.paths import RECORDS, RESULT

FILES = (*RECORDS, RESULT, f"checkpoints/{MANIFEST}")
OF_A_RUN = ("metrics.jsonl", "run.json")  # a config.yaml may be anybody's
DEPTH = 6  # folders below the one that is served
MOST_FOLDERS, MOST_RUNS = 20_000, 500
SCAN_S = 2.0  # between two looks for new runs
BUDGET_S = 1.0  # of reading for one answer; the rest is read for the next ones
SHARE = 10  # a run that takes long is read again once so many times has passed as it took
QUICK_S = 0.2  # one that takes less is read whenever it has changed
KEPT = 8  # runs with all of their points
POINTS = 80  # of a curve of a list
Mark = Tuple[Tuple[str, int, int], ...]


@dataclass
class Entry:
    """A run of the list. `run` has few points, and is None while nothing has been read, or nothing can be."""

    id: str
    root: Path
    changed: float  # unix seconds
    mark: Mark = ()
    run: RunData | None = None
    problem: str = ""
    read_at: float = 0.0
    took_s: float = 0.0


@dataclass(frozen=True)
class Whole:
    """A run with all of its points, and how long reading it took."""

    mark: Mark
    run: RunData
    read_at: float
    took_s: float


class Runs:
    """`folder` is what is served; a run's id is its path below it."""

    def __init__(self, folder: Path):
        self.folder = folder.resolve()
        self.lock = threading.Lock()
        self.known: dict[str, Entry] = {}
        self.next_scan = float("-inf")
        self.whole: OrderedDict[str, Whole] = OrderedDict()
        self.whole_lock = threading.Lock()
        self.is_cut = False  # there is more than is looked at

    def entries(self) -> list[Entry]:
        """Those that changed last come first; the runs have names that tell them apart."""
        with self.lock:
            self.scan()
            found = sorted(self.known.values(), key=lambda each: each.changed, reverse=True)
            deadline = time.monotonic() + BUDGET_S
            for entry in found:
                if time.monotonic() < deadline:
                    self.renew(entry)
            runs = [entry.run for entry in found if entry.run]
            names.give(runs)
            return [replace(entry) for entry in found]

    def root_of(self, name: str) -> Path | None:
        """The folder of the run with this id, of those that were found: an id is never taken for a path."""
        with self.lock:
            self.scan()
            return self.known[name].root if name in self.known else None

    def read(self, root: Path) -> tuple[Mark, RunData]:
        """The whole run; DataError if it can't be read. One that takes long is read again seldom."""
        with self.whole_lock:
            mark, now = mark_of(root), time.monotonic()
            known = self.whole.pop(str(root), None)
            if known is None or (known.mark != mark and is_due(known, now)):
                run = run_folder.read(root)
                known = Whole(mark, run, time.monotonic(), time.monotonic() - now)
            self.whole[str(root)] = known
            while len(self.whole) > KEPT:
                self.whole.popitem(last=False)
            return known.mark, replace(known.run)

    def scan(self) -> None:
        started = time.monotonic()
        if started < self.next_scan:
            return
        self.is_cut = False
        roots = sorted(self.find(), key=changed, reverse=True)
        self.is_cut = self.is_cut or len(roots) > MOST_RUNS
        found = {}
        for root in roots[:MOST_RUNS]:
            name = root.relative_to(self.folder).as_posix()
            found[name] = self.known.get(name) or Entry(name, root, 0.0)
            found[name].changed = changed(root)
        self.known = found
        self.next_scan = time.monotonic() + max(SCAN_S, SHARE * (time.monotonic() - started))

    def find(self) -> Iterator[Path]:
        """Run folders; links to folders are not followed, and a run with a file that is elsewhere is left out."""
        waiting = deque([(self.folder, 0)])
        for _ in range(MOST_FOLDERS):
            if not waiting:
                return
            folder, depth = waiting.popleft()
            if any((folder / name).is_file() for name in OF_A_RUN):
                if is_closed(folder, self.folder):
                    yield folder
                continue
            if depth < DEPTH:
                waiting.extend((each, depth + 1) for each in subfolders(folder))
        self.is_cut = True

    def renew(self, entry: Entry) -> None:
        mark, now = mark_of(entry.root), time.monotonic()
        if mark == entry.mark or not is_due(entry, now):
            return
        try:
            entry.run, entry.problem = short(run_folder.read(entry.root)), ""
        except MindLiftError as err:
            entry.run, entry.problem = None, str(err)
        entry.mark, entry.read_at, entry.took_s = mark, time.monotonic(), time.monotonic() - now


def subfolders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            found = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:  # of another user, or gone
        return []
    return [folder / name for name in sorted(found) if not name.startswith(".")]


def is_closed(root: Path, served: Path) -> bool:
    """Whether all files that a report reads are regular ones inside the folder that is served."""
    return all(is_inside(root / name, served) for name in FILES if os.path.lexists(root / name))


def is_inside(path: Path, served: Path) -> bool:
    try:
        found = path.resolve()
        return served in found.parents and stat.S_ISREG(found.stat().st_mode)
    except (OSError, RuntimeError):  # gone, or links in a circle
        return False


def is_due(before: Entry | Whole, now: float) -> bool:
    """Whether what has changed since `before` may be read."""
    return before.took_s < QUICK_S or now - before.read_at > SHARE * before.took_s


def mark_of(root: Path) -> Mark:
    """Which versions of a run's files there are."""
    found = []
    for name in FILES:
        try:
            facts = (root / name).stat()
        except OSError:
            continue
        found.append((name, facts.st_size, facts.st_mtime_ns))
    return tuple(found)


def changed(root: Path) -> float:
    return max((time_ns for _, _, time_ns in mark_of(root)), default=0) / 1e9


def short(run: RunData) -> RunData:
    """A run with so few points that hundreds of them are kept."""
    curves = {name: curve.thinned(POINTS // 2) for name, curve in run.metrics.curves.items()}
    return replace(run, metrics=replace(run.metrics, curves=curves, per_rank={}), evaluation={}, transfers=[])
