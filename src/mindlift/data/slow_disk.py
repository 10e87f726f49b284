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
AT_ONCE, LISTED_AT_ONCE = 1 << 14, 250  # paths whose folders are looked at together, and entries of a folder
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

    Where hundreds of paths in a row lie in the same few folders these are listed once, a fifth of what asking for each costs, unless
    the disk takes long to list them.
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
    """The names of the files in folders, none of a folder that can't be listed or has MOST_LISTED entries."""

    is_slow = False  # where it asks for each entry what it is, as behind some networks: then nothing is listed any more

    def __missing__(self, folder: str) -> Container[str]:
        while len(self) >= FOLDERS_KEPT:
            del self[next(iter(self))]
        self[folder] = found = () if self.is_slow else self.names(folder)
        return found

    def names(self, folder: str) -> Container[str]:
        found: set[str] = set()
        try:
            with os.scandir(folder or "/") as entries:
                for _ in range(0, MOST_LISTED, LISTED_AT_ONCE):
                    began, portion = time.perf_counter(), list(itertools.islice(entries, LISTED_AT_ONCE))
                    found.update([entry.name for entry in portion if entry.is_file()])
                    if time.perf_counter() - began > STAT_S * LISTED_AT_ONCE:
                        self.is_slow = True
                        return found
                    if len(portion) < LISTED_AT_ONCE:
                        return found
        except (OSError, ValueError):  # whoever asks for the files themselves learns why
            pass
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
