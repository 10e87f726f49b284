"""Patterns of paths and of URLs, with the rules of Python's glob."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from mindlift.storage.moxing.entries import keys_below, name_of
from mindlift.storage.moxing.on_demand import locate
from mindlift.storage.store import Store
from mindlift.storage.url import PathLike, as_folder

MAGIC = re.compile(r"[*?\[]")


def glob(url: PathLike) -> list[str]:
    """Whole URLs or paths that match; `*` and `?` stop at '/', `**` does not, and hidden names need a dot.

    A pattern that ends with '/' has folders only. The folders before `**` are not among its matches.
    """
    text = os.fspath(url)
    return [found for found in matches(text) if text.endswith("/") or not found.endswith("/")]


def matches(text: str, recursive: bool = True, hidden: bool = False) -> Iterator[str]:
    """What glob.iglob gives for a pattern: of a bucket, by as few lists as possible."""
    base = base_of(text)
    store, key = locate(base or ".")
    if base == text:
        if store.stat(key) is not None:
            yield text
        return
    parts = text[len(base) :].split("/")
    parts = [*filter(None, parts[:-1]), parts[-1]]
    if recursive and "**" in parts:
        yield from at_any_depth(store, as_folder(key), base, parts, hidden)
    else:
        yield from by_level(store, as_folder(key), base, parts, hidden)


def base_of(text: str) -> str:
    """The part of a pattern before its first part with magic in it; all of one that has none."""
    match = MAGIC.search(text)
    return text[: text.rfind("/", 0, match.start()) + 1] if match else text


def by_level(store: Store, folder: str, base: str, parts: Sequence[str], hidden: bool) -> Iterator[str]:
    """One list for each folder that matches so far."""
    (head, *rest), is_last, end = parts, len(parts) == 1 or not parts[1], "/" if parts[1:] else ""
    if not MAGIC.search(head):
        if not is_last:
            yield from by_level(store, f"{folder}{head}/", f"{base}{head}/", rest, hidden)
        elif store.stat(folder + head + end) is not None:
            yield base + head + end
        return
    for entry in store.scan(folder):
        name = name_of(entry)
        if not fits_name(name, head, hidden) or (rest and not entry.is_folder):
            continue
        if is_last:
            yield base + name + end
        else:
            yield from by_level(store, entry.key, f"{base}{name}/", rest, hidden)


def at_any_depth(store: Store, folder: str, base: str, parts: Sequence[str], hidden: bool) -> Iterator[str]:
    """One list of all that is below the folder."""
    keys = keys_below(store, folder)
    if (keys or store.stat(folder) is not None) and fits([], parts, True, hidden):
        yield base
    for key in keys:
        names = key[len(folder) :].rstrip("/").split("/")
        is_folder = key.endswith("/")
        if fits(names, parts, is_folder, hidden):
            is_before = parts[-1] == "**" and is_folder and fits(names, parts[:-1], True, hidden)
            yield base + "/".join(names) + ("/" if is_before or not parts[-1] else "")


def fits(names: Sequence[str], parts: Sequence[str], is_folder: bool, hidden: bool) -> bool:
    """Whether a path matches; a last part that is empty wants a folder."""
    if not parts or not parts[0]:
        return not names and (not parts or is_folder)
    if parts[0] == "**":
        return fits(names, parts[1:], is_folder, hidden) or (
            bool(names) and fits_name(names[0], "*", hidden) and fits(names[1:], parts, is_folder, hidden)
        )
    return (
        bool(names)
        and fits_name(names[0], parts[0], hidden)
        and fits(names[1:], parts[1:], is_folder, hidden)
    )


def fits_name(name: str, pattern: str, hidden: bool) -> bool:
    """As the shell does it, `*` sees no hidden names."""
    is_seen = hidden or pattern.startswith(".") or not name.startswith(".")
    return is_seen and fnmatchcase(name, pattern)
