"""Runs by path, by URL or by the handle of a job, as folders of this disk. Checkpoints stay where they are."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from mindlift import language
from mindlift.checkout import ROOT
from mindlift.errors import ConfigError, DataError, StageError
from mindlift.files import temporary_folder
from mindlift.runs import folder as run_folder
from mindlift.runs.manifest import MANIFEST
from mindlift.runs.paths import RECORDS, RESULT
from mindlift.runs.remote import run_names
from mindlift.storage import url
from mindlift.storage.copying import copy as transfer
from mindlift.storage.places import exists, names

HANDLE = re.compile(r"(local|modelarts|openi)://")
PICTURES = "evaluation"

ERROR = "error: "  # how the one line of a program's mistake begins


@contextlib.contextmanager
def opened(names: Sequence[str]) -> Iterator[list[Path]]:
    """The folders of the runs, those from elsewhere for the length of the block only. DataError if one is none."""
    with temporary_folder("report") as scratch:
        yield [folder_of(name, Path(scratch)) for name in names]


def has_checkpoint(root: Path) -> bool:
    """Whether a run has saved any; those of a run from elsewhere stay there, only their list is here."""
    listed = root / "checkpoints" / MANIFEST
    return listed.is_file() and listed.stat().st_size > 0


def is_local(name: str) -> bool:
    return not HANDLE.match(name) and not url.is_remote(name)


def folder_of(name: str, scratch: Path) -> Path:
    if HANDLE.match(name):
        return of_job(name, scratch)
    if url.is_remote(name):
        return of_bucket(name, scratch)
    return run_folder.find(Path(url.local_path(name)))


def of_bucket(name: str, scratch: Path) -> Path:
    """The small files of the run at a URL, or of the newest run below it."""
    run = run_at(name)
    place = url.parse(run)
    parts = [part for part in (place.key if place else "").split("/") if part not in ("", ".", "..")]
    root = scratch.joinpath(place.bucket if place else "", *parts)
    for file in [*RECORDS, RESULT, f"checkpoints/{MANIFEST}", *pictures_at(run)]:
        if exists(url.join(run, file)):
            transfer.copy_file(url.join(run, file), str(root / file))
    return root


def run_at(name: str) -> str:
    if any(exists(url.join(name, file)) for file in run_folder.MAIN_FILES):
        return name
    newest = next(run_names(name), None)
    if newest is None:
        raise DataError(
            f"{name} holds no run; name a run's folder (with metrics.jsonl in it), or a folder of runs"
        )
    return url.join(name, newest)


def pictures_at(run: str) -> list[str]:
    return [f"{PICTURES}/{name}" for name in names(url.join(run, PICTURES)) if name.endswith(".png")]


def of_job(handle: str, scratch: Path) -> Path:
    """The newest run of a job, brought by cloud/submit.py, which knows the providers and their stores."""
    folder = scratch / re.sub(r"\W+", "-", handle)
    program = [
        sys.executable,
        str(ROOT / "cloud" / "submit.py"),
        "fetch",
        handle,
        "--none",
        "--out",
        str(folder),
    ]
    told = {**os.environ, language.VARIABLE: language.ENGLISH}  # what it says is read below
    done = subprocess.run(program, capture_output=True, text=True, check=False, env=told)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        kind = ConfigError if done.returncode == 2 else StageError  # the user's mistake stays one
        raise kind(f"can't fetch {handle}: {last[len(ERROR) :] if last.startswith(ERROR) else last}")
    return run_folder.find(Path(done.stdout.strip().splitlines()[-1]))
