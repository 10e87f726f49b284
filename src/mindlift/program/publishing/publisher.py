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
from mindlift.program.publishing.closes import Closes
from mindlift.program.publishing.completeness import GROWING, Completeness, grows
from mindlift.program.publishing.deletions import Deletions
from mindlift.program.publishing.folder import Stamp, runs, scan, stamp, writers
from mindlift.program.publishing.reporter import Reporter
from mindlift.program.publishing.restore import Restored
from mindlift.program.publishing.state import State
from mindlift.program.publishing.uploads import LARGEST_GROWING, Uploads, job_of
from mindlift.storage.copying.engine import Failure
from mindlift.storage.copying.plan import Known
from mindlift.storage.places import locate
from mindlift.storage.store import Entry
from mindlift.storage.url import as_folder

LOOK_EVERY_S, QUICK_LOOK_EVERY_S = 1.0, 0.1
GROWING_EVERY_S, AGAIN_AFTER_S = 30.0, 5.0
FAILURES = 5  # how often a file that fails by itself is tried at the end
Say = Callable[[str], None]


@dataclass(frozen=True)
class Rules:
    settle_s: float = 10.0
    growing: Sequence[str] = GROWING


class Publisher:
    """Between `start` and `close` it publishes `root` to `url`; it never raises.

    `is_alive` says whether the program runs; `lease` is that of this run.
    """

    def __init__(self, root: Path, lease: Lease, rules: Rules, restored: Restored, state: State, say: Say):
        self.root, self.lease, self.rules, self.state = root, lease, rules, state
        self.url = lease.url
        self.published = restored.published
        self.complete = Completeness(rules.settle_s, restored.unfinished)
        self.files: dict[str, Stamp] = {}
        self.mine: set[str] = set()  # published by this run
        self.busy: set[str] = set()
        self.not_before: dict[str, float] = {}
        self.started: dict[str, float] = {}  # when the upload of each began
        self.failures: dict[str, int] = {}  # of files at the end, that are no fault of the store
        self.deletions = Deletions()
        self.reporter = Reporter(lease.url, say)
        self.waiting: list[str] = []  # the newest last, as it was at the last look
        self.is_saved = False
        self.lock = threading.RLock()
        self.wake, self.ending, self.stop = threading.Event(), threading.Event(), threading.Event()
        self.look_soon = threading.Event()
        self.closes = Closes(root, self.note_closed)
        self.is_quick = False
        self.is_alive: Callable[[], bool] = lambda: False
        self.program = 0
        self.saved_at = 0.0
        self.threads: list[threading.Thread] = []

    def prepare(self) -> None:
        """Note on the disk, before the program is started, that files may be unfinished from now on."""
        self.files = scan(self.root)
        self.complete.look(self.files, {}, True, runs)
        self.save()

    def start(self, program: int, is_alive: Callable[[], bool]) -> None:
        self.program, self.is_alive, self.is_saved = program, is_alive, False
        self.closes.start()
        for work in (self.watch, self.upload, self.upload):
            thread = threading.Thread(target=work, name=work.__name__, daemon=True)
            thread.start()
            self.threads.append(thread)

    def hurry(self) -> None:
        """The platform is about to end this; every moment counts. For signal handlers: no lock is taken."""
        self.is_quick = True

    def end(self, ended_well: bool, by_itself: bool = False) -> None:
        """The program has ended, `by_itself` or by a signal: what is complete now will stay so."""
        self.closes.drain()
        with self.lock:
            self.complete.end = "well" if ended_well else "badly"
            self.complete.ended_by_itself = by_itself
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
                name for name in self.files if self.is_ready(name) and self.failures.get(name, 0) < FAILURES
            ]
            return bool(self.busy or self.due()) or not all(map(self.is_published, ready))

    def withheld(self) -> list[str]:
        """Files that are not published because they may be half-written."""
        with self.lock:
            return [name for name in sorted(self.files) if not self.is_ready(name)]

    def watch(self) -> None:
        while not self.stop.is_set():
            began = time.monotonic()
            try:
                self.look_and_save()
            except Exception as err:  # it goes on: a thread that ends silently loses what it did not see
                self.reporter.failed(err)
            self.delete()
            self.reporter.say_so()
            took = time.monotonic() - began
            self.wake.set()
            self.stop.wait(max(QUICK_LOOK_EVERY_S, 5 * took))
            again_s = time.monotonic() + min(self.rules.settle_s / 4, LOOK_EVERY_S)
            while not self.is_quick and time.monotonic() < again_s:
                if self.look_soon.wait(QUICK_LOOK_EVERY_S):
                    break
            self.look_soon.clear()

    def look_and_save(self) -> None:
        with self.lock:
            self.look()
            if time.monotonic() - self.saved_at > 2 * LOOK_EVERY_S:
                self.save()
                self.saved_at = time.monotonic()

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
        if files != self.files:
            self.files, self.is_saved = files, False
        arriving = [name for name in files if not self.is_published(name)]
        self.deletions.notice(self.mine, files, arriving)
        self.waiting = sorted(filter(self.waits, arriving), key=lambda name: files[name].modified_ns)

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
        if self.is_saved:
            return
        complete = {
            name: found.content
            for name, found in self.files.items()
            if not self.is_published(name) and self.complete.was_finished(name)
        }
        try:
            self.state.write(self.published, complete, self.program)
            self.is_saved = True
        except (MindLiftError, OSError) as err:
            self.reporter.failed(err)

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
            except Exception as err:  # of the store, and not of one file: a platform's moxing raises anything
                self.reporter.failed(err)
                self.stop.wait(1.0 if self.is_quick else AGAIN_AFTER_S)
            finally:
                with self.lock:
                    self.busy -= taken

    def has_waiting(self) -> bool:
        return bool(self.waiting) and not self.lease.is_lost

    def next(self, taken: set[str]) -> Iterator[Entry]:
        """The newest file that waits, again and again; noted in `taken`. Threads share it."""
        while not self.stop.is_set() and not self.lease.is_lost:
            with self.lock:
                if not self.waiting:
                    return
                name = self.waiting.pop()
                if not self.waits(name):
                    continue
                self.busy.add(name)
                taken.add(name)
                self.started[name] = time.monotonic()
                found = self.files[name]
            yield Entry(name, found.size, modified_ns=found.modified_ns)

    def waits(self, name: str) -> bool:
        if name not in self.files or self.is_published(name) or name in self.busy:
            return False
        if time.monotonic() < self.not_before.get(name, 0.0):
            return False
        is_growing = grows(name, self.rules.growing) and self.files[name].size <= LARGEST_GROWING
        return self.is_ready(name) or is_growing

    def take(self, outcome: Known | Failure) -> None:
        with self.lock:
            name = outcome.key if isinstance(outcome, Failure) else outcome.source.key
            took = time.monotonic() - self.started.get(name, 0.0)
            self.busy.discard(name)
            if isinstance(outcome, Failure):
                self.not_before[name] = time.monotonic() + (0.2 if self.is_quick else AGAIN_AFTER_S)
                if self.ending.is_set() and took < AGAIN_AFTER_S:  # the store is asked for longer than that
                    self.failures[name] = self.failures.get(name, 0) + 1
                if self.is_as_seen(name):
                    self.reporter.failed(outcome.error)
                return
            self.published[name] = outcome
            self.is_saved = False
            self.mine.add(name)
            self.deletions.arrived(name)
            self.reporter.published(outcome.source.size)
            if grows(name, self.rules.growing) and not self.ending.is_set():
                self.not_before[name] = time.monotonic() + max(GROWING_EVERY_S, 20 * took)

    def is_as_seen(self, name: str) -> bool:
        try:
            return stamp((self.root / name).stat()).content == self.files[name].content
        except (OSError, KeyError):
            return False

    def due(self) -> list[str]:
        """Deleted files whose time has come. After a bad end what replaces them may be among those held back."""
        if self.lease.is_lost or (self.complete.end == "badly" and self.withheld()):
            return []
        found = self.deletions.due(self.files, lambda name: grows(name, self.rules.growing))
        return [name for name in found if name not in self.busy]

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
                    self.deletions.done(name)
                    self.published.pop(name, None)
                    self.mine.discard(name)
                    self.reporter.deleted += 1
                    self.is_saved = False
        except Exception as err:  # as above
            self.reporter.failed(err)
        finally:
            with self.lock:
                self.busy.difference_update(names)
