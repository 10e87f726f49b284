"""Uploads what a run has finished, in the background, while it goes on.

The bucket's manifest is written after the files that it names and before those are removed that it no
longer names, so that a job killed at any moment leaves a bucket in which everything named is whole.
`result.json`, which says that the run has ended, goes last, and nothing changes the manifest under it.

A manifest replaces exactly the one that was read or written before (see Store.write_if), and only while the lease of the
run is ours: a job that another one has followed changes nothing any more.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Tuple

from mindlift.errors import MindLiftError, StageError
from mindlift.files import append_line
from mindlift.model_utils.staging.lease import Lease, LeaseLost
from mindlift.model_utils.staging.stager import transferred
from mindlift.runs.manifest import MANIFEST, Saved, as_text, in_order, listed, parse, to_keep
from mindlift.runs.paths import RECORDS, RESULT, RunPaths
from mindlift.storage.copying import copy as transfer
from mindlift.storage.places import locate
from mindlift.storage.store import Entry
from mindlift.storage.url import join

INTERVAL_S = 15.0  # between looks at files that grow
Stamp = Tuple[int, int]  # bytes, modification in ns


class Overtaken(StageError):
    """The run has ended in the bucket, or another job writes it there."""


@dataclass(frozen=True)
class Target:
    """Where a run is published to, and how many checkpoints to leave there, the newest and the best; `is_main` is the
    node of rank 0.

    `files` are there already, as they are here; checkpoints named by `damaged` are to go.
    """

    url: str
    keep: int
    is_main: bool = True
    lease: Lease | None = None
    files: dict[str, Stamp] = field(default_factory=dict)
    damaged: Collection[str] = ()
    keep_best: int = 0


@dataclass
class Snapshot:
    """What a run's folder holds that is finished, by name relative to it."""

    files: dict[str, Stamp]  # configuration, metrics and logs
    checkpoints: dict[str, Saved]
    last: dict[str, Stamp]


@dataclass
class Published:
    """What the bucket has of the run; a folder of checkpoints is known once its manifest was read."""

    files: dict[str, Stamp] = field(default_factory=dict)
    checkpoints: dict[str, Saved] = field(default_factory=dict)
    manifests: dict[str, tuple[Entry | None, bytes]] = field(default_factory=dict)


def take_snapshot(root: Path, is_main: bool) -> Snapshot:
    """`is_main`: the node of rank 0. Others have their logs, and at most checkpoints of their own ranks."""
    paths = RunPaths(root)
    names = [*RECORDS, paths.report.name]
    for folder in (paths.pictures, paths.events):
        names += [f"{folder.name}/{path.name}" for path in sorted(folder.glob("*")) if path.suffix != ".part"]
    logs = [f"logs/{path.name}" for path in sorted((root / "logs").glob("*.log"))]
    folders = ["checkpoints"] if is_main else []
    folders += [f"checkpoints/{path.name}" for path in sorted(paths.checkpoints.glob("rank_*"))]
    last = stamps(
        root, [paths.result.name] if is_main else []
    )  # looked at before what has to be there by then
    checkpoints = {f"{folder}/{saved.file}": saved for folder in folders for saved in listed(root / folder)}
    return Snapshot(stamps(root, (names if is_main else []) + logs), checkpoints, last)


def stamps(root: Path, names: list[str]) -> dict[str, Stamp]:
    found = {name: (root / name).stat() for name in names if (root / name).is_file()}
    return {name: (status.st_size, status.st_mtime_ns) for name, status in found.items()}


def new_checkpoints(now: Snapshot, done: Published) -> list[str]:
    """Those whose content the bucket has not; a score that came later is no other content."""
    return [
        name
        for name, saved in now.checkpoints.items()
        if name not in done.checkpoints or unscored(done.checkpoints[name]) != unscored(saved)
    ]


def unscored(saved: Saved) -> Saved:
    return replace(saved, metric="", score=None)


def kept(done: Published, keep: int, best: int = 0) -> dict[str, list[Saved]]:
    """The newest `keep` and the best published checkpoints of each folder, oldest first."""
    folders: dict[str, list[Saved]] = {}
    for name, saved in done.checkpoints.items():
        folders.setdefault(name.rpartition("/")[0], []).append(saved)
    return {folder: to_keep(in_order(records), keep, best) for folder, records in folders.items()}


class Publisher:
    """A background thread that keeps a bucket up to date with the folder `root`. It never raises: see `close`.

    `on_end` is called, by that thread, if there is nothing more to publish because another job has the run.
    """

    def __init__(
        self,
        root: Path,
        target: Target,
        say: Callable[[str], None],
        interval_s: float = INTERVAL_S,
        on_end: Callable[[], None] = lambda: None,
    ):
        self.root, self.url, self.target = root, target.url, target
        self.is_main = target.is_main
        self.done = Published(dict(target.files))
        self.say, self.interval_s, self.on_end = say, interval_s, on_end
        self.problem: Exception | None = None
        self.wake = threading.Event()
        self.ending = self.is_done = False
        self.next_growing = 0.0
        self.thread = threading.Thread(target=self.loop, name="publisher", daemon=True)
        self.thread.start()

    def notify(self) -> None:
        """Something is finished. Returns at once."""
        self.wake.set()

    def close(self, timeout_s: float) -> Exception | None:
        """Publish what is finished and stop; why something is left after `timeout_s`, else None."""
        self.ending = True
        self.wake.set()
        self.thread.join(timeout_s)
        if self.thread.is_alive():
            return self.problem or TimeoutError(f"not finished after {timeout_s:.0f} s")
        return self.problem or (None if self.is_done else StageError("the publisher has ended early"))

    def loop(self) -> None:
        ended = False
        while not ended:
            self.wake.wait(self.interval_s)
            self.wake.clear()
            ended = self.ending  # a whole pass follows it
            try:
                self.publish()
                works_again, self.problem = self.problem is not None, None
                if works_again:
                    self.tell(f"publishing to {self.url} works again")
            except (LeaseLost, Overtaken) as err:
                self.problem = err
                self.on_end()
                return
            except Exception as err:  # whatever it is: what it leaves unpublished is told at the end
                is_new, self.problem = self.problem is None, err
                if is_new:
                    self.tell(f"warning: could not publish to {self.url}, will try again: {describe(err)}")
        self.is_done = True

    def publish(self) -> None:
        """One pass. Files first, then the manifests that name them, then removals, the result at the end."""
        self.check()
        now = take_snapshot(self.root, self.is_main)
        for folder in {name.rpartition("/")[0] for name in now.checkpoints}:
            self.look(folder)
        fresh = new_checkpoints(now, self.done)
        self.upload_small(now.files, at_once=bool(fresh))  # with a checkpoint goes what led to it
        for name in fresh:
            self.upload_checkpoint(name, now.checkpoints[name])
        missing = set(new_checkpoints(now, self.done))
        self.done.checkpoints.update(
            {name: saved for name, saved in now.checkpoints.items() if name not in missing}
        )  # with scores that came later
        keeps = kept(self.done, self.target.keep, self.target.keep_best)
        for folder, records in keeps.items():
            self.write_manifest(f"{folder}/{MANIFEST}", as_text(records).encode())
        named = {f"{folder}/{saved.file}" for folder, records in keeps.items() for saved in records}
        for name in [name for name in self.done.checkpoints if name not in named]:
            self.check()
            store, key = locate(join(self.url, name))
            store.remove(key)
            del self.done.checkpoints[name]
        if now.last:
            self.check()
            self.upload_small(now.last)

    def tell(self, line: str) -> None:
        """Publishing goes on where the terminal is gone."""
        with suppress(OSError, ValueError):
            self.say(line)

    def check_lease(self) -> None:
        if self.target.lease:
            self.target.lease.check()

    def check(self) -> None:
        """That the run is still ours to write, and that no other job has ended it in the bucket."""
        self.check_lease()
        if not self.is_main or RESULT in self.done.files:
            return
        store, key = locate(join(self.url, RESULT))
        if store.stat(key) is None:
            return
        here = self.root / RESULT
        if not here.is_file() or store.read(key) != here.read_bytes():
            raise Overtaken(
                f"{self.url} has a {RESULT}: another job has ended this run, and nothing more goes there"
            )
        self.done.files.update(stamps(self.root, [RESULT]))

    def look(self, folder: str) -> None:
        """What the bucket's manifest of a folder of checkpoints says, once."""
        name = f"{folder}/{MANIFEST}"
        if name in self.done.manifests:
            return
        store, key = locate(join(self.url, name))
        entry = store.stat(key)
        text = store.read(key) if entry else b""
        self.done.manifests[name] = (entry, text)
        for saved in parse(text, join(self.url, name)):
            if saved.file not in self.target.damaged:
                self.done.checkpoints.setdefault(f"{folder}/{saved.file}", saved)

    def upload_small(self, files: dict[str, Stamp], at_once: bool = False) -> None:
        """What has changed; files that grow wait for their turn, so that they are not all that is sent."""
        started = time.monotonic()
        for name, stamp in files.items():
            is_due = at_once or self.ending or name not in self.done.files or started >= self.next_growing
            if self.done.files.get(name) == stamp or not is_due:
                continue
            self.check_lease()
            store, key = locate(join(self.url, name))
            store.write(key, (self.root / name).read_bytes())
            self.done.files[name] = stamp
            self.next_growing = started + max(self.interval_s, 20 * (time.monotonic() - started))

    def upload_checkpoint(self, name: str, saved: Saved) -> None:
        started = time.monotonic()
        self.check()
        try:
            transfer.copy_file(str(self.root / name), join(self.url, name))
        except FileNotFoundError:  # newer ones have taken its place since the snapshot
            return
        self.done.checkpoints[name] = saved
        seconds = time.monotonic() - started
        append_line(RunPaths(self.root).transfers, transferred("published", name, saved.size_bytes, seconds))
        self.tell(f"published {join(self.url, name)}: {saved.size_bytes / 1e6:.1f} MB in {seconds:.1f} s")

    def write_manifest(self, name: str, text: bytes) -> None:
        was, known = self.done.manifests.get(name, (None, b""))
        if known == text:
            return
        self.check()
        store, key = locate(join(self.url, name))
        entry = store.write_if(key, text, was)
        if entry is None:
            self.check()
            del self.done.manifests[name]  # and is read again
            if not self.is_main:
                raise StageError(f"{join(self.url, name)} was changed meanwhile")
            raise Overtaken(
                f"{join(self.url, name)} was changed by another job: this one changes nothing more there"
            )
        self.done.manifests[name] = (entry, text)


def describe(err: Exception) -> str:
    text = " ".join(str(err).split())
    return (
        text
        if isinstance(err, (MindLiftError, OSError)) and text
        else f"{type(err).__name__}: {text}".rstrip(": ")
    )
