"""Asks a disk for much: one thing after another, or many at once where the disk is slow to answer, as behind a network.

Needs no numpy.
"""

from __future__ import annotations

import itertools
import os
import stat
import time
from array import array
from collections import Counter, deque
from collections.abc import Callable, Container, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Dict, TypeVar

T = TypeVar("T")
R = TypeVar("R")
NO_FILE = -1
THREADS, AHEAD = 32, 128
STAT_S = 50e-6  # a disk of this machine takes 2 us, and threads would only wait for each other
AT_ONCE = 1 << 14  # paths whose folders are looked at together
WORTH_LISTING, MOST_LISTED, FOLDERS_KEPT = 200, 50_000, 64  # paths in a folder, its entries, and folders


def answers(ask: Callable[[T], R], items: Iterable[T], slow_s: float, trial: int) -> Iterator[R]:
    """What `ask` gives for each, in order; many are asked for at once if half of the first `trial` take longer than `slow_s`."""
    source, seconds = iter(items), [0.0]
    for item in itertools.islice(source, trial):
        began = time.perf_counter()
        answer = ask(item)
        seconds.append(time.perf_counter() - began)
        yield answer
    if sorted(seconds)[len(seconds) // 2] <= slow_s:
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
    return array("q", each_size(paths))


def each_size(paths: Iterable[str]) -> Iterator[int]:
    return answers(file_size, paths, STAT_S, trial=256)


def are_files(paths: Iterable[str]) -> Iterator[list[bool]]:
    """Whether there is a file, of each path in order, up to AT_ONCE at a time.

    Where hundreds of paths in a row lie in the same few folders these are listed once: a tenth of what asking for each costs.
    """
    source, names_in = iter(paths), FolderNames()
    for portion in iter(lambda: list(itertools.islice(source, AT_ONCE)), []):
        parts = [path.rpartition("/") for path in portion]
        counts = Counter([folder for folder, _, _ in parts])
        listed = {each: names_in[each] if counts[each] >= WORTH_LISTING else () for each in counts}
        found = [name in listed[folder] for folder, _, name in parts]
        if not all(found):
            asked = each_size(path for path, is_there in zip(portion, found) if not is_there)
            found = [is_there or next(asked) != NO_FILE for is_there in found]
        yield found


class FolderNames(Dict[str, "Container[str]"]):
    """The names of the files in folders, none of a folder that can't be listed or has more than MOST_LISTED entries."""

    def __missing__(self, folder: str) -> Container[str]:
        while len(self) >= FOLDERS_KEPT:
            del self[next(iter(self))]
        self[folder] = found = self.names(folder)
        return found

    @staticmethod
    def names(folder: str) -> Container[str]:
        try:
            with os.scandir(folder or "/") as entries:
                found = {entry.name for entry in itertools.islice(entries, MOST_LISTED) if entry.is_file()}
                return () if next(entries, None) else found
        except (OSError, ValueError):
            return ()


def joined(folder: os.PathLike[str], names: Iterable[str]) -> Iterator[str]:
    """os.path.join of each name, in a third of the time."""
    before = os.path.join(folder, "")
    return (name if name.startswith("/") else before + name for name in names)


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
