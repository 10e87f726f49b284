"""Which checkpoints a folder holds: the lines of its `manifest.jsonl`, the only thing that readers believe."""

from __future__ import annotations

import functools
import hashlib
import json
import math
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from mindlift.file_names import inside, is_file_name
from mindlift.json_text import Record
from mindlift.runs.records import Place, integer, parse_records, read_records

MANIFEST = "manifest.jsonl"
SUFFIX = ".ckpt"
LESS_IS_BETTER = ("loss",)  # of the figures of an evaluation
SETTLED_S = 2.0  # more than the step of any file system's times
WEIGHTS = (
    SUFFIX,
    ".pth",
    ".pt",
    ".safetensors",
    ".npz",
)  # what counts as weights in a folder without a manifest


@dataclass(frozen=True)
class Saved:
    """One line of the manifest. `step` counts optimiser steps done, `epoch` whole epochs done.

    `score` is what an evaluation of these weights while training gave for the figure `metric`; a second line of the file
    has it, for the first is written before the evaluation.
    """

    file: str
    epoch: int
    step: int
    steps_per_epoch: int
    seed: int
    size_bytes: int
    sha256: str
    saved_at: float
    metric: str = ""
    score: float | None = None

    def path(self, folder: Path) -> Path:
        """Where the file is in a folder of checkpoints, and nowhere else, wherever the line came from."""
        return inside(folder, self.file)


def file_sha256(path: Path) -> str:
    """Of the content. What has not been written to for SETTLED_S is hashed once in a process."""
    found = os.stat(path)
    written = max(found.st_mtime_ns, found.st_ctime_ns)
    if time.time() - written / 1e9 < SETTLED_S:  # another write could leave the same times
        return _content_sha256(path)
    return _settled_sha256(path, found.st_dev, found.st_ino, found.st_size, written)


@functools.lru_cache(maxsize=None)
def _settled_sha256(path: Path, *_facts: int) -> str:
    return _content_sha256(path)


def _content_sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def as_text(records: Iterable[Saved]) -> str:
    """The manifest of these checkpoints."""
    return "".join(json.dumps(asdict(saved), ensure_ascii=False) + "\n" for saved in records)


def parse(text: bytes, place: Place = MANIFEST) -> list[Saved]:
    """The records of a manifest that was read at `place`, oldest first, without a last line that was cut short."""
    return in_order(map(from_record, parse_records(text, place, is_saved)))


def is_saved(record: Record) -> bool:
    """Whether all of it is there and can be used. A manifest may come from anywhere: a path in it leads nowhere."""
    numbers = ("epoch", "step", "steps_per_epoch", "seed", "size_bytes")
    return (
        is_file_name(record.get("file"))
        and record["file"].endswith(SUFFIX)
        and all(integer(record.get(name)) is not None for name in numbers)
        and record["step"] >= 0
        and record["steps_per_epoch"] > 0
        and isinstance(record.get("sha256"), str)
        and isinstance(record.get("saved_at"), (int, float))
    )


def from_record(record: Record) -> Saved:
    known = {key: record[key] for key in Saved.__dataclass_fields__ if key in record}
    score, metric = known.pop("score", None), known.pop("metric", "")
    if isinstance(score, (int, float)) and math.isfinite(score) and isinstance(metric, str):
        return Saved(**known, metric=metric, score=float(score))
    return Saved(**known)


def in_order(records: Iterable[Saved]) -> list[Saved]:
    """Oldest first; of several records of one file only the last counts."""
    return sorted(
        {saved.file: saved for saved in records}.values(), key=lambda saved: (saved.step, saved.saved_at)
    )


def listed(folder: Path) -> list[Saved]:
    """The manifest's lines, oldest first, of files that are there with the size it states."""
    records = in_order(map(from_record, read_records(folder / MANIFEST, is_saved)))
    return [saved for saved in records if is_whole(saved.path(folder), saved)]


def is_whole(path: Path, saved: Saved) -> bool:
    """Whether the file is there with its size; its content is not looked at."""
    return path.is_file() and path.stat().st_size == saved.size_bytes


def latest(folder: Path) -> Saved | None:
    """The newest checkpoint whose content is what the manifest says; damaged ones are passed over."""
    for saved in reversed(listed(folder)):
        if has_sum(saved.path(folder), saved):
            return saved
    return None


def has_sum(path: Path, saved: Saved) -> bool:
    """Whether the content is what the manifest says; a file that can't be read, or went meanwhile, is not."""
    try:
        return file_sha256(path) == saved.sha256
    except OSError:
        return False


def to_keep(saved: list[Saved], newest: int, best: int = 0) -> list[Saved]:
    """Of checkpoints, oldest first, the newest ones and the best ones, in their order."""
    kept = {each.file for each in [*saved[-newest:], *best_first(saved)[:best]]}
    return [each for each in saved if each.file in kept]


def best_first(saved: Sequence[Saved]) -> list[Saved]:
    """Those with a score of the figure that the newest score is of; of equal ones the oldest first."""
    scored = [each for each in saved if each.score is not None]
    metric = scored[-1].metric if scored else ""
    sign = -1 if metric in LESS_IS_BETTER else 1
    known = [each for each in scored if each.metric == metric]
    return sorted(known, key=lambda each: -sign * (each.score or 0.0))
