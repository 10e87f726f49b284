"""Objects whose parts are fetched one by one, such as the rows of MindRecord shards: who knows their form says where these are.

An object becomes a folder of its name, and each part a file in it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Callable

from mindlift.backports import Protocol
from mindlift.model_utils import image_files
from mindlift.model_utils.streaming.archived import THREADS, Found, exact
from mindlift.storage.copying.copy import copy_tree, listing
from mindlift.storage.copying.progress import Progress, Say
from mindlift.storage.places import locate
from mindlift.storage.store import Entry
from mindlift.storage.url import as_folder

Read = Callable[[int, int], bytes]  # some bytes of an object, from an offset on


class Finder(Protocol):
    """Knows the form of the objects; a process of its own is told of it."""

    def indexes(self, names: Collection[str]) -> dict[str, str]:
        """Of the `names` of a folder those objects that have parts, each with the file that says where they are."""
        ...

    def parts(self, folder: Path, name: str, entry: Entry, read: Read) -> list[Found]:
        """The parts of one object, called `name`; its index is in `folder`. DataError if it is damaged."""
        ...


def look_through(url: str, control: Path, finder: Finder, say: Say) -> tuple[list[Entry], dict[str, Found]]:
    """What of the folder `url` is fetched, in the order of names; and of parts, where they are. Indexes go to `control`."""
    store, key = locate(url)
    prefix, folder = as_folder(key), control / "indexes"
    with Progress(f"list {url}", say, show_bar=False) as progress:
        found = (each for each in listing(store, prefix, progress) if image_files.is_data_path(each.key))
        listed = {each.key: each for each in found if not each.is_folder}
    indexes = finder.indexes(listed)
    copy_indexes(url, folder, control / "indexes.sync", [listed[name] for name in indexes.values()])

    def parts(name: str) -> list[Found]:
        entry = listed[name]._replace(key=prefix + name)
        return finder.parts(folder, name, entry, lambda start, length: exact(store, entry, start, length))

    with ThreadPoolExecutor(THREADS) as pool:
        places = {each.name: each for each_of in pool.map(parts, indexes) for each in each_of}
    whole = [entry for name, entry in listed.items() if name not in indexes]
    return sorted([*whole, *map(as_entry, places.values())]), places


def copy_indexes(url: str, folder: Path, manifest: Path, entries: Iterable[Entry]) -> None:
    copy_tree(
        url,
        str(folder),
        manifest=manifest,
        delete=True,
        entries=lambda: iter(sorted(entries)),
        say=lambda line: None,
        show_bar=False,
    )


def as_entry(found: Found) -> Entry:
    """A part as an object of its own, which is another one when its object is."""
    archive = found.place.archive
    return Entry(found.name, found.size, f"{archive.etag}-{found.place.offset}", archive.modified_ns)
