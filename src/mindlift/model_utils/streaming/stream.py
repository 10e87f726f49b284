"""Fetches a folder of a bucket while a training reads it: a process of its own, one for each node.

The files come in the order in which they are wanted, each once, checked as those of a copy are. The training's process is
told the names first; when it ends, so does this one, and the next job goes on from what is here. Of several jobs that read the
same folder one fetches, and the others ask it for what they need next, until it ends: then one of them fetches.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from multiprocessing.connection import Connection

from mindlift.errors import DataError, MindLiftError, StageError
from mindlift.files import remove_file, write_atomic
from mindlift.interrupts import leave_ctrl_c_to_parent
from mindlift.language import localized
from mindlift.locks import alone
from mindlift.model_utils import image_files
from mindlift.model_utils.staging import members
from mindlift.model_utils.streaming import archived, data_index, pieces
from mindlift.model_utils.streaming.archived import Found, Held, MemberRoute
from mindlift.model_utils.streaming.arrivals import ALIVE, ENGINE, NAMES, SEPARATOR, STATE, WANTED, held
from mindlift.model_utils.streaming.fetch_queue import PAUSE_S, CachedQueue, Queue
from mindlift.model_utils.streaming.shared_stream import Joined
from mindlift.model_utils.streaming.streamer import ALL, DATA, IMAGES, Begin, More, Request
from mindlift.model_utils.streaming.wishes import Wishes
from mindlift.storage.copying.copy import THREADS, copy_tree, listing
from mindlift.storage.copying.job import Failure
from mindlift.storage.copying.plan import Known, Plan
from mindlift.storage.copying.progress import Progress, as_bytes
from mindlift.storage.copying.routes import route_of
from mindlift.storage.places import locate
from mindlift.storage.store import Entry
from mindlift.storage.url import as_folder

MEMBERS = "members.index.gz"  # in the control folder
STATE_EVERY_S = 0.2
SHOWN_CHANGES = 10


class Stream:
    """One run of the process: `arrange`, `at_once` and `ended` are called by the copy."""

    def __init__(self, request: Request, pipe: Connection):
        self.request, self.pipe = request, pipe
        self.wishes = Wishes(request)
        self.joined = Joined(request, self.wishes, self.begin)
        self.queue = Queue(request.timeout_s, most_bytes=request.under_way_bytes)
        self.names: set[str] = set()
        self.entries: dict[str, Entry] = {}  # of all; without a limit only of those that are fetched
        self.arrived: dict[str, int] = {}  # when each was written first, in ns: what the copy has noted of it
        self.has_begun = False  # the training was told what is to come
        self.here = self.size = self.size_left = self.changed = self.all_bytes = 0
        self.written: dict[str, object] = {}
        self.places: dict[str, Found] = {}  # of files in archives, and of parts
        self.with_parts: list[Entry] = []  # all that is to come, where objects have parts

    def run(self) -> None:
        request = self.request
        request.control.mkdir(parents=True, exist_ok=True)
        work = f"stage {request.url}"
        with held(request.control / ALIVE), alone(
            request.lock, work, request.timeout_s, say, self.joined.clock, self.joined.wait
        ):
            remove_file(request.control / STATE)  # of the one before
            if self.has_begun:
                say(f"the job that fetched {request.url} has ended: this one goes on with it")
            with held(request.control / ENGINE, alone=True):
                try:
                    self.fetch()
                finally:
                    if self.written:
                        self.write_state()  # with what did not come, for readers who wait for that

    def fetch(self) -> None:
        request = self.request
        if request.finder is not None:
            found = pieces.look_through(request.url, request.control, request.finder, say)
            self.with_parts, self.places = found
        copy_tree(
            request.url,
            str(request.target),
            threads=THREADS,
            manifest=request.manifest,
            delete=True,
            accepts=self.accepts,
            entries=self.listed,
            say=say,
            show_bar=False,
            watch=self,
            route=partial(MemberRoute, self.places) if request.held or request.finder else route_of,
        )

    def listed(self) -> Iterator[Entry]:
        request = self.request
        self.all_bytes = 0
        if request.finder is not None:
            yield from map(self.noted, self.with_parts)
            return
        if request.held:
            yield from map(self.noted, self.members(request.held))
            return
        if request.listed_in:
            yield from map(self.noted, data_index.read(request.listed_in, request.url))
            return
        store, key = locate(request.url)
        with Progress(f"list {request.url}", say, show_bar=False) as progress:
            yield from map(self.noted, listing(store, as_folder(key), progress))

    def members(self, held: Held) -> list[Entry]:
        """The files of archives, by the index where it is of these versions of them."""
        request, own = self.request, self.request.control / MEMBERS
        path = request.listed_in or own
        try:
            known = data_index.read_members(path, request.url)
        except DataError:
            if request.listed_in:
                raise
            known = {}  # this process has written it, and a kill may have left anything
        found = archived.look_through(locate(request.url)[0], held, known, say)
        if found != known:
            data_index.write_members(own, request.url, found)
        listed, places = archived.entries(held, found)
        self.places.update(places)
        return listed

    def noted(self, entry: Entry) -> Entry:
        if self.request.cache_bytes and not entry.is_folder:
            self.entries[entry.key] = entry
        return entry

    def accepts(self, name: str) -> bool:
        takes = self.request.takes
        if takes != ALL and not (image_files.is_image if takes == IMAGES else image_files.is_data_path)(name):
            return False
        if takes == DATA and not self.request.held and members.is_archive(name):
            raise StageError(
                f"{self.request.url} holds archives, such as {name}, beside other data: use --stage copy"
            )
        self.names.add(name)
        return True

    def at_once(self, size: int) -> int:
        """How many of `size` bytes are on the disk at a time. StageError where they are too many for it."""
        request = self.request
        if request.cache_bytes:
            self.entries = {name: self.entries[name] for name in sorted(self.names & self.entries.keys())}
            self.all_bytes = sum(entry.size for entry in self.entries.values())
        if self.is_cached:
            size = max(0, min(size, request.cache_bytes - (self.all_bytes - size)))
        free = shutil.disk_usage(request.control).free
        if size > free:
            limit = f"{free * 0.9 / 1e9:.3g}"
            raise StageError(
                f"not enough disk space in {request.control.parent}: {as_bytes(size)} to fetch, {as_bytes(free)} free; name"
                f" another disk with --cache_path, or let a part of the data be here at a time, such as --cache_gb {limit}"
            )
        return size

    @property
    def is_cached(self) -> bool:
        return 0 < self.request.cache_bytes < self.all_bytes

    def arrange(self, plan: Plan) -> Iterator[Entry]:
        """What is to be fetched, after its readers were told that it is coming."""
        request = self.request
        missing = list(plan.copies)
        if self.is_cached:
            for name in plan.deletes:  # now, for at its end this process is not asked any more
                if not name.endswith("/"):
                    remove_file(request.target / name)
            remove = partial(remove_below, str(request.target))
            self.queue = CachedQueue(request.timeout_s, self.entries, request.cache_bytes, remove)
        else:
            self.entries = {entry.key: entry for entry in missing}
        names = sorted(name for name in self.names if not name.endswith("/"))
        if not names and request.takes == IMAGES:
            raise DataError(f"no images ({', '.join(image_files.SUFFIXES)}) at {request.url}")
        if not names:
            raise StageError(f"no data at {request.url}: the folder is empty; check --data_url")
        self.here = len(names) - len(missing)
        for folder in {os.path.dirname(f"{request.target}/{name}") for name in names}:
            make_folder(folder)
        for entry in missing:  # what is there is another version, or nobody knows which
            remove_file(request.target / entry.key)
        self.queue.fill(iter(missing))
        write_atomic(request.control / NAMES, SEPARATOR.join(names).encode("utf-8", "surrogateescape"))
        (request.control / WANTED).write_bytes(b"")
        self.size_left = sum(entry.size for entry in missing)
        self.write_state()
        least = self.wishes.go_to(self.queue)
        if least > request.cache_bytes:
            raise StageError(f"--cache_gb {request.cache_bytes / 1e9:g} is too small for this job")
        self.begin(len(missing), self.size_left, self.is_cached, False)
        threading.Thread(target=self.keep_state, daemon=True, name="state").start()
        return iter(self.queue)

    def begin(self, files: int, size: int, is_cached: bool, is_shared: bool) -> None:
        """Tell the training, once, what is to come, and hear what it wants."""
        if not self.has_begun:
            self.has_begun = True
            self.pipe.send((files, size, is_cached, is_shared))
            threading.Thread(target=self.listen, daemon=True, name="orders").start()

    def listen(self) -> None:
        """Wishes of the training. When that ends, so does this: what has arrived is in the journal of the copy."""
        with contextlib.suppress(EOFError, OSError):
            while True:
                told = self.pipe.recv()
                if isinstance(told, Begin):
                    self.pipe.send(self.wishes.begin(told))
                elif isinstance(told, More):
                    self.wishes.add(told)
                    while self.wishes.has_enough and not self.pipe.poll(PAUSE_S):
                        pass  # its end is heard of, too
                    if not told.is_whole:
                        self.pipe.send(None)
                else:
                    self.wishes.order(told.split(SEPARATOR))
        os._exit(0)

    def ended(self, outcome: Known | Failure) -> bool:
        """Whether the copy counts it; a failure that may pass does not, nor does a file that comes again."""
        key = outcome.key if isinstance(outcome, Failure) else outcome.source.key
        error = outcome.error if isinstance(outcome, Failure) else None
        is_noted = False
        if isinstance(outcome, Known):
            self.here += 1
            self.size += self.entries[key].size
            self.compare(outcome.source, self.entries[key])
            is_noted = self.is_cached and self.has_noted(outcome)
        return self.queue.ended(self.entries[key], error) and not is_noted

    def has_noted(self, found: Known) -> bool:
        """Whether the copy knows the file from before; then it gets the time of then, by which a later copy knows it."""
        key, listed = found.source.key, self.entries[found.source.key]
        before = self.arrived.setdefault(key, found.target.modified_ns)
        if before == found.target.modified_ns or (found.source.size, found.source.etag) != (
            listed.size,
            listed.etag,
        ):
            self.arrived[key] = found.target.modified_ns
            return False
        with contextlib.suppress(FileNotFoundError):  # it has gone again
            os.utime(self.request.target / key, ns=(before, before))
        return True

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
        at = 0.0  # when it was last written
        with open(wanted, "rb") as asked:
            while True:
                time.sleep(PAUSE_S)
                self.wishes.follow_readers()
                if time.monotonic() - at < STATE_EVERY_S:
                    continue
                at = time.monotonic()
                names = asked.read().decode("utf-8", "surrogateescape").split(SEPARATOR)
                for name in names:
                    if name and name not in self.names:
                        self.queue.failed[name] = f"it is not at {self.request.url} any more"
                self.queue.bring_forward([name for name in names if name])
                self.write_state()

    def write_state(self) -> None:
        here = self.queue.here if isinstance(self.queue, CachedQueue) else self.here
        state = {"here": here, "bytes": self.size, "failed": dict(self.queue.failed)}
        state["left"] = self.size_left - self.size
        if state != self.written:
            write_atomic(self.request.control / STATE, json.dumps(state), durable=False)
            self.written = state


def make_folder(folder: str) -> None:
    try:
        os.makedirs(folder, exist_ok=True)
    except (OSError, UnicodeError) as err:
        raise StageError(f"can't make the folder {folder}: {err}") from err


def remove_below(folder: str, name: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{folder}/{name}")


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
