"""The processes that make MindRecord shards, one shard each at a time; for any kind of rows.

State is in the plan's folder `work`: its fingerprint, one record for each shard that is whole, and `.part` folders of
those that are not. The plan's index is written at the end and `work` goes.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import multiprocessing
import shutil
import signal
from multiprocessing import connection
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from mindlift import json_text
from mindlift.data.mindrecord import index as record_index
from mindlift.data.mindrecord import write as record_write
from mindlift.data.mindrecord.index import ShardRecord
from mindlift.errors import ConfigError, MindLiftError, StorageError
from mindlift.files import printable, remove_file, write_atomic
from mindlift.interrupts import Deferred, leave_ctrl_c_to_parent
from mindlift.runs.log import RunLog

POLL_SECONDS = 0.2


class Plan:
    """What a conversion has to do: shards in the folder `out`, and a file `index` that says that all are there."""

    records: dict[str, ShardRecord]  # of the shards that are whole, by name
    option: str  # that names where shards go

    if (
        TYPE_CHECKING
    ):  # at run time a default, as a dataclass sees it, where the field of the subclass has none

        @property
        def out(self) -> Path: ...

    @property
    def target(self) -> str:
        """The shards, in messages."""
        return str(self.out)

    @property
    def skip_corrupt(self) -> bool:
        raise NotImplementedError

    @property
    def work(self) -> Path:
        raise NotImplementedError

    @property
    def index(self) -> Path:
        raise NotImplementedError

    def fingerprint(self) -> str:
        """Changes with any image and the options but skip_corrupt, so that it can be given after a corrupt image stopped."""
        raise NotImplementedError

    def tasks(self) -> list[record_write.Task]:
        raise NotImplementedError

    def read_index(self) -> tuple[str, list[ShardRecord]]:
        """The fingerprint of the index, and the records of all shards as record_write.make gave them; raises DataError."""
        raise NotImplementedError

    def unknown_files(self) -> list[Path]:
        """Files in the way, which only an earlier conversion of the same plan may have made."""
        raise NotImplementedError

    def least_bytes(self, task: record_write.Task) -> int:
        """Bytes that the shard will need at least."""
        raise NotImplementedError

    def write_index(self, tasks: list[record_write.Task]) -> None:
        """Write `index` from `records`, whole or not at all."""
        raise NotImplementedError


def run(plan: Plan, workers: int, log: RunLog) -> None:
    """Make the shards that are missing and the index. Raises KeyboardInterrupt if stopped."""
    lock = prepare(plan)
    try:
        tasks = plan.tasks()
        plan.records = {
            name: record
            for name, record in known_records(plan).items()
            if record_index.is_whole(plan.out, record) and (plan.skip_corrupt or not record["skipped"])
        }
        missing = [task for task in tasks if task.name not in plan.records]
        if plan.records:
            log.info(f"{len(tasks) - len(missing)} of {len(tasks)} shards are whole already")
        if missing or not plan.index.is_file():
            remove_file(plan.index)
            check_room(plan, missing)
            with Deferred() as interrupts:
                Pool(plan, missing, min(workers, len(missing)), len(tasks), log, interrupts).run()
            plan.write_index(tasks)
    finally:
        lock.close()
    shutil.rmtree(plan.work, ignore_errors=True)


def prepare(plan: Plan) -> IO[str]:
    """Make the folders, take the lock, remove what a killed conversion has left; returns the held lock."""
    if printable(plan.target) != plan.target:
        raise ConfigError(
            f"{plan.option} {printable(plan.target)}: mindspore writes to names in UTF-8 only; pass another one"
        )
    try:
        plan.work.mkdir(parents=True, exist_ok=True)
        lock = open(plan.work / "lock", "a")  # noqa: SIM115 - held until the conversion ends
    except OSError as err:
        raise StorageError(f"can't write to {plan.out}: {err.strerror}; pass another {plan.option}") from err
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as err:
        lock.close()
        raise ConfigError(
            f"another process converts to {plan.target}; wait for it, or pass another {plan.option}"
        ) from err
    mark = plan.work / "fingerprint"
    known = mark.read_text(encoding="utf-8").strip() if mark.is_file() else ""
    known = known or (plan.read_index()[0] if plan.index.is_file() else "")
    if known and known != plan.fingerprint():
        lock.close()
        raise ConfigError(
            f"{plan.target} holds shards of other images or options than these; pass another {plan.option}, or remove it"
        )
    foreign = [] if known else plan.unknown_files()
    if foreign:
        lock.close()
        raise ConfigError(f"{foreign[0]} is there and not of this conversion; pass another {plan.option}")
    for part in plan.work.glob("*.part"):
        shutil.rmtree(part, ignore_errors=True)
    write_atomic(mark, plan.fingerprint() + "\n")
    return lock


def known_records(plan: Plan) -> dict[str, ShardRecord]:
    """The records of shards that were finished, by name: of a whole conversion, or of one that was stopped."""
    found = plan.read_index()[1] if plan.index.is_file() else []
    found += [json_text.read(path) for path in plan.work.glob("*.json")]
    return {record["file"]: record for record in found}


def check_room(plan: Plan, missing: list[record_write.Task]) -> None:
    needed = sum(map(plan.least_bytes, missing))
    free = shutil.disk_usage(plan.out).free
    if needed > free:
        raise StorageError(
            f"the shards need at least {needed / 1e6:.1f} MB, but {plan.out} has {free / 1e6:.1f} MB free;"
            f" make room, or pass another {plan.option}"
        )


class Pool:
    """Processes that make one shard each at a time. They end when this one does, however it does.

    Each has a pipe of its own: a worker whose parent was killed finds it closed at its next message.
    """

    def __init__(
        self,
        plan: Plan,
        tasks: list[record_write.Task],
        count: int,
        total: int,
        log: RunLog,
        interrupts: Deferred,
    ):
        self.plan, self.waiting, self.total, self.log, self.interrupts = (
            plan,
            tasks[::-1],
            total,
            log,
            interrupts,
        )
        self.images = sum(len(task.rows) for task in tasks)
        self.count = count
        self.busy: dict[connection.Connection, tuple[multiprocessing.process.BaseProcess, str]] = {}

    def run(self) -> None:
        self.log.start_bar("convert", "image", self.images)
        try:
            for _ in range(self.count):
                self.start()
            while self.busy:
                for ready in connection.wait(list(self.busy), POLL_SECONDS):
                    self.hear(cast(connection.Connection, ready))
                self.interrupts.check()
        except KeyboardInterrupt:
            whole = len(self.plan.records)
            self.log.info(
                f"stopped with {whole} of {self.total} shards whole; the same command goes on from there"
            )
            raise
        finally:
            self.log.end_bar()
            for pipe, (process, _) in self.busy.items():
                process.terminate()
                process.join()
                pipe.close()

    def start(self) -> None:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=work, args=(theirs,), daemon=True)
        process.start()
        theirs.close()
        self.give(ours, process)

    def give(self, pipe: connection.Connection, process: multiprocessing.process.BaseProcess) -> None:
        """The next shard, or the end, for a process that has nothing to do."""
        if self.waiting:
            task = self.waiting.pop()
            self.busy[pipe] = (process, task.name)
            with contextlib.suppress(BrokenPipeError):  # it has died: `hear` finds the end of the pipe
                pipe.send(task)
            return
        self.busy.pop(pipe, None)
        pipe.close()
        process.join()

    def hear(self, pipe: connection.Connection) -> None:
        process, name = self.busy[pipe]
        try:
            kind, value = pipe.recv()
        except EOFError:
            process.join()
            raise StorageError(
                f"the process that wrote {name} ended ({process.exitcode}; out of memory?); run the same command"
                " again, with fewer --workers"
            ) from None
        if kind == "rows":
            self.log.advance(value)
        elif kind == "failed":
            raise value
        else:
            self.finished(value)
            self.give(pipe, process)

    def finished(self, record: ShardRecord) -> None:
        write_atomic(self.plan.work / f"{record['file']}.json", json.dumps(record, ensure_ascii=False) + "\n")
        self.plan.records[record["file"]] = record
        for name in record["skipped"]:
            self.log.warning(f"corrupt image left out: {name}")
        self.log.info(
            f"{record['file']}: {record['rows']} images, {record['bytes'] / 1e6:.1f} MB, verified"
            f" ({len(self.plan.records)} of {self.total} shards)"
        )


def work(pipe: connection.Connection) -> None:
    """A worker process: shards come in, numbers of rows and records go out."""
    leave_ctrl_c_to_parent()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        while True:
            task = pipe.recv()
            try:
                pipe.send(("done", record_write.make(task, lambda count: pipe.send(("rows", count)))))
            except MindLiftError as err:
                pipe.send(("failed", err))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the parent is done, or gone
