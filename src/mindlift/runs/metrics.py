"""Reads a metrics.jsonl of any length, block by block: curves, evaluations, and what happened to the run.

What a resume did again counts once: the later line wins. Of a file above WHOLE_BYTES only so many lines are decoded:
all events, and those with the least and the greatest loss of each stretch.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mindlift import json_text
from mindlift.json_text import Record
from mindlift.runs.records import integer, say_skipped
from mindlift.runs.series import Curve, Recorder, extremes, number, numbers

WHOLE_BYTES = 64 << 20
LOSS = re.compile(rb'"loss": ?([-+.\w]+)')
NO_NUMBER = {b"null": b"nan"}  # of a loss that was not finite; earlier versions wrote NaN and Infinity
PLAIN = (
    *("loss", "lr", "images_per_second", "data_wait", "loss_scale", "skipped"),
    *("files_here", "fetch_mb_per_second"),
)
PER_RANK = ("step_seconds", "memory_mb")


@dataclass
class Mark:
    """Something that happened after `step`: start, continued, stopped, failed, ended.

    `lost` steps were done again after a resume, and nothing was written for `pause` seconds before it. `error` is what
    a training failed with.
    """

    kind: str
    step: int
    time: float
    lost: int = 0
    pause: float | None = None
    error: str = ""


@dataclass
class Metrics:
    """All of a metrics file. Curves of ranks are lists by rank."""

    curves: dict[str, Curve] = field(default_factory=dict)
    per_rank: dict[str, list[Curve]] = field(default_factory=dict)
    evaluations: list[Record] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    facts: Record = field(default_factory=dict)  # of the first start event: images, steps_per_epoch, total
    not_finite: int = 0
    first: float | None = None
    last: float | None = None
    step: int = 0
    epoch: int = 0

    @property
    def steps_per_epoch(self) -> int | None:
        return integer(self.facts.get("steps_per_epoch"))


def read(path: Path) -> Metrics:
    """The metrics of a run; empty if there is no file."""
    return Follower(path).read(has_ended=True)


class Follower:
    """A metrics file that grows: each `read` takes in what has come since the one before."""

    def __init__(self, path: Path):
        self.path = path
        self.begin(0)

    def begin(self, inode: int) -> None:
        self.reader, self.at, self.skipped, self.inode = Reader(), 0, 0, inode

    def read(self, has_ended: bool = False) -> Metrics:
        """All of the file up to now. A last line without an end is still being written, unless the file `has_ended`."""
        if not self.path.exists():
            self.begin(0)
            return self.reader.finished()
        with open(self.path, "rb") as file:
            state = os.fstat(file.fileno())
            if state.st_ino != self.inode or state.st_size < self.at:  # another file, or a new beginning
                self.begin(state.st_ino)
            file.seek(self.at)
            share = WHOLE_BYTES / max(1, state.st_size - self.at)
            for text in json_text.blocks(file):
                if not has_ended and not text.endswith(b"\n"):
                    self.at = file.tell() - len(text)
                    break
                records, more = parsed(text, share)
                self.reader.take(records)
                self.skipped += more
            else:
                self.at = file.tell()
        say_skipped(self.path, self.skipped)
        return self.reader.finished()


def parsed(text: bytes, share: float = 1.0) -> tuple[list[Record], int]:
    """The records of some lines and how many lines are none; below 1 only about that share of them."""
    if share < 1:
        lines = [line for line in text.split(b"\n") if line.strip()]
        text = b"\n".join(telling(lines, share)) + text[-1:]
    found, skipped = json_text.parse_records(text)
    ours = [record for record in found if is_ours(record)]
    return ours, skipped + len(found) - len(ours)


def is_ours(record: Record) -> bool:
    """Whether it is an event, or is of a step."""
    step = record.get("step")
    has_step = isinstance(step, int) and integer(step) is not None and step >= 0
    return has_step if "step" in record else isinstance(record.get("event"), str)


def telling(lines: list[bytes], share: float) -> list[bytes]:
    """Events and about `share` of the other lines; all, if one has no loss that can be read without decoding it."""
    places = [at for at, line in enumerate(lines) if b'"event"' not in line]
    losses = [NO_NUMBER.get(loss, loss) for loss in LOSS.findall(b"\n".join([lines[at] for at in places]))]
    try:
        values = np.array(losses, "S32").astype(np.float64)
    except ValueError:
        return lines
    if not places or len(losses) != len(places):
        return lines
    finite = np.isfinite(values)
    values[~finite] = values[finite].mean() if finite.any() else 0.0
    kept = set(extremes(values, max(1, int(len(places) * share / 2))).tolist())
    dropped = {place for at, place in enumerate(places) if at not in kept}
    return [line for at, line in enumerate(lines) if at not in dropped]


class Reader:
    """Takes records in the order of the file; `finished` gives what they say."""

    def __init__(self) -> None:
        self.found = Metrics()
        self.plain: dict[str, Recorder] = {}
        self.per_rank: dict[str, list[Recorder]] = {}
        self.steps: list[Record] = []

    def take(self, records: list[Record]) -> None:
        for record in records:
            if "event" in record:
                self.flush()
                self.event(record)
            elif integer(record.get("step")) is not None and "loss" in record:
                self.steps.append(record)
        self.flush()

    def flush(self) -> None:
        """Account for the step lines since the last event; where a step comes again, what followed it is gone."""
        if not self.steps:
            return
        steps = np.array([record["step"] for record in self.steps], np.int64)
        times = numbers([record.get("time") for record in self.steps])
        starts = [0, *(np.flatnonzero(np.diff(steps) <= 0) + 1).tolist(), len(steps)]
        for start, end in zip(starts, starts[1:]):
            if steps[start] <= self.found.step:
                self.back_to(int(steps[start]) - 1, times[start], "continued")
            self.segment(self.steps[start:end], steps[start:end], times[start:end])
        self.steps = []

    def segment(self, records: list[Record], steps: np.ndarray, times: np.ndarray) -> None:
        found = self.found
        for name in PLAIN:
            if any(name in record for record in (records[0], records[-1])):
                values = numbers([record.get(name) for record in records])
                self.plain.setdefault(name, Recorder()).add(Curve(steps, times, values))
                found.not_finite += int(np.isnan(values).sum() if name == "loss" else 0)
        for name in PER_RANK:
            self.ranks(name, [record.get(name) for record in records], steps, times)
        found.step = int(steps[-1])
        found.epoch = integer(records[-1].get("epoch")) or 0
        self.at(times[0])
        self.at(times[-1])

    def ranks(self, name: str, rows: list[object], steps: np.ndarray, times: np.ndarray) -> None:
        size = max((len(row) for row in rows if isinstance(row, list)), default=0)
        recorders = self.per_rank.setdefault(name, [])
        recorders += [Recorder() for _ in range(size - len(recorders))]
        for rank in range(size):
            column = [row[rank] if isinstance(row, list) and rank < len(row) else None for row in rows]
            recorders[rank].add(Curve(steps, times, numbers(column)))

    def at(self, time: float) -> None:
        if np.isfinite(time):
            self.found.first = float(time) if self.found.first is None else self.found.first
            self.found.last = float(time)

    def event(self, record: Record) -> None:
        kind, step, time = str(record["event"]), integer(record.get("step")) or 0, number(record.get("time"))
        if kind == "evaluation":
            self.found.evaluations.append({**record, "step": step})
        elif kind == "continued":
            self.back_to(step, time, kind)
        else:
            self.found.marks.append(Mark(kind, step, time, error=error_in(record)))
        if kind in ("start", "continued"):
            self.found.facts = {**record, **self.found.facts}
        self.at(time)

    def back_to(self, step: int, time: float, kind: str) -> None:
        """The training went on after `step`, whatever had come after it."""
        found = self.found
        pause = time - found.last if found.last is not None and time > found.last else None
        found.marks.append(Mark(kind, step, time, max(0, found.step - step), pause))
        for recorder in [*self.plain.values(), *(each for ranks in self.per_rank.values() for each in ranks)]:
            recorder.cut(step)
        found.evaluations = [each for each in found.evaluations if each["step"] <= step]
        found.step = min(found.step, step)

    def finished(self) -> Metrics:
        found = self.found
        found.curves = {name: recorder.curve() for name, recorder in self.plain.items() if recorder.count}
        for name, recorders in self.per_rank.items():
            if any(recorder.count for recorder in recorders):
                found.per_rank[name] = [recorder.curve() for recorder in recorders]
        found.evaluations = once(found.evaluations)
        return found


def error_in(record: Record) -> str:
    error = record.get("error")
    return error if isinstance(error, str) else ""


def once(evaluations: list[Record]) -> list[Record]:
    """Of several evaluations of the same weights the last one, in the order of the steps."""
    latest = {(each["step"], str(each.get("which"))): each for each in evaluations}
    return [latest[key] for key in sorted(latest)]
