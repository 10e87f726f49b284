"""Folders whose files are still arriving, as those who read them see them: names from the list, and waits for bytes.

`stream.py` fetches the files. A file has its name once it is whole, so that a reader only asks whether it is there.
"""

from __future__ import annotations

import bisect
import contextlib
import fcntl
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from mindlift import json_text
from mindlift.errors import DataError
from mindlift.forks import Shared
from mindlift.model_utils import image_files

NAMES, STATE, ALIVE, WANTED = "names", "state", "alive", "wanted"  # files of the control folder
SEPARATOR = "\0"
PAUSE_S, LONGEST_PAUSE_S, SAY_EVERY_S = 0.005, 0.1, 10.0
ASK_AFTER_S = 0.3  # a file that is read out of order


class ArrivalError(DataError):
    """A file that is not coming: what fetches it has ended, was refused, or takes too long."""

    exit_code = 1


class Arriving:
    """One folder, and the control folder of what fills it."""

    def __init__(self, root: Path, control: Path, timeout_s: float, say: Callable[[str], None]):
        self.root, self.control, self.timeout_s, self.say = root, control, timeout_s, say
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

    def wait(self, file: str) -> None:
        """Until `file` is there; ArrivalError if it is not coming."""
        name = os.path.relpath(file, self.root)
        began, pause, said, has_asked = time.monotonic(), PAUSE_S, 0, False
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
            if waited >= ASK_AFTER_S and not has_asked:
                self.ask(name)
                has_asked = True
            if waited // SAY_EVERY_S > said:
                said = int(waited // SAY_EVERY_S)
                here = f"{state.get('here', 0):,} of {len(self.names):,} files are here"
                self.say(f"waiting for {name}: {waited:.0f} s so far; {here}")
            time.sleep(pause)
            pause = min(pause * 1.5, LONGEST_PAUSE_S)

    def ask(self, name: str) -> None:
        """Let `name` come next. Whoever reads may ask, in any process: lines shorter than a page are appended whole."""
        with open(self.control / WANTED, "ab", buffering=0) as file:
            file.write(f"{name}{SEPARATOR}".encode("utf-8", "surrogateescape"))


class Arrivals(Shared):
    """The folders of this process whose files are arriving."""

    def __init__(self) -> None:
        super().__init__()
        self.folders: list[Arriving] = []
        self.has_ended = False

    def end(self) -> None:
        """Nobody waits any more, in any thread."""
        self.has_ended = True

    def begin(self, arriving: Arriving) -> None:
        with self.lock:
            self.has_ended = False
            self.folders = [each for each in self.folders if each.root != arriving.root] + [arriving]

    def around(self, path: Path) -> Arriving | None:
        return next((each for each in self.folders if each.root == path or each.root in path.parents), None)

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


def await_file(path: str) -> None:
    """Until a file that is coming is here; ArrivalError if it is not."""
    if not os.path.exists(path):
        ARRIVALS.wait(path)


def read_bytes(file: str) -> bytes:
    """The file's content, once it is here. OSError, or ArrivalError if it is not coming."""
    try:
        return whole_file(file)
    except FileNotFoundError:
        if not ARRIVALS.wait(file):
            raise
        return whole_file(file)


def whole_file(file: str) -> bytes:
    """In a fifth of the time of Path.read_bytes."""
    with open(file, "rb", buffering=0) as stream:
        return stream.read()


def read_state(control: Path) -> json_text.Record:
    try:
        found = json_text.read(control / STATE)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """A lock that says that this process lives."""
    with open(path, "ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def is_held(path: Path) -> bool:
    try:
        with open(path, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
    except BlockingIOError:
        return True
    except OSError:
        return False
