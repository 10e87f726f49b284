"""Runs in a bucket: which there are below a URL, and the checkpoints that they say they have."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mindlift.runs.manifest import MANIFEST, Saved, parse
from mindlift.runs.paths import NOTE, parse_name
from mindlift.runs.records import beginnings, parse_object
from mindlift.storage.places import exists, names, read
from mindlift.storage.url import PathLike, join

SKEW_S = 120.0  # by which the clocks of a service and of its machines may differ


@dataclass(frozen=True)
class Lifetime:
    """When a job ran, in seconds since the epoch by its service's clock: from 0 for one that has not started."""

    started_at: float = 0.0
    ended_at: float = math.inf

    def distance(self, began: float) -> float:
        """How far the beginning of a training is from the job's start; infinite where the job was not running then."""
        is_within = self.started_at - SKEW_S <= began <= self.ended_at + SKEW_S
        return abs(began - self.started_at) if self.started_at and is_within else math.inf


def run_of_job(url: PathLike, job: Lifetime) -> str | None:
    """The name of the run below `url` that a job began or continued; None while it has none."""
    return begun_by(job, beginnings_below(url))


def begun_by(job: Lifetime, begun: Mapping[str, Sequence[float]]) -> str | None:
    """Of runs, the newest first, the one with a beginning next to the job's start. Pure.

    Runs of an older version do not say when they were continued: then the newest of them is taken, as far as no other is
    the job's.
    """
    distances = {name: min(map(job.distance, times), default=math.inf) for name, times in begun.items()}
    nearest = min(distances, key=distances.__getitem__, default="")
    if distances.get(nearest, math.inf) < math.inf:
        return nearest
    unknown = [name for name, times in begun.items() if not times]
    return unknown[0] if unknown else None


def beginnings_below(url: PathLike) -> dict[str, list[float]]:
    """When the trainings of each run below `url` began, the newest run first."""
    return {name: beginnings_at(join(url, name)) for name in run_names(url)}


def beginnings_at(run: PathLike) -> list[float]:
    try:
        return beginnings(parse_object(read(join(run, NOTE)), join(run, NOTE)))
    except FileNotFoundError:
        return []


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
