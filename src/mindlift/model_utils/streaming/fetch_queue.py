"""Which file of a folder is fetched next, by the order in which its readers want them."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from mindlift.errors import StageError
from mindlift.model_utils.streaming.cache_plan import CachePlan
from mindlift.storage.copying.job import LocalError
from mindlift.storage.errors import MoxFileNotExistsException
from mindlift.storage.store import Entry

PAUSE_S = 0.02
LAST_WORDS = (
    MoxFileNotExistsException,
    StageError,
    LocalError,
)  # of a file: to ask for it again does not help
LISTS = (".txt", ".lst", ".csv", ".json", ".db")  # which name the files of a data set, and are read first


class Queue:
    """Files to fetch, in the order that was last asked for. Threads take them one by one, as long as less than `most_bytes`
    are under way.
    """

    def __init__(
        self, timeout_s: float, clock: Callable[[], float] = time.monotonic, most_bytes: float = math.inf
    ):
        self.timeout_s, self.clock, self.most_bytes = timeout_s, clock, most_bytes
        self.lock = threading.Lock()
        self.pending: dict[str, Entry] = {}
        self.wanted: deque[str] = deque()
        self.under_way: dict[str, int] = {}  # with their bytes
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
                time.sleep(PAUSE_S)  # what is under way may fail, and come again; or it is enough at a time
            else:
                return

    def take(self) -> Entry | None:
        with self.lock:
            while self.wanted and sum(self.under_way.values()) < self.most_bytes:
                entry = self.pending.pop(self.wanted.popleft(), None)
                if entry:
                    self.under_way[entry.key] = entry.size
                    return entry
        return None

    def ended(self, entry: Entry, error: Exception | None) -> bool:
        """Whether that is the last word of a file; what may pass is tried again, for `timeout_s`."""
        with self.lock:
            if entry.key not in self.under_way:
                return False  # another range of a large file, whose first one has failed
            del self.under_way[entry.key]
            since = self.failing.setdefault(entry.key, self.clock()) if error else 0.0
            comes_again = False
            if error is None:
                self.failing.pop(entry.key, None)
            elif isinstance(error, LAST_WORDS) or self.clock() - since >= self.timeout_s:
                self.failed[entry.key] = " ".join(str(error).split())
            else:
                comes_again = True
            self.settle(entry, error is None, comes_again)
            return not comes_again

    def settle(self, entry: Entry, is_here: bool, comes_again: bool) -> None:
        if comes_again:
            self.pending[entry.key] = entry
            self.wanted.append(entry.key)


class CachedQueue(Queue):
    """The same with a limit to what is on disk: files go, by the rule of CachePlan, and are fetched again."""

    def __init__(
        self,
        timeout_s: float,
        entries: Mapping[str, Entry],
        size: int,
        remove: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ):
        """Of all `entries`, those that `fill` names are missing; `remove` takes a file away."""
        super().__init__(timeout_s, clock)
        self.entries, self.size, self.remove = list(entries.values()), size, remove
        self.numbers = {entry.key: number for number, entry in enumerate(self.entries)}
        self.plan = CachePlan([], (), size)

    def fill(self, entries: Iterator[Entry]) -> None:
        missing = {self.numbers[entry.key] for entry in entries}
        sizes = [entry.size for entry in self.entries]
        self.plan = CachePlan(sizes, (n for n in range(len(sizes)) if n not in missing), self.size)
        self.bring_forward([name for name in self.numbers if name.endswith(LISTS)])

    def order(self, names: Sequence[str]) -> None:
        """Without rounds: the readers ask for what they need."""
        with self.lock:
            if self.plan.future is None:
                self.plan.have_none()

    def begin(self, first: int, most_in_a_round: int) -> int:
        lists = {number for name, number in self.numbers.items() if name.endswith(LISTS)}
        with self.lock:
            return self.plan.begin(first, most_in_a_round, lists)

    def add(self, rounds: Iterable[Sequence[str]], is_whole: bool) -> None:
        with self.lock:
            found = ([self.numbers[name] for name in each if name in self.numbers] for each in rounds)
            self.plan.add(found, is_whole)

    @property
    def lacks(self) -> bool:
        with self.lock:
            return self.plan.lacks

    def advance(self, passed: int) -> None:
        with self.lock:
            self.plan.advance(passed)
            self.tidy()

    def bring_forward(self, names: Sequence[str]) -> None:
        with self.lock:
            self.plan.ask(self.numbers[name] for name in names if name in self.numbers)

    def __iter__(self) -> Iterator[Entry]:
        while True:
            entry = self.take()
            if entry:
                yield entry
            else:
                time.sleep(PAUSE_S)

    def take(self) -> Entry | None:
        with self.lock:
            number = self.plan.take()
            self.tidy()
            if number is None:
                return None
            entry = self.entries[number]
            self.under_way[entry.key] = entry.size
            return entry

    @property
    def here(self) -> int:
        with self.lock:
            return len(self.plan.here)

    def tidy(self) -> None:
        for number in self.plan.removed:
            self.remove(self.entries[number].key)
        self.plan.removed.clear()

    def settle(self, entry: Entry, is_here: bool, comes_again: bool) -> None:
        number = self.numbers[entry.key]
        if is_here:
            self.plan.arrived(number)
        else:
            self.plan.failed(number, comes_again)
