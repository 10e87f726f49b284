"""Brings an unfinished run back from the bucket that it was published to.

Of a run that is here and there, the side whose newest checkpoint is further counts. A file that grows, such as a log,
also counts where all of the other one is its beginning.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

from mindlift.errors import MindLiftError
from mindlift.files import append_line, remove_file
from mindlift.model_utils.staging.publisher import Stamp, stamps
from mindlift.runs.manifest import MANIFEST, Saved, best_first, file_sha256, is_whole, latest
from mindlift.runs.paths import NOTE, RECORDS, RESULT
from mindlift.runs.records import parse_object
from mindlift.runs.remote import published, run_like
from mindlift.storage.copying import copy as transfer
from mindlift.storage.places import exists, names, read
from mindlift.storage.url import join

GROWING = (".jsonl", ".log")
BLOCK = 1 << 20
Say = Callable[[str], None]


@dataclass
class Restored:
    """A run's folder here, or None; files that the bucket has as they are here, and its checkpoints that are damaged."""

    root: Path | None = None
    files: dict[str, Stamp] = field(default_factory=dict)
    damaged: list[str] = field(default_factory=list)


def restore(base: Path, url: str, mark: str, say: Say, take: Callable[[str], None]) -> Restored:
    """The run below `url` that has not ended, whose fingerprint is `mark`, and that is furthest, as a folder below `base`.

    Its configuration, metrics, logs and newest whole checkpoint. `take` is called with its URL before anything is read of
    it that its owner might change.
    """
    for name in furthest_first(url, mark):
        run = join(url, name)
        take(run)
        if exists(join(run, RESULT)):
            continue
        done = Restored(base / name)
        if bring(done, run, published(join(run, "checkpoints")), say):
            say(f"continuing the run that {run} holds")
            return done
    return Restored()


def furthest_first(url: str, mark: str) -> list[str]:
    found = []
    for name in run_like(url):
        run = join(url, name)
        if fingerprint(run) == mark and not exists(join(run, RESULT)):
            records = published(join(run, "checkpoints"))
            if records:
                found.append((records[-1].step, name))
    return [name for _, name in sorted(found, reverse=True)]


def fingerprint(run: str) -> str:
    try:
        return parse_object(read(join(run, NOTE)), join(run, NOTE)).get("fingerprint", "")
    except FileNotFoundError:
        return ""


def bring(done: Restored, run: str, records: list[Saved], say: Say) -> bool:
    """Whether there is a checkpoint to continue from: that of this disk, or a whole one of the bucket."""
    assert done.root
    here = latest(done.root / "checkpoints")
    is_here = here is not None and bool(records) and here.step >= records[-1].step
    came = None if is_here else fetch_checkpoint(done, run, records, say)
    if here is None and came is None:
        return False
    is_theirs = came is not None and (here is None or came.step > here.step)
    for saved in best_first([saved for saved in records if saved.file not in done.damaged])[:1]:
        if not is_whole(
            saved.path(done.root / "checkpoints"), saved
        ):  # so that what is here can be used alone
            fetch_checkpoint(done, run, [saved], say)
    done.files = bring_small(done.root, run, [*RECORDS, *log_names(run)], lambda here, there: is_theirs)
    return True


def fetch_checkpoint(done: Restored, run: str, records: list[Saved], say: Say) -> Saved | None:
    """The newest checkpoint that is what the manifest says, with its line in the local manifest."""
    assert done.root
    for saved in reversed(records):
        path, url = saved.path(done.root / "checkpoints"), join(run, "checkpoints", saved.file)
        try:
            say(transfer.copy_file(url, str(path)).as_line())
        except (MindLiftError, OSError) as err:
            say(f"warning: {url} can't be used, trying an older one: {err}")
        else:
            if file_sha256(path) == saved.sha256:
                append_line(path.with_name(MANIFEST), vars(saved))
                return saved
            path.unlink()
            say(f"warning: {url} is damaged, trying an older one")
        done.damaged.append(saved.file)
    return None


def bring_small(
    root: Path, run: str, wanted: list[str], is_theirs: Callable[[Path, Path], bool]
) -> dict[str, Stamp]:
    """Files beside the checkpoints, each from the side that counts; what is the same on both sides afterwards.

    `is_theirs` decides on a file here and the one of the bucket where neither is the beginning of the other.
    """
    same = []
    for name in wanted:
        here, there = root / name, root / f"{name}.bucket"
        try:
            transfer.copy_file(join(run, name), str(there))
        except FileNotFoundError:
            continue
        if which(here, there, is_theirs) == "there":
            there.replace(here)
            same.append(name)
        else:
            remove_file(there)
    return stamps(root, same)


def which(here: Path, there: Path, is_theirs: Callable[[Path, Path], bool]) -> str:
    """Of two versions of a file the one that counts, here or there."""
    if not here.is_file():
        return "there"
    if here.name.endswith(GROWING):
        if begins_with(there, here):
            return "there"
        if begins_with(here, there):
            return "here"
    return "there" if is_theirs(here, there) else "here"


def begins_with(path: Path, other: Path) -> bool:
    """Whether all of `other` is the beginning of `path`."""
    with open(path, "rb") as file, open(other, "rb") as beginning:
        for block in iter(lambda: beginning.read(BLOCK), b""):
            if file.read(len(block)) != block:
                return False
    return True


def log_names(run: str) -> list[str]:
    return [f"logs/{name}" for name in names(join(run, "logs")) if name.endswith(".log")]


def fetch_logs(root: Path, run: str) -> None:
    """The logs of an earlier attempt, which this node's ranks will go on writing; of two the one that says more."""
    bring_small(root, run, log_names(run), is_longer)


def is_longer(here: Path, there: Path) -> bool:
    return there.stat().st_size > here.stat().st_size
