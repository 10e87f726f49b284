"""Fetches a folder of a bucket while a training reads it: a process of its own, one for each node.

The files come in the order in which they are wanted, each once, checked as those of a copy are. The training's process is
told the names first; when it ends, so does this one, and the next job goes on from what is here.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from mindlift.checkout import SOURCES
from mindlift.errors import DataError, MindLiftError, StageError
from mindlift.files import remove_file, write_atomic
from mindlift.interrupts import leave_ctrl_c_to_parent
from mindlift.language import localized
from mindlift.locks import alone
from mindlift.model_utils import image_files
from mindlift.model_utils.staging import data_index, members
from mindlift.model_utils.staging.arrivals import ALIVE, NAMES, SEPARATOR, STATE, WANTED, held, read_state
from mindlift.storage.copying.copy import THREADS, copy_tree
from mindlift.storage.copying.job import Failure
from mindlift.storage.copying.plan import Known
from mindlift.storage.copying.spool import Spool
from mindlift.storage.errors import MoxFileNotExistsException
from mindlift.storage.store import Entry

STATE_EVERY_S, PAUSE_S = 0.2, 0.02
MEASURED_S, QUICK_S = 1.0, 30.0  # of --stage auto: how long the network is measured, and what a copy may take
ENDED_WITHIN_S = 10.0
SHOWN_CHANGES = 10
LISTS = (".txt", ".lst")  # which name the files of a data set, and are read first


DATA, IMAGES, ALL = (
    "data",
    "images",
    "all",
)  # what of a folder is fetched: no hidden files and no archives, images, all


class Request(NamedTuple):
    """What is to be fetched, and where to. `control` is the folder that readers look into."""

    url: str
    target: Path
    control: Path
    lock: Path
    manifest: Path
    timeout_s: float
    takes: str = DATA
    listed_in: Path | None = None  # of data_index.py, in place of a listing


class Coming(NamedTuple):
    """What was not here at the beginning."""

    files: int
    size: int  # bytes


class Streamer:
    """The process, from the side of the training."""

    def __init__(self, request: Request, stdout: int | None = None):
        """`stdout`: the descriptor that its lines go to, this process's unless given."""
        self.request = request
        here, there = socket.socketpair()
        with there:
            self.process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(there.fileno())],
                cwd=SOURCES,
                pass_fds=[there.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                close_fds=True,
            )
        self.pipe = Connection(here.detach())
        self.pipe.send(request)

    def begun(self) -> Coming:
        """Wait until the names are known and the folders made; returns what is to come."""
        try:
            answer = self.pipe.recv()
        except (EOFError, OSError):
            raise self.has_ended() from None
        if isinstance(answer, BaseException):
            raise answer
        return Coming(*answer)

    def has_ended(self) -> StageError:
        return StageError(f"the process that fetches {self.request.url} has ended; its last lines say why")

    def left_s(self, coming: Coming) -> float:
        """How long all that is to come will take, by what comes in MEASURED_S."""
        began = time.monotonic()
        while self.process.poll() is None and time.monotonic() - began < MEASURED_S:
            time.sleep(PAUSE_S)
        if self.process.poll() is not None:
            return 0.0
        size = read_state(self.request.control).get("bytes", 0)
        return (coming.size - size) * MEASURED_S / size if size else math.inf

    def finish(self) -> None:
        """Wait until all files are here; StageError if one is missing."""
        if self.process.wait():
            raise self.has_ended()

    def order(self, names: Sequence[str]) -> None:
        """Fetch these first, in this order."""
        with contextlib.suppress(OSError):  # it has fetched all, and ended
            self.pipe.send(SEPARATOR.join(names))

    def close(self) -> None:
        self.pipe.close()
        try:
            self.process.wait(ENDED_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Queue:
    """Files to fetch, in the order that was last asked for. Threads take them one by one."""

    def __init__(self, timeout_s: float, clock: Callable[[], float] = time.monotonic):
        self.timeout_s, self.clock = timeout_s, clock
        self.lock = threading.Lock()
        self.pending: dict[str, Entry] = {}
        self.wanted: deque[str] = deque()
        self.under_way: set[str] = set()
        self.failing: dict[str, float] = {}  # since when
        self.failed: dict[str, str] = {}

    def fill(self, entries: Iterator[Entry]) -> None:
        with self.lock:
            self.pending = {entry.key: entry for entry in entries}
            self.wanted.extend(sorted(self.pending, key=lambda name: not name.endswith(LISTS)))

    def order(self, names: Sequence[str]) -> None:
        with self.lock:
            first = dict.fromkeys(name for name in names if name in self.pending)
            self.wanted = deque([*first, *(name for name in self.pending if name not in first)])

    def bring_forward(self, names: Sequence[str]) -> None:
        """Fetch these next; the order of the others stays."""
        with self.lock:
            self.wanted.extendleft(reversed([name for name in names if name in self.pending]))

    def __iter__(self) -> Iterator[Entry]:
        while True:
            entry = self.take()
            if entry:
                yield entry
            elif self.under_way:
                time.sleep(PAUSE_S)  # what is under way may fail, and come again
            else:
                return

    def take(self) -> Entry | None:
        with self.lock:
            while self.wanted:
                entry = self.pending.pop(self.wanted.popleft(), None)
                if entry:
                    self.under_way.add(entry.key)
                    return entry
        return None

    def ended(self, entry: Entry, error: Exception | None) -> bool:
        """Whether that is the last word of a file; what may pass is tried again, for `timeout_s`."""
        with self.lock:
            if entry.key not in self.under_way:
                return False  # another range of a large file, whose first one has failed
            self.under_way.remove(entry.key)
            since = self.failing.setdefault(entry.key, self.clock()) if error else 0.0
            if error is None:
                self.failing.pop(entry.key, None)
            elif isinstance(error, MoxFileNotExistsException) or self.clock() - since >= self.timeout_s:
                self.failed[entry.key] = " ".join(str(error).split())
            else:
                self.pending[entry.key] = entry
                self.wanted.append(entry.key)
                return False
            return True


class Stream:
    """One run of the process: `arrange` and `ended` are called by the copy."""

    def __init__(self, request: Request, pipe: Connection):
        self.request, self.pipe = request, pipe
        self.queue = Queue(request.timeout_s)
        self.names: set[str] = set()
        self.entries: dict[str, Entry] = {}
        self.has_begun = False  # the training was told what is to come
        self.here = self.size = self.changed = 0
        self.written: dict[str, object] = {}

    def run(self) -> None:
        request = self.request
        request.control.mkdir(parents=True, exist_ok=True)
        with alone(request.lock, f"stage {request.url}", request.timeout_s, say), held(
            request.control / ALIVE
        ):
            copy_tree(
                request.url,
                str(request.target),
                threads=THREADS,
                manifest=request.manifest,
                delete=True,
                accepts=self.accepts,
                entries=partial(data_index.read, request.listed_in, request.url)
                if request.listed_in
                else None,
                say=say,
                show_bar=False,
                watch=self,
            )

    def accepts(self, name: str) -> bool:
        takes = self.request.takes
        if takes != ALL and not (image_files.is_image if takes == IMAGES else image_files.is_data_path)(name):
            return False
        if takes == DATA and members.is_archive(name):
            raise StageError(
                f"{self.request.url} holds archives, such as {name}, which can't be streamed: use --stage copy"
            )
        self.names.add(name)
        return True

    def arrange(self, copies: Spool[Entry]) -> Iterator[Entry]:
        """What is to be fetched, after its readers were told that it is coming."""
        request = self.request
        self.queue.fill(iter(copies))
        self.entries = dict(self.queue.pending)
        names = sorted(name for name in self.names if not name.endswith("/"))
        if not names and request.takes == IMAGES:
            raise DataError(f"no images ({', '.join(image_files.SUFFIXES)}) at {request.url}")
        if not names:
            raise StageError(f"no data at {request.url}: the folder is empty; check --data_url")
        self.here = len(names) - len(self.entries)
        for folder in {os.path.dirname(f"{request.target}/{name}") for name in names}:
            os.makedirs(folder, exist_ok=True)
        for name in self.entries:  # what is there is another version, or nobody knows which
            remove_file(request.target / name)
        write_atomic(request.control / NAMES, SEPARATOR.join(names).encode("utf-8", "surrogateescape"))
        (request.control / WANTED).write_bytes(b"")
        self.write_state()
        self.pipe.send((len(self.entries), sum(entry.size for entry in self.entries.values())))
        self.has_begun = True
        threading.Thread(target=self.listen, daemon=True, name="orders").start()
        threading.Thread(target=self.keep_state, daemon=True, name="state").start()
        return iter(self.queue)

    def listen(self) -> None:
        """Orders of the training. When that ends, so does this: what has arrived is in the journal of the copy."""
        with contextlib.suppress(EOFError, OSError):
            while True:
                self.queue.order(self.pipe.recv().split(SEPARATOR))
        os._exit(0)

    def ended(self, outcome: Known | Failure) -> bool:
        """Whether the copy counts it; a failure that may pass does not."""
        key = outcome.key if isinstance(outcome, Failure) else outcome.source.key
        error = outcome.error if isinstance(outcome, Failure) else None
        if isinstance(outcome, Known):
            self.here += 1
            self.size += self.entries[key].size
            self.compare(outcome.source, self.entries[key])
        return self.queue.ended(self.entries[key], error)

    def compare(self, found: Entry, listed: Entry) -> None:
        """Says that a file is another one than the list or the index has named."""
        if (found.size, found.etag) != (listed.size, listed.etag):
            self.changed += 1
            if self.changed <= SHOWN_CHANGES:
                more = "; further ones are not named" if self.changed == SHOWN_CHANGES else ""
                say(
                    f"warning: {self.request.url}{found.key} has changed since it was listed: it is read as it is now{more}"
                )

    def keep_state(self) -> None:
        wanted = self.request.control / WANTED
        with open(wanted, "rb") as asked:
            while True:
                time.sleep(STATE_EVERY_S)
                self.write_state()
                names = asked.read().decode("utf-8", "surrogateescape")
                self.queue.bring_forward([name for name in names.split(SEPARATOR) if name])

    def write_state(self) -> None:
        state = {"here": self.here, "bytes": self.size, "failed": dict(self.queue.failed)}
        if state != self.written:
            write_atomic(self.request.control / STATE, json.dumps(state), durable=False)
            self.written = state


def say(line: str) -> None:
    print(localized(line), flush=True)


def main() -> int:
    leave_ctrl_c_to_parent()
    pipe = Connection(int(sys.argv[1]))
    try:
        stream = Stream(pipe.recv(), pipe)
    except EOFError:
        return 0  # the training has ended
    try:
        stream.run()
    except BrokenPipeError:
        return 0
    except MindLiftError as err:
        if stream.has_begun:
            say(f"warning: {err}")
        else:
            pipe.send(err)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
