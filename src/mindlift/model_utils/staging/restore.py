"""Brings an unfinished run back from the bucket that it was published to."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Callable

from mindlift.errors import MindLiftError
from mindlift.files import append_line
from mindlift.model_utils.staging.publisher import Published, stamps
from mindlift.model_utils.staging.stage_in import checkpoint_folders
from mindlift.runs.manifest import MANIFEST, Saved, file_sha256, latest
from mindlift.runs.paths import RECORDS
from mindlift.runs.remote import published
from mindlift.storage.copying import copy as transfer
from mindlift.storage.places import exists, names, read
from mindlift.storage.url import join

NOTE = "run.json"
Say = Callable[[str], None]


def restore(base: Path, url: str, mark: str, say: Say) -> tuple[Path | None, Published]:
    """The newest run below `url` that has not ended and whose fingerprint is `mark`, as a folder below `base`.

    Its configuration, metrics, logs and newest whole checkpoint. What is on this disk already and further
    stays. Returns (None, nothing) if there is no such run.
    """
    for folder in checkpoint_folders(url):
        run = folder.rpartition("/")[0]
        if fingerprint(run) == mark and not exists(join(run, "result.json")):
            records = published(folder)
            root = base / run.rpartition("/")[2]
            done = Published(checkpoints={f"checkpoints/{saved.file}": saved for saved in records})
            if records and (
                is_further(root, records[-1]) or fetch_checkpoint(root, folder, records, done, say)
            ):
                done.files = fetch_small(root, run)
                say(f"continuing the run that {run} holds")
                return root, done
    return None, Published()


def fingerprint(run: str) -> str:
    try:
        return json.loads(read(join(run, NOTE))).get("fingerprint", "")
    except (FileNotFoundError, ValueError):
        return ""


def is_further(root: Path, newest: Saved) -> bool:
    """Whether the run on this disk has all that the bucket has."""
    here = latest(root / "checkpoints")
    return here is not None and here.step >= newest.step


def fetch_checkpoint(root: Path, folder: str, records: list[Saved], done: Published, say: Say) -> bool:
    """The newest checkpoint that is what the manifest says, with its line in the local manifest."""
    for saved in reversed(records):
        path = root / "checkpoints" / saved.file
        try:
            say(transfer.copy_file(join(folder, saved.file), str(path)).as_line())
        except (MindLiftError, OSError) as err:
            say(f"warning: {join(folder, saved.file)} can't be used, trying an older one: {err}")
        else:
            if file_sha256(path) == saved.sha256:
                append_line(path.with_name(MANIFEST), vars(saved))
                return True
            path.unlink()
            say(f"warning: {join(folder, saved.file)} is damaged, trying an older one")
        del done.checkpoints[f"checkpoints/{saved.file}"]
    return False


def fetch_small(root: Path, run: str) -> dict[str, tuple[int, int]]:
    """The files beside the checkpoints, but those that are here already."""
    fetched = []
    for name in [*RECORDS, *log_names(run)]:
        if not (root / name).exists():
            with contextlib.suppress(FileNotFoundError):
                transfer.copy_file(join(run, name), str(root / name))
                fetched.append(name)
    return stamps(root, fetched)


def log_names(run: str) -> list[str]:
    return [f"logs/{name}" for name in names(join(run, "logs")) if name.endswith(".log")]


def fetch_logs(root: Path, run: str) -> None:
    """The logs of an earlier attempt, which this node's ranks will go on writing."""
    for name in log_names(run):
        if not (root / name).exists():
            transfer.copy_file(join(run, name), str(root / name))
