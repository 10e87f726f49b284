"""Folders whose files are still arriving, as those who read them see them: names from the list, and waits for bytes.

`stream.py` fetches the files. A file has its name once it is whole, so that a reader only asks whether it is there.
"""

from __future__ import annotations

import bisect
import contextlib
import fcntl
import fnmatch
import itertools
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from mindlift import json_text
from mindlift.errors import DataError
from mindlift.forks import Shared
from mindlift.model_utils import image_files
from mindlift.model_utils.streaming.position import Position

NAMES, STATE, ALIVE, ENGINE, WANTED = "names", "state", "alive", "engine", "wanted"  # in the control folder
SEPARATOR = "\0"
PAUSE_S, LONGEST_PAUSE_S, SAY_EVERY_S = 0.005, 0.1, 10.0
ASK_AFTER_S, ASK_AGAIN_S = 0.3, 2.0  # for a file that is read out of order
PAGE_BYTES = 4096


class ArrivalError(DataError):
    """A file that is not coming: what fetches it has ended, was refused, or takes too long."""

    exit_code = 1


class Arriving:
    """One folder, and the control folder of what fills it.

    `mark`: how the file there is called that says how far this process has read, if files go again; see `passed`.
    """

    def __init__(
        self, root: Path, control: Path, timeout_s: float, say: Callable[[str], None], mark: str = ""
    ):
        self.root, self.control, self.timeout_s, self.say, self.mark = root, control, timeout_s, say, mark
        self.descriptor = -1
        text = (control / NAMES).read_text(encoding="utf-8", errors="surrogateescape")
        self.names = text.split(SEPARATOR) if text else []  # in their order

    def images(self, folder: Path) -> image_files.Found:
        """As image_files.find, of a folder that is the root or below it."""
        prefix = f"{folder.relative_to(self.root)}/" if folder != self.root else ""
        start, end = (
            bisect.bisect_left(self.names, text) for text in (prefix, f"{prefix}{chr(sys.maxunicode)}")
        )
        return image_files.named(str(self.root), self.names[start:end])

    def is_coming(self, file: str) -> bool:
        name = os.path.relpath(file, self.root)
        place = bisect.bisect_left(self.names, name)
        return self.names[place : place + 1] == [name]

    def in_folder(self, folder: Path) -> Iterator[str]:
        """The names of the files that are, or will be, in `folder` itself."""
        prefix = f"{os.path.relpath(folder, self.root)}/" if folder != self.root else ""
        start = bisect.bisect_left(self.names, prefix)
        below = itertools.takewhile(
            lambda name: name.startswith(prefix), itertools.islice(self.names, start, None)
        )
        return (name[len(prefix) :] for name in below if "/" not in name[len(prefix) :])

    def wait(self, file: str) -> None:
        """Until `file` is there; ArrivalError if it is not coming."""
        name = os.path.relpath(file, self.root)
        began, pause, said, ask_at = time.monotonic(), PAUSE_S, 0, ASK_AFTER_S
        while not os.path.exists(file):
            was_alive, state = is_held(self.control / ALIVE), read_state(self.control)
            problem = state.get("failed", {}).get(name)
            if problem:
                raise ArrivalError(f"{file} did not arrive: {problem}")
            if not was_alive and not os.path.exists(file):
                raise ArrivalError(
                    f"{file} did not arrive: the process that fetches files has ended; its last lines say why"
                )
            if ARRIVALS.has_ended:
                raise ArrivalError(f"{file} is not waited for any more: the program ends")
            waited = time.monotonic() - began
            if waited >= self.timeout_s:
                raise ArrivalError(f"{file} did not arrive within --stage_timeout, {self.timeout_s:.0f} s")
            if waited >= ask_at:
                self.ask(name)
                ask_at = waited + ASK_AGAIN_S  # who fetches may have changed meanwhile
            if waited // SAY_EVERY_S > said:
                said = int(waited // SAY_EVERY_S)
                here = f"{state.get('here', 0):,} of {len(self.names):,} files are here"
                self.say(f"waiting for {name}: {waited:.0f} s so far; {here}")
            time.sleep(pause)
            pause = min(pause * 1.5, LONGEST_PAUSE_S)

    def ask(self, *names: str) -> None:
        """Let `names` come next. Whoever reads may ask, in any process: lines shorter than a page are appended whole."""
        with open(self.control / WANTED, "ab", buffering=0) as file:
            lines = b""
            for line in (f"{name}{SEPARATOR}".encode("utf-8", "surrogateescape") for name in names):
                if len(lines) + len(line) > PAGE_BYTES:
                    file.write(lines)
                    lines = b""
                lines += line
            file.write(lines)

    def will_read(self, files: Sequence[str]) -> None:
        """Ask for those that are not here, if files go again: nobody else knows that they are read soon."""
        if self.mark:
            missing = [os.path.relpath(file, self.root) for file in files if not os.path.exists(file)]
            if missing:
                self.ask(*missing)

    def passed(self, rounds: int) -> None:
        """This process does not need the files of its first so many rounds any more."""
        if self.mark:
            if self.descriptor < 0:
                self.descriptor = os.open(self.control / self.mark, os.O_WRONLY | os.O_CREAT, 0o644)
            os.pwrite(self.descriptor, rounds.to_bytes(8, "little"), 0)


class Fetched(NamedTuple):
    """How many files are here, of how many, and how fast bytes have come since the last look."""

    here: int
    all: int
    mb_per_second: float

    def text(self) -> str:
        return f"{self.here:,} of {self.all:,} files here, {self.mb_per_second:.1f} MB/s"


class Arrivals(Shared):
    """The folders of this process whose files are arriving."""

    def __init__(self) -> None:
        super().__init__()
        self.folders: list[Arriving] = []
        self.looked = (0.0, 0)  # when, and how many bytes had come
        self.has_ended = False
        self.position: Position | None = None  # of a training on a disk that does not hold all

    def end(self) -> None:
        """Nobody waits any more, in any thread."""
        self.has_ended = True

    def begin(self, arriving: Arriving) -> None:
        with self.lock:
            self.has_ended, self.position = False, None
            self.folders = [each for each in self.folders if each.root != arriving.root] + [arriving]
            self.looked = time.monotonic(), 0

    def fetched(self) -> Fetched | None:
        """None where nothing is streamed, or all is here and nothing has come since the last look."""
        states = [read_state(each.control) for each in self.folders]
        if not any(states):
            return None
        now, size = time.monotonic(), sum(int(state.get("bytes", 0)) for state in states)
        before, size_before = self.looked
        self.looked = now, size
        here = sum(int(state.get("here", 0)) for state in states)
        count = sum(len(each.names) for each in self.folders)
        if here >= count and size <= size_before:
            return None
        return Fetched(here, count, max(0, size - size_before) / 1e6 / max(now - before, 1e-3))

    def around(self, path: Path) -> Arriving | None:
        return next((each for each in self.folders if each.root == path or each.root in path.parents), None)

    @property
    def lets_go(self) -> bool:
        """Whether files go again."""
        return any(each.mark for each in self.folders)

    def follow(self, position: Position) -> None:
        """A training begins there, whose rounds are known to what fetches them."""
        self.position = position

    def passed(self, batches: int) -> None:
        """So many batches of the training are made."""
        if self.position is not None:
            self.told(self.position.train(batches))

    def evaluated(self, batches: int, of: int) -> None:
        """So many batches `of` a pass of an evaluation are made."""
        if self.position is not None:
            self.told(self.position.evaluate(batches, of))

    def told(self, rounds: int) -> None:
        for arriving in self.folders:
            arriving.passed(rounds)

    def will_read(self, files: Sequence[str]) -> None:
        """An evaluation reads these next, all of one folder; see Arriving. Those of a planned one come by themselves."""
        if self.position is not None and self.position.is_planned:
            return
        arriving = self.around(Path(files[0])) if self.folders and files else None
        if arriving:
            arriving.will_read(files)

    def ask(self, files: Sequence[Path]) -> None:
        """Let these come next, of those that are not here."""
        missing = [file for file in files if not file.exists()]
        arriving = self.around(missing[0]) if missing else None
        if arriving:
            arriving.ask(*(os.path.relpath(file, arriving.root) for file in missing))

    def wait(self, file: str) -> bool:
        """Whether `file` is one of those, and has come by now."""
        arriving = self.around(Path(file)) if self.folders else None
        if arriving:
            arriving.wait(file)
        return arriving is not None


ARRIVALS = Arrivals()


def is_file(path: str | Path) -> bool:
    """Whether it is a file, or will be one."""
    if os.path.isfile(path):
        return True
    arriving = ARRIVALS.around(Path(path)) if ARRIVALS.folders else None
    return arriving is not None and arriving.is_coming(str(path))


def images(folder: Path) -> image_files.Found:
    """As image_files.find, also of a folder whose files are still arriving."""
    arriving = ARRIVALS.around(folder)
    return arriving.images(folder) if arriving else image_files.find(folder)


def matching(folder: Path, pattern: str) -> list[Path]:
    """The files of `folder` itself that are there, or will be, sorted."""
    arriving = ARRIVALS.around(folder)
    found = {path.name for path in folder.glob(pattern)}
    if arriving:
        found.update(fnmatch.filter(arriving.in_folder(folder), pattern))
    return [folder / name for name in sorted(found)]


def await_file(path: str) -> None:
    """Until a file that is coming is here; ArrivalError if it is not."""
    if not os.path.exists(path):
        ARRIVALS.wait(path)


def read_bytes(file: str) -> bytes:
    """The file's content, once it is here. OSError, or ArrivalError if it is not coming."""
    while True:
        try:
            return whole_file(file)
        except FileNotFoundError:
            if not ARRIVALS.wait(file):
                raise  # else it is here, unless it went again at this moment


def whole_file(file: str) -> bytes:
    """In a tenth of the time of Path.read_bytes, and with few calls: each is a moment for other threads to take the lock."""
    descriptor = os.open(file, os.O_RDONLY)
    try:
        size = os.fstat(descriptor).st_size
        found = os.read(descriptor, size)
        while len(found) < size:  # of a gigabyte and more, or where a signal came
            more = os.read(descriptor, size - len(found))
            if not more:
                break
            found += more
        return found
    finally:
        os.close(descriptor)


def read_state(control: Path) -> json_text.Record:
    try:
        found = json_text.read(control / STATE)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


@contextlib.contextmanager
def held(path: Path, alone: bool = False) -> Iterator[None]:
    """A lock that says that this process lives; others may hold it, too, unless `alone`."""
    with open(path, "ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield


def is_held(path: Path) -> bool:
    """By anybody; for a moment also by another one who asks."""
    try:
        with open(path, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return False
    except BlockingIOError:
        return True
    except OSError:
        return False
