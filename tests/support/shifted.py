"""Two places with the same content, and what a call of the standard library does to each."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Callable

from mindlift.storage import places
from mindlift.storage.moxing import file
from mindlift.storage.moxing.entries import keys_below
from mindlift.storage.store import LocalStore

FILES = {
    "f.txt": "hello",
    "d/a.txt": "a",
    "d/b.log": "bb",
    "d/e/c.txt": "ccc",
    ".hidden/x": "x",
    "d/.h": "h",
    "data2/z": "z",
}
FEW = {name: FILES[name] for name in ("f.txt", "d/a.txt", "d/b.log", "d/e/c.txt")}
EMPTY = ("empty",)
Call = Callable[[str], object]


@contextlib.contextmanager
def shifted() -> Iterator[None]:
    file.shift("os", "mox")
    try:
        yield
    finally:
        file.shift("mox", "os")


def fill(place: str, files: Mapping[str, str] = FILES) -> None:
    """The small tree of `files` and EMPTY; marks of folders in a bucket, as makedirs makes them."""
    store, key = places.locate(place)
    for name in (*EMPTY, *{os.path.dirname(name) for name in files if "/" in name}):
        if isinstance(store, LocalStore):
            store.make_folder(f"{key}/{name}")
        else:
            store.write(f"{key}/{name}/", b"")
    for name, text in files.items():
        store.write(f"{key}/{name}", text.encode())


def content(place: str) -> dict[str, str]:
    """All that is below a place: the texts of files, '' for folders, which end with '/'."""
    store, key = places.locate(place)
    keys = keys_below(store, f"{key}/")
    return {
        name[len(key) :]: "" if name.endswith("/") else store.read(name).decode("latin-1") for name in keys
    }


def outcome(call: Call, place: str) -> object:
    """What a call gives, or the class and number of what it raises, with the place taken out."""
    try:
        found = call(place)
    except shutil.Error as err:
        return "raises", type(err).__name__
    except (OSError, ValueError) as err:
        kind = next(
            each for each in type(err).__mro__ if each.__module__ == "builtins" and each is not RuntimeError
        )
        return "raises", kind.__name__, getattr(err, "errno", None)
    return normal(found, place)


def normal(found: object, place: str) -> object:
    if isinstance(found, Path):
        return normal(str(found), place)
    if isinstance(found, str):
        short = place.replace("obs://", "obs:/")  # as pathlib writes it
        return found.replace(place, "PLACE").replace(short, "PLACE")
    if isinstance(found, tuple):
        return tuple(normal(each, place) for each in found)
    if isinstance(found, list):
        return [normal(each, place) for each in found]
    return found
