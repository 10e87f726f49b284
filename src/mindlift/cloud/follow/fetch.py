"""Bringing a job's results here: run folders that eval.py takes, each file compared with the run's manifest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mindlift import json_text
from mindlift.cloud.errors import JobError
from mindlift.errors import TransferError
from mindlift.files import make_folder, write_atomic
from mindlift.runs.manifest import MANIFEST, Saved, as_text, best_first, file_sha256
from mindlift.runs.paths import RECORDS, RESULT
from mindlift.runs.remote import Lifetime, published, run_names, run_of_job
from mindlift.storage.copying import copy as transfer
from mindlift.storage.places import exists, locate, names
from mindlift.storage.url import join

FOLDERS = {"logs": ".log", "evaluation": ".png"}  # of small files, with how their names end
MEASURES = ("top1", "accuracy", "map", "miou")


@dataclass(frozen=True)
class Fetched:
    """An output on this disk: a run with the checkpoints of it that are there now, or any files. No root: nothing yet."""

    root: Path | None
    checkpoints: tuple[Saved, ...] = ()
    is_run: bool = False


def fetch(
    url: str, folder: Path, name: str, which: str, job: Lifetime, say: Callable[[str], None]
) -> Fetched:
    """What is below `url`: the job's run, as a folder below `folder`; else all of its files, in `folder`/`name`.

    Files are compared with the store's own sums, and a later fetch brings what is new.
    """
    found = list(run_names(url))
    if found:
        return fetch_run(url, folder / name, which, chosen_run(url, found, job, say), say)
    store, key = locate(url)
    if not any(not entry.is_folder for entry in store.walk(key)):
        say(f"{url} holds nothing yet")
        return Fetched(None)
    say(transfer.copy_tree(url, str(folder / name)).as_line())
    return Fetched(folder / name)


def chosen_run(url: str, found: Sequence[str], job: Lifetime, say: Callable[[str], None]) -> str:
    """Of several runs that which the job began or continued, else the newest."""
    own = run_of_job(url, job)
    if len(found) > 1:
        why = "that of this job" if own else "the newest; none of them was begun by this job"
        say(f"{len(found)} runs in {url}; fetching {own or found[0]}, {why}")
    return own or found[0]


def fetch_run(url: str, folder: Path, which: str, name: str, say: Callable[[str], None]) -> Fetched:
    """Run `name` below `url`, as a folder below `folder`. `which`: latest, best, all or none of the checkpoints.

    JobError if there is no figure to tell the best by; TransferError for a file that is not what
    the manifest says.
    """
    run, root = join(url, name), folder / name
    small = [file for file in (*RECORDS, RESULT) if exists(join(run, file))]
    for below, ending in FOLDERS.items():
        small += [f"{below}/{file}" for file in names(join(run, below)) if file.endswith(ending)]
    for file in small:
        transfer.copy_file(join(run, file), str(root / file))
    saved = published(join(run, "checkpoints"))
    chosen = choose(saved, which, root)
    make_folder(root / "checkpoints")
    for record in chosen:
        bring(run, root, record, say)
    kept = [
        record for record in saved if record in chosen or is_whole(record.path(root / "checkpoints"), record)
    ]
    write_atomic(root / "checkpoints" / MANIFEST, as_text(kept))
    return Fetched(root, tuple(kept), is_run=True)


def choose(saved: list[Saved], which: str, root: Path) -> list[Saved]:
    if which == "none":
        return []
    if which == "all" or not saved:
        return saved
    if which == "latest":
        return saved[-1:]
    scored = best_first(saved)  # by the figure that the run itself went by
    if scored:
        return scored[:1]
    figures = measured(root)
    known = [record for record in saved if record.step in figures]
    if not known:
        raise JobError(
            f"no checkpoint of {root.name} has a measured accuracy, so there is no best one; use --latest or --all"
        )
    return [max(known, key=lambda record: (figures[record.step], record.step))]


def measured(root: Path) -> dict[int, float]:
    """Accuracy by optimiser step, from the metrics and the result of a run."""
    found = {}
    for name in ("metrics.jsonl", "result.json"):
        for record in json_text.read_records(root / name)[0]:
            figure = next(
                (record[key] for key in MEASURES if isinstance(record.get(key), (int, float))), None
            )
            step = record.get("step", record.get("steps"))
            if figure is not None and isinstance(step, int):
                found[step] = float(figure)
    return found


def bring(run: str, root: Path, record: Saved, say: Callable[[str], None]) -> None:
    path = record.path(root / "checkpoints")
    if is_whole(path, record):
        return
    say(transfer.copy_file(join(run, "checkpoints", record.file), str(path)).as_line())
    if not is_whole(path, record):
        path.unlink()
        raise TransferError(
            f"{run}/checkpoints/{record.file} is not what the manifest says (size or SHA-256); it was removed"
        )


def is_whole(path: Path, record: Saved) -> bool:
    if not path.is_file() or path.stat().st_size != record.size_bytes:
        return False
    return file_sha256(path) == record.sha256
