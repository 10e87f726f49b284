"""What the training of one streaming process wants: an order, or the rounds that it reads, and how far its readers are."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Sequence
from itertools import islice

from mindlift.model_utils.streaming.fetch_queue import CachedQueue, Queue
from mindlift.model_utils.streaming.streamer import Begin, More, Request

WINDOW_ROUNDS, WINDOW_FILES = 16, 512  # that are asked for, where another job fetches


class Wishes:
    """Kept until this process fetches itself: then they `go_to` its queue."""

    def __init__(self, request: Request):
        self.request = request
        self.lock = threading.Lock()
        self.queue: Queue | None = None
        self.names: deque[str] = deque()
        self.begins: Begin | None = None
        self.first = 0  # number of the first of `rounds`
        self.rounds: deque[Sequence[str]] = deque()
        self.is_whole = False

    def order(self, names: Sequence[str]) -> None:
        with self.lock:
            self.names = deque(names)
            if self.queue is not None:
                self.queue.order(names)

    def begin(self, begins: Begin) -> int:
        """Returns how many bytes a cache needs at least, as far as that is known."""
        with self.lock:
            self.begins, self.first = begins, begins.first
            if isinstance(self.queue, CachedQueue):
                return self.queue.begin(begins.first, begins.most)
        return 0

    def add(self, more: More) -> None:
        with self.lock:
            self.is_whole = more.is_whole
            if isinstance(self.queue, CachedQueue):
                self.queue.add(more.rounds, more.is_whole)
            else:
                self.rounds.extend(more.rounds)

    @property
    def has_enough(self) -> bool:
        with self.lock:
            if isinstance(self.queue, CachedQueue):
                return not self.queue.lacks
            return len(self.rounds) > WINDOW_ROUNDS

    def go_to(self, queue: Queue) -> int:
        """Returns what `begin` does."""
        least = 0
        with self.lock:
            self.queue = queue
            if isinstance(queue, CachedQueue) and self.begins is not None:
                least = queue.begin(self.first, self.begins.most)
                queue.add(self.rounds, self.is_whole)
                self.rounds.clear()
            elif self.names:
                queue.order(list(self.names))
        return least

    def follow_readers(self) -> None:
        """Take notice of how far they are."""
        if self.begins is None:
            return
        passed = min(map(self.passed_by, range(self.request.readers)))
        with self.lock:
            if isinstance(self.queue, CachedQueue):
                self.queue.advance(passed)
                return
            while self.rounds and self.first < passed:
                self.rounds.popleft()
                self.first += 1

    def passed_by(self, reader: int) -> int:
        assert self.begins is not None
        try:
            with open(self.request.control / f"{self.request.mark}-{reader}", "rb") as file:
                return int.from_bytes(file.read(8), "little")
        except FileNotFoundError:
            return self.begins.first

    def next_missing(self) -> list[str]:
        """What is read next and is not here."""
        self.follow_readers()
        with self.lock:
            if self.begins is not None:
                names = [name for each in islice(self.rounds, WINDOW_ROUNDS) for name in each]
            else:
                while self.names and self.is_here(self.names[0]):
                    self.names.popleft()
                names = list(islice(self.names, WINDOW_FILES))
        return [name for name in names if not self.is_here(name)]

    def is_here(self, name: str) -> bool:
        return os.path.exists(f"{self.request.target}/{name}")
