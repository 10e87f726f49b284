"""Copies many files: threads in this process, and worker processes for crowds of small files.

Worker processes are programs of their own (`worker.py`), started with nothing of this one: no fork, so
that locks, threads and a half-initialised device are not copied, and no import of the user's main module.
"""

from __future__ import annotations

import itertools
import os
import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Callable, Union

from mindlift.checkout import SOURCES
from mindlift.errors import AccessError, MindLiftError, StorageError
from mindlift.storage.copying.job import Advance, Failure, Job, LocalError, Route, Unit
from mindlift.storage.copying.local_files import sweep
from mindlift.storage.copying.plan import Known
from mindlift.storage.copying.progress import Progress
from mindlift.storage.copying.routes import route_of
from mindlift.storage.copying.spool import MOST, Spool
from mindlift.storage.s3.store import S3Store
from mindlift.storage.store import Entry

STREAMS = 8  # threads for one large file: more of them wait for its lock in the kernel
SMALL = 8 << 20  # bytes of files that worker processes get, whole
CROWD = 1000  # small files from which on worker processes pay
BATCH = 32
LEAST_THREADS = 8  # of a worker process
JOINED_WITHIN_S = 5.0
GATHER_S = 0.005  # outcomes are taken in several at a time: to be woken for each costs as much as a small file's bytes
AHEAD = 128  # files that a worker has got, so that it never waits
Fatal = (AccessError, StorageError, KeyboardInterrupt, MemoryError)


MakeRoute = Callable[[Job, Advance], Route]
Outcome = Union[Known, Failure, BaseException, None]
if TYPE_CHECKING:
    Outcomes = queue.SimpleQueue[Outcome]


class Threads:
    """Runs the units of files on threads of this process."""

    def __init__(self, job: Job, count: int, progress: Progress, route: MakeRoute = route_of):
        self.job, self.progress, self.count = job, progress, count
        self.route = route(job, progress.add)
        self.stopping = False
        self.lock = threading.Lock()

    def run(self, entries: Iterable[Entry]) -> Iterator[Known | Failure]:
        """Outcomes in the order of their completion. The first fatal error is raised, and ends it all."""
        units = ((entry, unit) for entry in entries for unit in self.route.units(entry))
        outcomes: Outcomes = queue.SimpleQueue()
        threads = [
            threading.Thread(target=self.pull, args=(units, outcomes), daemon=True, name=f"copy-{number}")
            for number in range(self.count)
        ]
        before = self.retries
        for thread in threads:
            thread.start()
        try:
            yield from self.collect(outcomes, len(threads))
        finally:
            self.stopping = True
            self.progress.retries += self.retries - before
            deadline = time.monotonic() + JOINED_WITHIN_S
            for thread in threads:
                thread.join(timeout=max(deadline - time.monotonic(), 0))
            self.route.close()

    def pull(self, units: Iterator[tuple[Entry, Unit]], outcomes: Outcomes) -> None:
        try:
            while not self.stopping:
                with self.lock:
                    found = next(units, None)
                if found is None:
                    break
                outcome = run_unit(*found)
                if outcome is not None:
                    self.progress.end_file(isinstance(outcome, Known))
                    outcomes.put(outcome)
        except BaseException as err:  # whatever ends a thread ends the copy
            outcomes.put(err)
        finally:
            outcomes.put(None)

    @property
    def retries(self) -> int:
        stores = (self.job.source_store, self.job.target_store)
        return sum(
            {
                id(store.service): store.service.retries.count
                for store in stores
                if isinstance(store, S3Store)
            }.values()
        )

    def collect(self, outcomes: Outcomes, running: int) -> Iterator[Known | Failure]:
        while running:
            outcome = outcomes.get()
            if outcome is None:
                running -= 1
            elif isinstance(outcome, BaseException):
                raise outcome
            else:
                yield outcome
                if outcomes.empty():
                    time.sleep(GATHER_S)


def run_unit(entry: Entry, unit: Unit) -> Known | Failure | None:
    """The outcome of one step; what the whole copy can't survive is raised."""
    try:
        return unit()
    except Fatal:
        raise
    except MindLiftError as err:
        return Failure(entry.key, err)
    except (OSError, UnicodeError) as err:
        return Failure(entry.key, LocalError(f"{entry.key!r}: {err}"))


class Worker:
    """One worker process, and the files that it has got and not answered for."""

    def __init__(self, job: Job, threads: int):
        here, there = socket.socketpair()
        with there:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mindlift.storage.copying.worker", str(there.fileno())],
                cwd=SOURCES,
                pass_fds=[there.fileno()],
                stdin=subprocess.DEVNULL,
                close_fds=True,
            )
        self.pipe = Connection(here.detach())
        self.waiting: dict[str, Entry] = {}
        self.pipe.send((job, threads))

    def feed(self, entries: Iterator[Entry]) -> None:
        """Take files until this one has enough to do."""
        while len(self.waiting) < AHEAD:
            batch = list(itertools.islice(entries, BATCH))
            if not batch:
                return
            self.waiting.update((entry.key, entry) for entry in batch)
            try:
                self.pipe.send(batch)
            except OSError:  # it has died; reading from it says so
                return

    def receive(self, progress: Progress) -> Iterator[Known | Failure]:
        try:
            outcomes, retries = self.pipe.recv()
        except OSError as err:  # also for a message that has broken off
            raise EOFError from err
        progress.retries += retries
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
            key = outcome.key if isinstance(outcome, Failure) else outcome.source.key
            size = self.waiting.pop(key).size
            if isinstance(outcome, Known):
                progress.add(size, 1)
            yield outcome

    def end(self) -> None:
        self.pipe.close()  # the worker ends when it reads the end of the pipe
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def run_workers(
    job: Job, entries: Iterable[Entry], processes: int, threads: int, progress: Progress
) -> Iterator[Known | Failure]:
    """Outcomes of small files, copied by worker processes; what a dead worker left is done here."""
    left = iter(entries)
    again: list[Entry] = []
    lost: list[str] = []
    workers = [Worker(job, threads) for _ in range(processes)]
    try:
        for worker in workers:
            worker.feed(left)
        while True:
            busy = {worker.pipe: worker for worker in workers if worker.waiting}
            if not busy:
                break
            for pipe in wait(list(busy)):
                worker = busy[pipe]  # type: ignore[index]
                try:
                    yield from worker.receive(progress)
                    worker.feed(left)
                except EOFError:
                    again += worker.waiting.values()
                    lost += worker.waiting
                    worker.waiting = {}
    finally:
        for worker in workers:
            worker.end()
    sweep(job, lost)
    yield from Threads(job, threads, progress).run(itertools.chain(again, left))


def copy_all(
    job: Job, entries: Spool[Entry], threads: int, processes: int, progress: Progress
) -> Iterator[Known | Failure]:
    """The outcome of every entry. Large files are cut into ranges for the threads of this process."""
    small = most = 0
    for entry in entries:
        small += entry.size <= SMALL
        most += min(1 + entry.size // SMALL, STREAMS)
    threads = min(threads, max(most, 1))
    if processes < 1 or small < CROWD:
        is_short = len(entries) <= MOST
        files = sorted(entries, key=lambda entry: -entry.size) if is_short else entries
        yield from Threads(job, threads, progress).run(files)
        return
    each = max(threads // processes, LEAST_THREADS)
    yield from run_workers(
        job, (entry for entry in entries if entry.size <= SMALL), processes, each, progress
    )
    yield from Threads(job, threads, progress).run(entry for entry in entries if entry.size > SMALL)


def usable_cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
