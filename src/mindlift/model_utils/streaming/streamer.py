"""The process that fetches a folder while it is read, from the side of who reads it."""

from __future__ import annotations

import contextlib
import math
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from mindlift.checkout import SOURCES
from mindlift.errors import ConfigError, StageError
from mindlift.files import remove_file
from mindlift.model_utils.streaming.archived import Held
from mindlift.model_utils.streaming.arrivals import SEPARATOR, read_state
from mindlift.model_utils.streaming.pieces import Finder
from mindlift.model_utils.streaming.position import Evaluation, Position
from mindlift.storage.copying.progress import as_bytes

PROGRAM = "mindlift.model_utils.streaming.stream"
PAUSE_S = 0.02
MEASURED_S, QUICK_S = 1.0, 30.0  # of --stage auto: how long the network is measured, and what a copy may take
ENDED_WITHIN_S = 10.0
NAMES_AT_A_TIME = 20_000  # of the rounds that are told


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
    cache_bytes: int = 0  # that the files here may take; 0: as many as they have
    readers: int = 1
    held: Held | None = None  # archives, whose files are fetched one by one
    finder: Finder | None = None  # of objects whose parts are
    under_way_bytes: float = (
        math.inf
    )  # of few large files no more come at a time, so that the first ones are here first
    mark: str = "read"  # begins the names of the files in `control` where the readers say how far they are


class Rounds(NamedTuple):
    """What a training reads: the files of a batch of each rank of the node, batch by batch from number `first` on, and
    those of its `evaluations` between them.
    """

    first: int
    most: int  # files in a round
    each: Iterator[Sequence[str]]
    evaluations: Sequence[Evaluation] = ()
    per_pass: int = 0  # rounds of a pass of an evaluation

    def begun(self) -> Position:
        """Of a reader."""
        return Position(self.first, self.evaluations, self.per_pass)


class Coming(NamedTuple):
    """What was not here at the beginning."""

    files: int
    size: int  # bytes
    is_cached: bool = False  # there is not room for all
    is_shared: bool = False  # another job fetches it already


class Begin(NamedTuple):
    """Told to the process: rounds follow."""

    first: int
    most: int


class More(NamedTuple):
    """Told to the process: the next rounds."""

    rounds: Sequence[Sequence[str]]
    is_whole: bool


class Streamer:
    """The process. `begun` first."""

    def __init__(self, request: Request, stdout: int | None = None):
        """`stdout`: the descriptor that its lines go to, this process's unless given."""
        self.request = request
        here, there = socket.socketpair()
        with there:
            self.process = subprocess.Popen(
                [sys.executable, "-m", PROGRAM, str(there.fileno())],
                cwd=SOURCES,
                pass_fds=[there.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                close_fds=True,
            )
        self.pipe = Connection(here.detach())
        self.pipe.send(request)
        self.wants_rounds = False

    def begun(self) -> Coming:
        """Wait until the names are known and the folders made; returns what is to come."""
        try:
            answer = self.pipe.recv()
        except (EOFError, OSError):
            raise self.has_ended() from None
        if isinstance(answer, BaseException):
            raise answer
        found = Coming(*answer)
        self.wants_rounds = found.is_cached
        return found

    def has_ended(self) -> StageError:
        return StageError(f"the process that fetches {self.request.url} has ended; its last lines say why")

    def left_s(self, coming: Coming) -> float:
        """How long all that is to come will take, by what comes in MEASURED_S."""
        began, before = time.monotonic(), read_state(self.request.control).get("bytes", 0)
        while self.process.poll() is None and time.monotonic() - began < MEASURED_S:
            time.sleep(PAUSE_S)
        if self.process.poll() is not None:
            return 0.0
        size = read_state(self.request.control).get("bytes", 0) - before * coming.is_shared
        return (coming.size - size) * MEASURED_S / size if size > 0 else math.inf

    def finish(self) -> None:
        """Wait until all files are here; StageError if one is missing."""
        if self.process.wait():
            raise self.has_ended()

    def order(self, names: Sequence[str]) -> None:
        """Fetch these first, in this order."""
        with contextlib.suppress(OSError):  # it has fetched all, and ended
            self.pipe.send(SEPARATOR.join(names))

    def follow(self, rounds: Rounds) -> None:
        """Fetch what these rounds read, and keep what they read again. ConfigError for a cache that is too small."""
        least = 0
        try:
            self.pipe.send(Begin(rounds.first, rounds.most))
            least = int(self.pipe.recv())
        except (OSError, EOFError):
            if self.process.wait():
                raise self.has_ended() from None
            return  # all is here
        if least > self.request.cache_bytes:
            raise ConfigError(
                f"--cache_gb {self.request.cache_bytes / 1e9:g}: 16 batches of this node's ranks take up to"
                f" {as_bytes(least)}; pass at least {math.ceil(least / 1e6) / 1e3:g}, or a smaller --per_batch_size"
            )
        threading.Thread(target=self.supply, args=(rounds,), daemon=True, name="rounds").start()

    def supply(self, rounds: Rounds) -> None:
        """Tell the next rounds, as often as the process asks for some."""
        with contextlib.suppress(OSError, EOFError):
            while True:
                told, names = [], 0
                for each in rounds.each:
                    told.append(each)
                    names += len(each)
                    if names >= NAMES_AT_A_TIME:
                        break
                self.pipe.send(More(told, names < NAMES_AT_A_TIME))
                if names < NAMES_AT_A_TIME:
                    return
                self.pipe.recv()

    def close(self) -> None:
        self.pipe.close()
        try:
            self.process.wait(ENDED_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for number in range(self.request.readers):
            remove_file(self.request.control / f"{self.request.mark}-{number}")
