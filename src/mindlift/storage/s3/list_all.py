"""All keys of a large bucket in their order, from many lists at the same time: one list has 1,000 keys an answer.

The keys of a folder come one after another, so the lists of folders are the list of all, one behind the other.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from mindlift.backports import Protocol
from mindlift.storage.store import Entry

CHUNK = 4000  # keys that one list is asked for before it is split; class folders of ImageNet have 1,300
LISTS = 8  # folders that are listed ahead


class Pages(Protocol):
    def pages(self, prefix: str, delimiter: str, after: str = "") -> Iterator[Entry]:
        """Keys that begin with `prefix` and come behind `after`, in their order; folders by `delimiter`."""


def list_all(store: Pages, prefix: str) -> Iterator[Entry]:
    """All that begins with `prefix`, in the order of keys. Memory is taken by LISTS x CHUNK keys."""
    found = chunk(store, prefix, "")
    yield from found
    if len(found) == CHUNK:
        with ThreadPoolExecutor(LISTS, thread_name_prefix="list") as pool:
            yield from rest(store, prefix, found[-1].key, pool)


def chunk(store: Pages, prefix: str, after: str) -> list[Entry]:
    """At most CHUNK keys; fewer are the last ones."""
    return list(itertools.islice(store.pages(prefix, "", after), CHUNK))


def rest(store: Pages, prefix: str, after: str, pool: ThreadPoolExecutor) -> Iterator[Entry]:
    """What comes behind `after`: folders ahead by threads, files as they come."""
    entries = store.pages(
        prefix, "/"
    )  # from the beginning: stores differ in what is behind a key within a folder
    first = list(itertools.islice(entries, CHUNK))
    if not any(is_below(entry, prefix) for entry in first):
        yield from store.pages(prefix, "", after)
        return
    ahead: deque[tuple[Entry, Future[list[Entry]] | None]] = deque()
    for entry in itertools.chain(first, entries):
        is_around = is_below(entry, prefix) and after.startswith(entry.key)
        if entry.key <= after and not is_around:
            continue
        start = after if is_around else ""
        listed = pool.submit(chunk, store, entry.key, start) if is_below(entry, prefix) else None
        ahead.append((entry, listed))
        if len(ahead) > LISTS:
            yield from arrived(store, *ahead.popleft(), pool)
    while ahead:
        yield from arrived(store, *ahead.popleft(), pool)


def is_below(entry: Entry, prefix: str) -> bool:
    return entry.is_folder and entry.key != prefix


def arrived(
    store: Pages, entry: Entry, listed: Future[list[Entry]] | None, pool: ThreadPoolExecutor
) -> Iterator[Entry]:
    if listed is None:
        yield entry
        return
    found = listed.result()
    yield from found
    if len(found) == CHUNK:
        yield from rest(store, entry.key, found[-1].key, pool)
