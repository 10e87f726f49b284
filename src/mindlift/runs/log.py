"""What a run says: rank 0 on the terminal, every rank in its own file, metrics as JSON lines."""

from __future__ import annotations

import contextlib
import logging
import resource
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from tqdm import tqdm

from mindlift import sanitize
from mindlift.backports import Protocol
from mindlift.errors import StorageError
from mindlift.files import append_line
from mindlift.json_text import Record
from mindlift.language import N_, gettext, localized
from mindlift.runs.paths import RunPaths
from mindlift.runs.records import integer
from mindlift.silence import Watch

T = TypeVar("T")
# Of bars, and of the lines in their place.
WORK = (N_("train"), N_("evaluate"), N_("predict"), N_("features"), N_("convert"))
UNITS = (N_("step"), N_("image"), N_("batch"), N_("label"), N_("loss"))
FIRST = (N_("the first step"), N_("the first image"), N_("the first batch"), N_("the first label"))
DONE = (N_("step {0} of {1}"), N_("image {0} of {1}"), N_("batch {0} of {1}"), N_("label {0} of {1}"))
FORMAT = "%(asctime)s %(levelname)s %(message)s"


class Board(Protocol):
    """Gets each line of metrics.jsonl as well."""

    def add(self, record: Record) -> None: ...

    def pictures(self, step: int) -> None:
        """Show also what the evaluation after `step` has drawn."""


class BarHandler(logging.Handler):
    """Writes messages above the progress bar, to stdout, and calls `heard`; for people, in their language."""

    def __init__(self, heard: Callable[[], None] = lambda: None, is_for_people: bool = True):
        super().__init__()
        self.heard, self.is_for_people, self.stderr = heard, is_for_people, Stderr()

    def emit(self, record: logging.LogRecord) -> None:
        self.heard()
        self.stderr.put_back()
        line = self.format(record)
        tqdm.write(localized(line) if self.is_for_people else line, file=sys.stdout)
        sys.stdout.flush()


class Stderr:
    """sys.stderr as it was, to be put back: when MindSpore 2.8 compiles, CPython's bare printer of its start-up takes the
    place, of which tqdm knows neither the encoding nor that it is a bar's: bars would stay above the lines that are written.
    """

    def __init__(self) -> None:
        self.kept = sys.stderr

    def put_back(self) -> None:
        if type(sys.stderr).__name__ == "stderrprinter":
            sys.stderr = self.kept


class LogFile(logging.FileHandler):
    """A log file; StorageError where it can't be written, as on a full disk."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.stream.write(self.format(record) + self.terminator)
            self.stream.flush()
        except OSError as err:
            raise unwritable(self.baseFilename, err) from err

    def close(self) -> None:
        try:
            super().close()
        except OSError as err:  # of what a failed write has left in the buffer
            raise unwritable(self.baseFilename, err) from err


def unwritable(path: object, err: OSError) -> StorageError:
    return StorageError(f"can't write log {path}: {err.strerror}; pass another folder with --log_path")


class Count:
    """How far some work is that is counted in units, and how long the rest will take.

    The first unit is not timed: it compiles a graph, or waits for the first images. `first` says what it does.
    """

    def __init__(self, what: str, unit: str, total: int, done: int, first: str = "", clock=time.monotonic):
        self.what, self.unit, self.total, self.done, self.first = what, unit, total, done, first
        self.clock, self.began = clock, clock()
        self.from_here: tuple[int, float] | None = None
        self.last = self.began
        self.values: dict[str, object] = {}

    def advance(self, count: int, values: dict[str, object]) -> None:
        self.done, self.values = self.done + count, values
        self.last = self.clock()
        if self.from_here is None:
            self.from_here = self.done, self.last

    def text(self) -> str:
        if self.from_here is None:
            first = localized(self.first or f"the first {self.unit}")
            return gettext("{0}: {1}, {2} s so far", self.name(), first, f"{self.clock() - self.began:.0f}")
        counted = f"{self.unit} {{0}} of {{1}}"
        facts = [gettext(counted, self.done, self.total)]
        facts += [f"{gettext(k)} {v}" for k, v in self.values.items()]
        start, since = self.from_here
        if self.done > start:
            left = (self.total - self.done) * (self.last - since) / (self.done - start)
            facts.append(
                gettext("{0} left", localized(duration(max(0.0, left - (self.clock() - self.last)))))
            )
        return gettext("{0}: {1}", self.name(), ", ".join(facts))

    def name(self) -> str:
        """What is done, in the language: `train densenet100` and the like."""
        verb, space, rest = self.what.partition(" ")
        return f"{gettext(verb)}{space}{rest}"


def duration(seconds: float) -> str:
    """For people: 40 s, 3:20 min, 2:05 h."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}:{rest:02d} min"
    return f"{minutes // 60}:{minutes % 60:02d} h"


class RunLog:
    """Lines, metrics and the progress bar of one run; use it as a `with` block.

    Where there is no bar, lines say how far the work is, when nothing else was said for a while. `doing` is what is going
    on where nothing is counted. Files are in English; the terminal is in the reader's language if it `is_for_people`.
    """

    def __init__(self, paths: RunPaths | None, rank: int, show_bar: bool | None, is_for_people: bool = True):
        self.paths, self.rank = paths, rank
        self.show_bar = sys.stderr.isatty() if show_bar is None else show_bar
        self.logger = logging.Logger(f"mindlift.rank{rank}", logging.INFO)
        self.doing, self.stderr = N_("getting ready"), Stderr()
        self.count: Count | None = None
        self.watch = Watch(self.tell, self.what)
        if rank == 0:
            handler = BarHandler(self.watch.heard, is_for_people)
            handler.setFormatter(logging.Formatter("%(message)s"))
            self.logger.addHandler(handler)
        if paths is not None:
            try:
                file = LogFile(paths.log, encoding="utf-8")
            except OSError as err:
                raise unwritable(paths.log, err) from err
            file.setFormatter(logging.Formatter(FORMAT))
            self.logger.addHandler(file)
        self.watching = contextlib.ExitStack()
        self.bar: tqdm | None = None
        self.board: Board | None = None
        self.step = 0  # of the newest line of metrics.jsonl

    def __enter__(self) -> RunLog:
        if self.rank == 0:
            self.watching.enter_context(self.watch)
        return self

    def __exit__(self, *_: object) -> None:
        self.watching.close()
        self.end_bar()
        for handler in self.logger.handlers:
            handler.close()

    def info(self, message: str) -> None:
        self.logger.info(sanitize.lines(message))

    def warning(self, message: str) -> None:
        self.logger.warning(sanitize.error(message))

    def what(self) -> str:
        count = self.count
        return count.text() if count else self.doing

    def tell(self, line: str) -> None:
        """On the terminal only; a bar that moves says it itself."""
        if self.bar is not None and not self.bar.disable:
            self.stderr.put_back()
            if self.count is None or self.count.from_here is not None:
                return
            tqdm.write(localized(sanitize.lines(line)), file=sys.stdout)
            return
        print(localized(sanitize.lines(line)), flush=True)

    def start_bar(self, what: str, unit: str, total: int, done: int = 0, first: str = "") -> None:
        """Count `total` units, of which so many are `done`; the first one, which does `first`, is not timed."""
        if self.rank == 0:
            self.stderr.put_back()
            self.count = Count(what, unit, total, done, first)
            self.bar = tqdm(
                total=total,
                initial=done,
                desc=self.count.name(),
                unit=gettext(unit),
                disable=not self.show_bar,
                leave=False,
            )

    def advance(self, count: int = 1, **values: object) -> None:
        is_first = self.count is not None and self.count.from_here is None
        if is_first and self.bar is not None and not self.bar.disable:
            self.bar.unpause()  # the first one took longer than others will
            self.bar.initial += count
        if self.count is not None:
            self.count.advance(count, values)
        if self.bar is not None:
            if values:
                self.bar.set_postfix(values, refresh=False)
            self.bar.update(count)

    def end_bar(self) -> None:
        self.count = None
        if self.bar is not None:
            self.bar.refresh()  # the last count, which quick steps can leave out
            self.bar.close()
            self.bar = None

    def failed(self, error: str, first: int = 0) -> None:
        """What ends the training: an event after its last line, or after step `first`, and the end of this rank's file.

        The terminal hears of it from the program.
        """
        self.metric(event="failed", step=max(first, self.step), error=error)
        for handler in self.logger.handlers:
            if isinstance(handler, LogFile):
                handler.handle(logging.LogRecord(self.logger.name, logging.ERROR, "", 0, error, None, None))

    def metric(self, **values: object) -> None:
        """One JSON line in metrics.jsonl, rank 0 only."""
        if self.rank == 0 and self.paths is not None:
            record = {"time": round(time.time(), 3), **values}
            append_line(self.paths.metrics, record)
            self.step = integer(values.get("step")) or self.step
            if self.board is not None:
                self.board.add(record)


@dataclass(frozen=True)
class Reading:
    """Of the steps since the reading before: images/s, seconds of a step, share of the time that it waited for data."""

    images_per_second: float
    step_seconds: float
    data_wait: float


class Pace:
    """How fast a training is, without the first step, which compiles the graph."""

    def __init__(self, clock=time.perf_counter):
        self.clock = clock
        self.images = self.steps = 0
        self.waited = 0.0
        self.since: float | None = None

    def count(self, images: int) -> None:
        """Account for a finished step; the first one only starts the clock."""
        if self.since is None:
            self.since, self.waited = self.clock(), 0.0
        else:
            self.images += images
            self.steps += 1

    def waiting(self, source: Iterator[T]) -> T:
        """The next item of `source`, and how long that took is counted."""
        started = self.clock()
        found = next(source)
        self.waited += self.clock() - started
        return found

    def read(self) -> Reading | None:
        """Since the last reading, or None if no step was timed."""
        now = self.clock()
        if self.since is None or self.steps == 0:
            return None
        seconds = now - self.since
        found = Reading(self.images / seconds, seconds / self.steps, min(1.0, self.waited / seconds))
        self.images, self.steps, self.waited, self.since = 0, 0, 0.0, now
        return found


def memory_mb() -> float:
    """The most memory that this process has had so far (resident)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
