"""Checkpoints of runs in buckets, and published weights, brought to this machine's disk."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path

from mindlift.errors import CheckpointError
from mindlift.files import write_atomic
from mindlift.model_utils.hub import fetch as hub
from mindlift.model_utils.staging.stager import Stager
from mindlift.models.weights.published import is_named
from mindlift.runs.manifest import MANIFEST, WEIGHTS, as_text, best_first
from mindlift.runs.paths import CLASSES
from mindlift.runs.remote import published, run_like
from mindlift.runs.sums import damaged, is_intact, record_of
from mindlift.storage.places import locate, names
from mindlift.storage.url import is_remote, join, local_path


def fetch(stager: Stager, url: str, every: bool = False) -> list[Path]:
    """The checkpoint `url`, or the newest of the run or folder that it names, or every one, newest first; local paths
    stay. Published weights are fetched by their names.

    Kept by the hash of its ETag, which is any text that the store likes: what is here already is not fetched again.
    CheckpointError if there is none.
    """
    if is_named(url):
        return [hub.get(url, stager.cache, stager.say, stager.show_bar, stager.timeout_s)]
    if not is_remote(url):
        return [Path(local_path(url))]
    found = found_at(url)
    if len(found) > 1 and not every:
        taken, which = best_of(found)
        stager.say(f"{url} has {len(found)} checkpoints: {taken}, {which}, is taken")
        found = [taken]
    return [fetch_one(stager, each) for each in found]


def best_of(found: list[str]) -> tuple[str, str]:
    """The URL that is taken of several, newest first, and which one that is."""
    folder = found[0].rpartition("/")[0]
    scored = best_first(published(folder))
    if scored:
        return join(folder, scored[0].file), "the best by its evaluations"
    return found[0], "the newest"


def fetch_one(stager: Stager, url: str) -> Path:
    store, key = locate(url)
    entry = store.stat(key)
    if entry is None or entry.is_folder:
        raise CheckpointError(f"no checkpoint at {url}")
    version = sha256(f"{entry.etag or entry.modified_ns}".encode()).hexdigest()[:32]
    path = stager.cache / "checkpoints" / version / Path(key).name
    with stager.alone(path.parent, url):
        if not path.is_file() or path.stat().st_size != entry.size:
            stager.fetch(url, path)
        fetch_sum(stager, url, path)
        fetch_class_names(stager, url, path)
    return path


def fetch_sum(stager: Stager, url: str, path: Path) -> None:
    """Beside the checkpoint, what its run's manifest says of it; a copy here that was damaged is fetched again.

    CheckpointError if it is damaged there.
    """
    folder = url.rpartition("/")[0]
    saved = record_of(folder, path.name)
    if saved is None:
        return
    if not is_intact(path, saved):
        stager.fetch(url, path)
        if not is_intact(path, saved):
            raise damaged(url, folder)
    write_atomic(path.with_name(MANIFEST), as_text([saved]))


def fetch_class_names(stager: Stager, url: str, path: Path) -> None:
    """Beside the checkpoint, the names of the classes that its run has, if there are any."""
    folder, _, name = url.rpartition("/checkpoints/")
    target = path.with_name(CLASSES)
    if not folder or target.is_file():
        return
    store, key = locate(join(folder, CLASSES))
    if store.stat(key) is not None:
        stager.fetch(join(folder, CLASSES), target)


def found_at(url: str) -> list[str]:
    """The URLs of the checkpoints of a file, a run, a folder of runs, or a folder; newest first."""
    store, key = locate(url)
    entry = store.stat(key)
    if entry is None:
        raise CheckpointError(f"no checkpoint at {url}: there is no such object or folder")
    if not entry.is_folder:
        return [url]
    runs = [join(url, name, "checkpoints") for name in run_like(url)]
    for folder in (join(url, "checkpoints"), url, *runs):
        found = published(folder)
        if found:
            return [join(folder, saved.file) for saved in reversed(found)]
    files = [name for name in names(url) if name.endswith(WEIGHTS)]
    if not files:
        raise CheckpointError(
            f"no checkpoint at {url}: neither a {MANIFEST} nor a {', '.join(WEIGHTS)} file is there"
        )
    return [join(url, name) for name in sorted(files, key=natural, reverse=True)]


def natural(name: str) -> list:
    """A sort key that puts net-9_1 before net-10_1."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]
