"""Asks a disk for much: one thing after another, or many at once where the disk is slow to answer, as behind a network.

Needs no numpy.
"""

from __future__ import annotations

import itertools
import os
import stat
import time
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")
NO_FILE = -1
THREADS, AHEAD = 32, 128
STAT_S = 50e-6  # a disk of this machine takes 2 us, and threads would only wait for each other


def answers(ask: Callable[[T], R], items: Iterable[T], slow_s: float, trial: int) -> Iterator[R]:
    """What `ask` gives for each, in order; many are asked for at once if the first `trial` take more than `slow_s` each."""
    source, began = iter(items), time.perf_counter()
    first = list(map(ask, itertools.islice(source, trial)))
    is_slow = time.perf_counter() - began > slow_s * max(1, len(first))
    yield from first
    if not is_slow:
        yield from map(ask, source)
        return
    with ThreadPoolExecutor(THREADS) as pool:
        asked = deque(pool.submit(ask, item) for item in itertools.islice(source, AHEAD))
        while asked:
            answer = asked.popleft().result()
            asked.extend(pool.submit(ask, item) for item in itertools.islice(source, 1))
            yield answer


def file_sizes(paths: Iterable[str]) -> array[int]:
    """Bytes of files, NO_FILE for what is none."""
    return array("q", answers(file_size, paths, STAT_S, trial=256))


def file_size(path: str) -> int:
    try:
        found = os.stat(path)
    except (OSError, ValueError):  # a zero in the name
        return NO_FILE
    return found.st_size if stat.S_ISREG(found.st_mode) else NO_FILE


def why_no_file(path: str) -> str:
    """For a message, of a path that has no size."""
    try:
        os.stat(path)
    except OSError as err:
        return err.strerror or str(err)
    return "it is no file"
