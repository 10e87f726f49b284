"""Runs in a bucket: which there are below a URL, and the checkpoints that they say they have."""

from __future__ import annotations

from collections.abc import Iterator

from mindlift.runs.manifest import MANIFEST, Saved, parse
from mindlift.runs.paths import parse_name
from mindlift.storage.places import exists, names, read
from mindlift.storage.url import PathLike, join


def run_names(url: PathLike) -> Iterator[str]:
    """The run folders that are directly below `url`, the newest first."""
    return (name for name in run_like(url) if exists(join(url, name, "run.json")))


def run_like(url: PathLike) -> list[str]:
    """The folders directly below `url` that are named as runs are, the newest first."""
    found = {name: parse_name(name) for name in names(url, folders=True)}
    return sorted((name for name in found if found[name]), key=lambda name: found[name] or (), reverse=True)


def published(folder: PathLike) -> list[Saved]:
    """The records of the manifest of a folder of checkpoints, oldest first; [] without one."""
    try:
        return parse(read(join(folder, MANIFEST)), join(folder, MANIFEST))
    except FileNotFoundError:
        return []
