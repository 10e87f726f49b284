"""Keeps a bucket up to date with the folder that a program writes its results to, while it runs and at its end.

One thread looks which files are complete (completeness.py), others upload them, the newest first. A file that this
run has published and the program has deleted is deleted in the bucket too, but not before everything that was here
at that moment is published: a checkpoint goes after the one that replaces it has arrived.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from mindlift.errors import MindLiftError
from mindlift.model_utils.staging.lease import Lease
from mindlift.program.closes import Closes
from mindlift.program.completeness import GROWING, Completeness, grows
from mindlift.program.folder import Stamp, runs, scan, stamp, writers
from mindlift.program.restore import Restored
from mindlift.program.state import State
from mindlift.program.uploads import Uploads, job_of
from mindlift.storage.copying.engine import Failure
from mindlift.storage.copying.plan import Known
from mindlift.storage.copying.progress import as_bytes
from mindlift.storage.places import locate
from mindlift.storage.store import Entry
from mindlift.storage.url import as_folder

LOOK_EVERY_S, QUICK_LOOK_EVERY_S = 1.0, 0.1
GROWING_EVERY_S, SAY_EVERY_S, AGAIN_AFTER_S = 30.0, 60.0, 5.0
CHANGES = 5  # how often a file that changes at the end is tried
Say = Callable[[str], None]


@dataclass(frozen=True)
class Rules:
    settle_s: float = 10.0
    growing: Sequence[str] = GROWING


@dataclass
class Tally:
    """What has been published since the last line about it, and in all."""

    files: int = 0
    size: int = 0
    all_files: int = 0
    all_size: int = 0
    deleted: int = 0

    def add(self, size: int) -> None:
        self.files, self.size = self.files + 1, self.size + size
        self.all_files, self.all_size = self.all_files + 1, self.all_size + size

    def take(self) -> str:
        line = f"{self.files} files, {as_bytes(self.size)}"
        self.files = self.size = 0
        return line


class Publisher:
    """Between `start` and `close` it publishes `root` to `url`; it never raises.

    `is_alive` says whether the program runs; `lease` is that of this run.
    """

    def __init__(self, root: Path, lease: Lease, rules: Rules, restored: Restored, state: State, say: Say):
        self.root, self.lease, self.rules, self.state, self.say = root, lease, rules, state, say
        self.url = lease.url
        self.published = restored.published
        self.complete = Completeness(rules.settle_s, restored.unfinished)
        self.files: dict[str, Stamp] = {}
        self.mine: set[str] = set()  # published by this run
        self.busy: set[str] = set()
        self.not_before: dict[str, float] = {}
        self.deletions: dict[
            str, set[str]
        ] = {}  # of files that the program has deleted: what has to arrive before
        self.changes: dict[str, int] = {}  # how often a file has changed under an upload at the end
        self.tally = Tally()
        self.problem: Exception | None = None
        self.lock = threading.RLock()
        self.wake, self.ending, self.stop = threading.Event(), threading.Event(), threading.Event()
        self.look_soon = threading.Event()
        self.closes = Closes(root, self.note_closed)
        self.is_quick = False
        self.is_alive: Callable[[], bool] = lambda: False
        self.program = 0
        self.said_at = time.monotonic()
        self.threads: list[threading.Thread] = []

    def prepare(self) -> None:
        """Note on the disk, before the program is started, that files may be unfinished from now on."""
        self.files = scan(self.root)
        self.complete.look(self.files, {}, True, runs)
        self.save()

    def start(self, program: int, is_alive: Callable[[], bool]) -> None:
        self.program, self.is_alive = program, is_alive
        self.closes.start()
        for work in (self.watch, self.upload, self.upload):
            thread = threading.Thread(target=work, name=work.__name__, daemon=True)
            thread.start()
            self.threads.append(thread)

    def hurry(self) -> None:
        """The platform is about to end this; every moment counts."""
        self.is_quick = True
        self.look_soon.set()

    def end(self, ended_well: bool) -> None:
        """The program has ended: what is complete now will stay so."""
        self.closes.drain()
        with self.lock:
            self.complete.end = "well" if ended_well else "badly"
            self.is_quick = True
            self.not_before.clear()
            self.look()
        self.ending.set()
        self.wake.set()

    def close(self, ends_at: Callable[[], float]) -> list[str]:
        """Publish what is complete, until `ends_at` by the monotonic clock; the files that are not published."""
        while time.monotonic() < ends_at() and not self.lease.is_lost and self.is_left():
            time.sleep(0.05)
        self.stop.set()
        self.wake.set()
        self.look_soon.set()
        for thread in self.threads:
            thread.join(min(max(ends_at() - time.monotonic(), 0.1), 5.0))
        with self.lock:
            self.save()
            return [name for name in sorted(self.files) if not self.is_published(name)]

    def is_left(self) -> bool:
        with self.lock:
            ready = [
                name for name in self.files if self.is_ready(name) and self.changes.get(name, 0) < CHANGES
            ]
            return bool(self.busy or self.due()) or not all(map(self.is_published, ready))

    def withheld(self) -> list[str]:
        """Files that are not published because they may be half-written."""
        with self.lock:
            return [name for name in sorted(self.files) if not self.is_ready(name)]

    # what is there

    def watch(self) -> None:
        saved_at = 0.0
        while not self.stop.is_set():
            began = time.monotonic()
            with self.lock:
                self.look()
                if began - saved_at > 2 * LOOK_EVERY_S:
                    self.save()
                    saved_at = time.monotonic()
            self.delete()
            self.say_so()
            took = time.monotonic() - began
            self.wake.set()
            self.stop.wait(max(QUICK_LOOK_EVERY_S, 5 * took))
            if not self.is_quick:
                self.look_soon.wait(min(self.rules.settle_s / 4, LOOK_EVERY_S))
            self.look_soon.clear()

    def note_closed(self, path: str) -> None:
        """Called at once, in the order in which files are closed: a moment later the program may be dead."""
        alive = self.is_alive()
        with suppress(OSError):
            found = stamp(os.stat(path))
            with self.lock:
                self.complete.note_closed(os.path.relpath(path, self.root), found, alive)
        self.look_soon.set()

    def look(self) -> None:
        files = scan(self.root)
        is_new = any(not self.is_same(name, found) for name, found in files.items())
        written = writers() if is_new else {}
        self.complete.look(files, written, self.is_alive(), runs)
        for name in self.mine - set(files) - set(self.deletions):
            self.deletions[name] = {other for other in files if not self.is_same(other, files[other])}
        for name in set(self.deletions) & set(files):
            del self.deletions[name]
        self.files = files

    def is_same(self, name: str, now: Stamp) -> bool:
        known = self.published.get(name)
        return known is not None and (known.source.size, known.source.modified_ns) == now.content

    def is_published(self, name: str) -> bool:
        return name in self.files and self.is_same(name, self.files[name])

    def is_ready(self, name: str) -> bool:
        """Whether all of it can be published."""
        is_over = (
            bool(self.complete.end) and name in self.complete.seen and not self.complete.seen[name].is_open
        )
        return self.complete.is_complete(name) or (is_over and grows(name, self.rules.growing))

    def grows(self, name: str) -> bool:
        """Whether it is published as it is, for it is not complete and may never be."""
        with self.lock:
            return grows(name, self.rules.growing) and not self.is_ready(name)

    def save(self) -> None:
        complete = {
            name: found.content
            for name, found in self.files.items()
            if not self.is_published(name) and self.complete.was_finished(name)
        }
        try:
            self.state.write(self.published, complete, self.program)
        except (MindLiftError, OSError) as err:
            self.note(err)

    # what goes to the bucket

    def upload(self) -> None:
        while not self.stop.is_set():
            self.wake.wait(LOOK_EVERY_S)
            self.wake.clear()
            taken: set[str] = set()
            try:
                if not self.has_waiting():
                    continue
                store, key = locate(self.url)
                uploads = Uploads(job_of(self.root, store, as_folder(key)), self.grows)
                for outcome in uploads.run(self.next(taken)):
                    self.take(outcome)
            except (MindLiftError, OSError, ValueError) as err:  # of the store, and not of one file
                self.note(err)
                self.stop.wait(1.0 if self.is_quick else AGAIN_AFTER_S)
            finally:
                with self.lock:
                    self.busy -= taken

    def has_waiting(self) -> bool:
        with self.lock:
            return not self.lease.is_lost and any(map(self.waits, self.files))

    def next(self, taken: set[str]) -> Iterator[Entry]:
        """The newest file that waits, again and again; noted in `taken`. Threads share it."""
        while not self.stop.is_set() and not self.lease.is_lost:
            with self.lock:
                waiting = [name for name in self.files if self.waits(name)]
                if not waiting:
                    return
                name = max(waiting, key=lambda each: self.files[each].modified_ns)
                self.busy.add(name)
                taken.add(name)
                found = self.files[name]
            yield Entry(name, found.size, modified_ns=found.modified_ns)

    def waits(self, name: str) -> bool:
        if self.is_published(name) or name in self.busy:
            return False
        if time.monotonic() < self.not_before.get(name, 0.0):
            return False
        return self.is_ready(name) or grows(name, self.rules.growing)

    def take(self, outcome: Known | Failure) -> None:
        with self.lock:
            name = outcome.key if isinstance(outcome, Failure) else outcome.source.key
            self.busy.discard(name)
            if isinstance(outcome, Failure):
                self.not_before[name] = time.monotonic() + (0.2 if self.is_quick else AGAIN_AFTER_S)
                if self.is_as_seen(name):
                    self.note(outcome.error)
                elif self.ending.is_set():
                    self.changes[name] = self.changes.get(name, 0) + 1
                return
            self.published[name] = outcome
            self.mine.add(name)
            for after in self.deletions.values():
                after.discard(name)
            self.tally.add(outcome.source.size)
            if grows(name, self.rules.growing):
                self.not_before[name] = time.monotonic() + (0.0 if self.ending.is_set() else GROWING_EVERY_S)
            if self.problem:
                self.say(f"publishing to {self.url} works again")
            self.problem = None

    def is_as_seen(self, name: str) -> bool:
        try:
            return stamp((self.root / name).stat()).content == self.files[name].content
        except (OSError, KeyError):
            return False

    def due(self) -> list[str]:
        """Deleted files whose time has come: everything that was here then is published, gone, or a log."""
        if self.lease.is_lost or (self.complete.end == "badly" and self.withheld()):
            return []  # what replaces them may be among the files that are held back
        found = []
        for name, after in self.deletions.items():
            waiting = {each for each in after if each in self.files and not grows(each, self.rules.growing)}
            if not waiting and name not in self.busy:
                found.append(name)
        return found

    def delete(self) -> None:
        """Delete what is due. It counts as busy meanwhile, so that no upload of a new file of its name begins."""
        with self.lock:
            names = self.due()
            self.busy.update(names)
        try:
            store, key = locate(self.url)
            for name in names:
                store.remove(as_folder(key) + name)
                with self.lock:
                    self.deletions.pop(name, None)
                    self.published.pop(name, None)
                    self.mine.discard(name)
                    self.tally.deleted += 1
        except (MindLiftError, OSError) as err:
            self.note(err)
        finally:
            with self.lock:
                self.busy.difference_update(names)

    # what is said

    def note(self, err: Exception) -> None:
        if self.problem is None:
            text = " ".join(str(err).split())
            self.say(f"warning: could not publish to {self.url}, will try again: {text}")
        self.problem = err

    def say_so(self) -> None:
        if self.tally.files and time.monotonic() - self.said_at >= SAY_EVERY_S and not self.ending.is_set():
            self.said_at = time.monotonic()
            self.say(f"published {self.tally.take()}, to {self.url}")
