"""Runs in a bucket: which there are below a URL, and the checkpoints that they say they have."""

from __future__ import annotations

from collections.abc import Iterator

from mindlift.runs.manifest import MANIFEST, Saved, parse
from mindlift.storage.places import exists, names, read
from mindlift.storage.url import PathLike, join


def run_names(url: PathLike) -> Iterator[str]:
    """The run folders that are directly below `url`, the newest first."""
    folders = reversed(names(url, folders=True))
    return (name for name in folders if exists(join(url, name, "run.json")))


def published(folder: PathLike) -> list[Saved]:
    """The records of the manifest of a folder of checkpoints, oldest first; [] without one."""
    try:
        return parse(read(join(folder, MANIFEST)).decode("utf-8", "replace"))
    except FileNotFoundError:
        return []
