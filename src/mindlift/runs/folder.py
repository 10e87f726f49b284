"""What a run's folder says, as far as there is something: nothing in it has to be there or whole."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from mindlift import yaml_text
from mindlift.errors import DataError
from mindlift.json_text import Record
from mindlift.runs import failures, manifest, metrics
from mindlift.runs.manifest import MANIFEST, Saved, is_saved
from mindlift.runs.metrics import Metrics
from mindlift.runs.paths import RunPaths, run_folders
from mindlift.runs.records import integer, read_object, read_records, say_damaged
from mindlift.runs.series import number

ORIGIN = re.compile(r"^\s+([A-Za-z_]\w*):.*?\s\s# from (.+)$")
MAIN_FILES = ("metrics.jsonl", "config.yaml", "run.json")


@dataclass
class RunData:
    """One run, called `title`. `options` and `origins` are those of config.yaml by option name."""

    root: Path
    title: str
    metrics: Metrics
    options: Record = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    versions: Record = field(default_factory=dict)
    result: Record = field(default_factory=dict)
    evaluation: Record = field(default_factory=dict)
    transfers: list[Record] = field(default_factory=list)
    steps_per_epoch: int | None = None
    kept: list[Saved] = field(default_factory=list)  # checkpoints, oldest first
    best: list[Saved] = field(default_factory=list)  # those with a score, the best first
    failures: dict[int, str] = field(default_factory=dict)  # by rank, as the ends of the logs say

    @property
    def folder(self) -> str:
        """Its name."""
        return self.root.absolute().name

    @property
    def ranks(self) -> int:
        return integer(self.versions.get("ranks")) or 1

    @property
    def is_segmentation(self) -> bool:
        return any("miou" in each for each in self.metrics.evaluations) or "ious" in self.evaluation


def is_run(folder: Path) -> bool:
    return any((folder / name).is_file() for name in MAIN_FILES)


def find(path: Path) -> Path:
    """The run folder that `path` is, or the newest one in it; DataError if there is none."""
    if is_run(path):
        return path
    found = [each for each in run_folders(path) if is_run(each)]
    if not found:
        there = "holds no run" if path.is_dir() else "is a file" if path.exists() else "does not exist"
        raise DataError(
            f"{path} {there}; name a run's folder (with metrics.jsonl in it), or a folder of runs"
        )
    return found[-1]


def read(root: Path, title: str = "", follower: metrics.Follower | None = None) -> RunData:
    """A run's folder; OSError becomes DataError, everything that is missing or damaged is left out.

    The `follower` of a run that still goes on reads only what is new of its metrics.
    """
    paths = RunPaths(root)
    try:
        found = follower.read() if follower else metrics.read(paths.metrics)
        options, origins = read_config(paths.config)
        run = RunData(
            root,
            title or root.absolute().name,
            found,
            options,
            origins,
            read_object(paths.versions),
            read_object(paths.result),
            read_object(root / "evaluation.json"),
            read_transfers(root / "transfers.jsonl"),
        )
        run.failures = failures.read(root)
        saved = saved_in(paths.checkpoints / MANIFEST)
        run.kept = manifest.in_order(saved)
        run.best = manifest.best_first(run.kept)
        run.steps_per_epoch = found.steps_per_epoch or (saved[-1].steps_per_epoch if saved else None)
    except OSError as err:
        raise DataError(f"can't read run {root}: {err.strerror or err}") from err
    return run


def read_config(path: Path) -> tuple[Record, dict[str, str]]:
    """Values and origins of all options; empty if there is no file that can be read."""
    try:
        text = yaml_text.read_text(path)
        groups = yaml_text.parse(text) or {}
    except FileNotFoundError:
        return {}, {}
    except (UnicodeDecodeError, yaml.YAMLError):
        return say_damaged(path), {}
    options = options_in(groups)
    matches = [ORIGIN.match(line) for line in text.splitlines()]
    return options, {match[1]: match[2].strip() for match in matches if match}


def options_in(groups: object) -> Record:
    """The options of all groups of a config.yaml."""
    options: Record = {}
    for group in groups.values() if isinstance(groups, dict) else ():
        options.update(group if isinstance(group, dict) else {})
    return options


def read_transfers(path: Path) -> list[Record]:
    """The lines that have all that a timeline needs."""
    needed = ("time", "seconds", "bytes")
    return [
        each for each in read_records(path) if all(math.isfinite(number(each.get(name))) for name in needed)
    ]


def saved_in(path: Path) -> list[Saved]:
    """The lines of a checkpoint manifest; older runs have no event that says the steps of an epoch, and these do."""
    return list(map(manifest.from_record, read_records(path, is_saved)))
