"""Copying files and folders between any two places.

Promises: a file appears under its name when it is whole, checked and not before (`.part` and rename, or
the store's own atomic PUT); sizes always match what was listed; MD5s match where the ETag is one; every
request is retried while that may help; whatever is missing at the end is an exception. Not promised:
fsync - after a power cut copy again, the manifest tells what is whole.
"""

from __future__ import annotations

import itertools
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mindlift.errors import StorageError, TransferError
from mindlift.storage.copying.engine import MakeRoute, Threads, copy_all, usable_cpus
from mindlift.storage.copying.job import Failure, Job, Watch
from mindlift.storage.copying.local_files import LocalTarget, sweep
from mindlift.storage.copying.manifest import Journal, known_to
from mindlift.storage.copying.plan import Known, Plan, Unsorted, is_part, plan_copy
from mindlift.storage.copying.progress import Progress, Say, as_bytes
from mindlift.storage.copying.routes import route_of
from mindlift.storage.errors import MoxFileNotExistsException, MoxFileRespException
from mindlift.storage.overlap import refuse_overlap
from mindlift.storage.places import locate
from mindlift.storage.s3.store import S3Store
from mindlift.storage.store import Entry, LocalStore, Store
from mindlift.storage.url import as_file, as_folder

THREADS = 64  # 16 are as fast on a store nearby; with 20 ms to it, 64 are twice as fast
MOST_PROCESSES, CPUS_PER_PROCESS = (
    8,
    2,
)  # a process of threads takes one for Python, and half of one for MD5s and the disk
SHOWN_FAILURES = 3


@dataclass
class Report:
    """What a copy was to do and what it did. Bytes, seconds."""

    source: str
    target: str
    expected: int = 0
    expected_bytes: int = 0
    done: int = 0
    done_bytes: int = 0
    unchanged: int = 0
    deleted: int = 0
    retries: int = 0
    seconds: float = 0.0

    @property
    def bytes_per_second(self) -> float:
        return self.done_bytes / max(self.seconds, 1e-9)

    def as_line(self) -> str:
        more = f", {self.unchanged} unchanged" if self.unchanged else ""
        more += f", {self.deleted} deleted" if self.deleted else ""
        return (
            f"copied {self.done} of {self.expected} files, {as_bytes(self.done_bytes)} of"
            f" {as_bytes(self.expected_bytes)}, {self.source} -> {self.target}: {self.seconds:.1f} s,"
            f" {as_bytes(self.bytes_per_second)}/s, {self.retries} retries{more}"
        )


def copy_file(source: str, target: str) -> Report:
    """Copy one file between any two places; parents of a local target are made.

    MoxFileNotExistsException if there is no such file, MoxFileRespException for a folder, TransferError
    if it can't be copied.
    """
    started = time.monotonic()
    source_store, key = locate(source)
    entry = source_store.stat(key)
    if entry is None:
        raise MoxFileNotExistsException(f"no such file: {source}")
    if entry.is_folder:
        raise MoxFileRespException(None, f"{source} is a folder; copy_parallel copies folders")
    target_store, target_key = locate(target)
    if not as_file(target_key):
        raise MoxFileRespException(None, f"{target} names no file; write obs://bucket/folder/file")
    job = Job(source_store, key, target_store, as_file(target_key))
    report = Report(source, target, 1, entry.size)
    with Progress(f"copy {source}") as progress:
        progress.expect(1, entry.size)
        outcomes = Threads(job, THREADS, progress).run([entry._replace(key="")])
        finish(report, outcomes)
        report.retries, report.seconds = progress.retries, time.monotonic() - started
    return report


def copy_tree(
    source: str,
    target: str,
    file_list: Sequence[str] | None = None,
    threads: int = THREADS,
    processes: int | bool = True,
    *,
    manifest: Path | None = None,
    delete: bool = False,
    accepts: Callable[[str], bool] | None = None,
    entries: Callable[[], Iterator[Entry]] | None = None,
    say: Say | None = None,
    show_bar: bool | None = None,
    watch: Watch | None = None,
    route: MakeRoute = route_of,
) -> Report:
    """Copy a folder with all that is below it; only `file_list` (names relative to it) if that is given.

    Names relative to the folder that `accepts` does not want are taken for missing. `entries` gives what the folder has, with
    such names and in their order, where it need not be listed.

    With `manifest`, a local file, what it names and neither side has changed since is not copied again.
    `watch` decides the order of the files, and hears of each; with it, `route` may be another way of copying one.
    `delete` removes what the target has and the source has not, after everything else and only if
    the source's listing was complete and is not empty. A source that is missing or empty copies nothing.
    """
    started = time.monotonic()
    refuse_overlap(source, target, delete)
    (source_store, source_key), (target_store, target_key) = locate(source), locate(target)
    job = Job(source_store, as_folder(source_key), target_store, as_folder(target_key))
    report = Report(source, target)
    journal = Journal(manifest, source, target) if manifest else None
    with Progress(f"copy {source}", say, show_bar) as progress:

        def listed() -> Iterator[Entry]:
            found = entries() if entries else source_entries(job, file_list, progress)
            return (entry for entry in found if accepts is None or (entry.key and accepts(entry.key)))

        def known() -> Iterator[Known]:
            return known_to(manifest, source, target) if manifest else iter(())

        plan = make_plan(job, listed, known, delete)
        report.expected, report.expected_bytes = len(plan.copies), plan.size
        report.unchanged = plan.unchanged
        progress.expect(len(plan.copies), plan.size)
        check_space(job, watch.at_once(plan.size) if watch else plan.size)
        for folder in plan.folders:
            make_folder(job, folder)
        outcomes: Iterator[Known | Failure]
        if watch:
            outcomes = filter(watch.ended, Threads(job, threads, progress, route).run(watch.arrange(plan)))
        else:
            count = process_count(job, processes, threads)
            outcomes = copy_all(job, plan.copies, max(threads, 1), count, progress)
        try:
            finish(report, noted(outcomes, journal))
        finally:
            report.retries, report.seconds = progress.retries, time.monotonic() - started
            if journal:
                journal.close(plan.forgotten)
        if delete and plan.wanted:
            report.deleted = delete_extra(job, plan.deletes)
    report.seconds = time.monotonic() - started
    progress.say(report.as_line())
    return report


def source_entries(job: Job, file_list: Sequence[str] | None, progress: Progress) -> Iterator[Entry]:
    """What to copy, with keys relative to the source folder, in their order; '' is a marker of this folder that holds bytes."""
    if file_list is not None:
        yield from sorted(named_entries(job, file_list).values())
        return
    yield from listing(job.source_store, job.source, progress)


def listing(store: Store, prefix: str, progress: Progress) -> Iterator[Entry]:
    """All below `prefix`, by names relative to it, in their order if the store lists in order."""
    start = len(prefix)
    for entry in store.everything(prefix) if isinstance(store, S3Store) else store.walk(prefix):
        progress.list()
        if entry.key != prefix or entry.size:
            yield Entry(entry.key[start:], entry.size, entry.etag, entry.modified_ns)


def named_entries(job: Job, names: Sequence[str]) -> dict[str, Entry]:
    """By keys relative to the source folder: what is named twice is copied once."""
    found: dict[str, Entry] = {}
    for name in names:
        entry = job.source_store.stat(job.source + name)
        if entry is None:
            raise MoxFileNotExistsException(f"no such file: {name} of file_list, below {job.source}")
        inside: Iterable[Entry] = job.source_store.walk(entry.key) if entry.is_folder else [entry]
        keys = ((each.key[len(job.source) :], each) for each in inside)
        found.update((key, each._replace(key=key)) for key, each in keys)
    return found


def make_plan(
    job: Job, listed: Callable[[], Iterator[Entry]], known: Callable[[], Iterator[Known]], delete: bool
) -> Plan:
    """Reads both sides and the manifest as streams; a store that does not list in order is listed again, and sorted."""
    is_local = isinstance(job.target_store, LocalStore)
    compares = delete or next(known(), None) is not None
    parts: list[str] = []

    def there() -> Iterator[Entry]:
        start = len(job.target)
        for entry in job.target_store.walk(job.target) if compares else ():
            if is_part(entry.key):
                parts.append(entry.key[start:])
            else:
                yield Entry(entry.key[start:], entry.size, entry.etag, entry.modified_ns)

    try:
        plan = plan_copy(listed(), there(), known(), delete, is_local)
    except Unsorted:
        plan = plan_copy(sorted(listed()), sorted(there()), sorted(known()), delete, is_local)
    sweep(job, itertools.chain(parts, (entry.key for entry in plan.copies)))
    return plan


def check_space(job: Job, size: int) -> None:
    """StorageError if `size` bytes don't fit into a local target."""
    if not isinstance(job.target_store, LocalStore) or not size:
        return
    folder = job.target_store.path(job.target)
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if size > free:
        raise StorageError(
            f"not enough disk space in {folder}: {as_bytes(size)} to copy, {as_bytes(free)} free; nothing has been copied"
        )


def make_folder(job: Job, folder: str) -> None:
    if isinstance(job.target_store, LocalStore):
        LocalTarget(job.target_store, job.target).path(folder)
    else:
        job.target_store.make_folder(job.target + folder)


def process_count(job: Job, processes: int | bool, threads: int) -> int:
    """Worker processes that pay here; none for `processes=False` or `threads=0`, or by the platform's moxing."""
    stores = (job.source_store, job.target_store)
    if (
        processes is False
        or threads < 1
        or not all(isinstance(store, (S3Store, LocalStore)) for store in stores)
    ):
        return 0
    if processes is not True:
        return min(processes, MOST_PROCESSES)
    wanted = min(usable_cpus() // CPUS_PER_PROCESS, MOST_PROCESSES)
    return wanted if wanted > 1 else 0  # one would only do what this process can do, and has to be started


def noted(outcomes: Iterator[Known | Failure], journal: Journal | None) -> Iterator[Known | Failure]:
    for outcome in outcomes:
        if journal and isinstance(outcome, Known):
            journal.append(outcome)
        yield outcome


def finish(report: Report, outcomes: Iterator[Known | Failure]) -> None:
    """Take in all outcomes; TransferError if one of them is a failure."""
    failed: dict[str, Failure] = {}
    for outcome in outcomes:
        if isinstance(outcome, Failure):
            failed.setdefault(outcome.key, outcome)  # what a file's other ranges say is a consequence
            continue
        report.done += 1
        report.done_bytes += outcome.source.size
    if len(failed) == 1 and report.expected == 1:
        raise next(iter(failed.values())).error
    if failed or report.done != report.expected:
        shown = "; ".join(str(failure.error) for failure in list(failed.values())[:SHOWN_FAILURES])
        raise TransferError(
            f"{len(failed)} of {report.expected} files of {report.source} were not copied to {report.target}: {shown}"
        )


def delete_extra(job: Job, keys: list[str]) -> int:
    job.target_store.remove_all([job.target + key for key in keys])
    return len(keys)
