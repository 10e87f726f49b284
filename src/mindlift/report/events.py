"""TensorBoard's event files of a run, with the messages of tensorboardX, which needs no TensorFlow. metrics.jsonl stays the
source.

`TensorBoard` takes the same records that go to metrics.jsonl, one by one from the trainer, or all those of an old file.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from mindlift.backports import Protocol
from mindlift.errors import ConfigError, StorageError
from mindlift.json_text import Record
from mindlift.report import event_file, figures
from mindlift.report.event_file import EventFile
from mindlift.report.pictures import of_evaluation, opened
from mindlift.runs import last_records
from mindlift.runs.metrics import PER_RANK, PLAIN
from mindlift.runs.records import integer
from mindlift.runs.series import number

EVENTS = "events.out.tfevents.*"
SCORES = (*figures.SCORES, "loss")
TOGETHER_BYTES = 1 << 20  # of events, whose checksums are made together
FLUSH_S = 5.0  # a flush waits for the disk


class GraphDef(Protocol):
    """tensorboardX's message of a graph."""

    def SerializeToString(self) -> bytes: ...


class TensorBoard:
    """Writes an event file of the run in `root` below `folder`; use it as a `with` block.

    With `done` steps the run is one that goes on: what older files say of later steps is taken back, and where older
    files are gone, as on a new machine of a cloud job, their curves are written again from metrics.jsonl. So no step
    is there twice. ConfigError without tensorboardX, StorageError where the folder can't be written.
    """

    def __init__(self, root: Path, folder: Path, done: int = 0):
        need_messages()
        self.root, self.folder, self.flushed = root, folder, time.monotonic()
        had_events = any(folder.glob(EVENTS))
        with self.writing():
            folder.mkdir(parents=True, exist_ok=True)
            self.writer = EventFile(folder)
        self.begin(done + 1 if had_events else 1)
        if done and not had_events:
            known = last_records.records(root / "metrics.jsonl")
            self.add_all(record for record in known if record["step"] <= done)

    def __enter__(self) -> TensorBoard:
        return self

    def __exit__(self, *_: object) -> None:
        with self.writing():
            self.writer.close()

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as err:
            raise StorageError(f"can't write {self.folder}: {err.strerror or err}") from err

    def add(self, record: Record) -> None:
        """A record of metrics.jsonl: a step's line or an event; on disk some seconds later."""
        self.write(list(filter(None, [event_of(record)])))

    def add_all(self, records: Iterable[Record]) -> int:
        """Many of them; returns the last step."""
        last, waiting, size = 0, [], 0
        for record in records:
            event = event_of(record)
            if event:
                waiting.append(event)
                size += len(event)
            last = max(last, integer(record.get("step")) or 0)
            if size > TOGETHER_BYTES:
                self.write(waiting)
                waiting, size = [], 0
        self.write(waiting)
        return last

    def write(self, events: Sequence[bytes]) -> None:
        with self.writing():
            self.writer.write(events)
            if time.monotonic() - self.flushed > FLUSH_S:
                self.writer.flush()
                self.flushed = time.monotonic()

    def options(self, options: Mapping[str, object]) -> None:
        """The hyper-parameters of the run, beside the figures by which TensorBoard sorts runs."""
        from tensorboardX.summary import hparams

        known = {
            name: value if isinstance(value, (bool, int, float, str)) else json.dumps(value)
            for name, value in options.items()
        }
        for summary in hparams(known, dict.fromkeys((f"evaluation/{name}" for name in SCORES), 0.0)):
            self.put(summary, 0)

    def pictures(self, step: int) -> None:
        """The pictures of the newest evaluation, which evaluation.json names."""
        from tensorboardX.summary import image

        for path in of_evaluation(self.root):
            picture = opened(path)
            if picture:
                self.put(image(f"evaluation/{path.stem}", np.asarray(picture), dataformats="HWC"), step)

    def graph(self, definition: GraphDef) -> None:
        """A tensorboardX GraphDef, as mindlift.report.graph reads it from an exported model."""
        from tensorboardX.proto.event_pb2 import Event

        with self.writing():
            self.writer.write_event(Event(wall_time=time.time(), graph_def=definition.SerializeToString()))

    def begin(self, first: int) -> None:
        """What older files of the folder say of step `first` and later ones does not hold.

        TensorBoard asks for this mark in the first file as well, or else takes the second file for the first.
        """
        from tensorboardX.proto.event_pb2 import Event, SessionLog

        with self.writing():
            log = SessionLog(status=SessionLog.START)
            self.writer.write_event(Event(step=first, wall_time=time.time(), session_log=log))

    def put(self, summary: object, step: int) -> None:
        """A tensorboardX Summary."""
        from tensorboardX.proto.event_pb2 import Event

        self.write([Event(step=step, wall_time=time.time(), summary=summary).SerializeToString()])


def event_of(record: Record) -> bytes:
    """The Event of a record; nothing for one without a step or without numbers."""
    step, values = integer(record.get("step")), scalars(record)
    if step is None or not values:
        return b""
    at = number(record.get("time"))
    return event_file.scalars(values, step, at if at == at else time.time())


def scalars(record: Record) -> dict[str, float]:
    """Names and finite values of a record."""
    found: dict[str, float] = {}
    if record.get("event") == "evaluation":
        end = "_ema" if record.get("which") == "average" else ""
        found = {f"evaluation/{name}{end}": number(record.get(name)) for name in SCORES}
    elif "event" not in record:
        found = {f"train/{name}": number(record.get(name)) for name in PLAIN}
        for name in PER_RANK:
            values = record.get(name)
            ranks = enumerate(values) if isinstance(values, list) else ()
            found.update({f"ranks/{name}/{rank}": number(value) for rank, value in ranks})
    return {name: value for name, value in found.items() if value == value}


def need_messages() -> None:
    """ConfigError where tensorboardX is not installed."""
    try:
        from tensorboardX.proto import event_pb2  # noqa: F401
    except ImportError:
        raise ConfigError(
            "TensorBoard's files need tensorboardX: pip install tensorboardX, or leave them out"
        ) from None
