"""From a folder of images to MindRecord shards: what has to be done, and the processes that do it.

State is in the folder `.convert` below the target: the plan's fingerprint, one record for each shard that is
whole, and `.part` folders of those that are not. `index.json` is written at the end and `.convert` goes.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.metadata
import json
import multiprocessing
import os
import shutil
import signal
from collections import Counter
from dataclasses import asdict, dataclass, field
from multiprocessing import connection
from pathlib import Path
from typing import Any

import numpy as np

from src.data import cifar10, image_folder, layout, record_index, record_write
from src.model_utils.errors import ConfigError, DataError, MindLiftError, StorageError
from src.model_utils.interrupts import Deferred
from src.model_utils.run_paths import write_atomic
from src.run_log import RunLog

WORK = ".convert"
POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Settings:
    """What decides the shards' content."""

    dataset: str
    num_shards: int
    shuffle: bool
    seed: int
    skip_corrupt: bool


@dataclass
class Split:
    """The images of one split in the order of their numbers; `files` are names below `folder`."""

    name: str
    folder: Path
    labels: np.ndarray
    files: list[str]
    sizes: np.ndarray


@dataclass
class Plan:
    settings: Settings
    source: Path
    out: Path
    classes: list[str]
    splits: list[Split]
    records: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def work(self) -> Path:
        return self.out / WORK

    def fingerprint(self) -> str:
        """Changes with the options and with the name, size or label of any image."""
        text = hashlib.sha256(json.dumps([asdict(self.settings), self.classes]).encode())
        for split in self.splits:
            text.update("\0".join([split.name, *split.files]).encode("utf-8", "surrogateescape"))
            text.update(split.labels.tobytes() + split.sizes.tobytes())
        return text.hexdigest()[:16]

    def tasks(self) -> list[record_write.Task]:
        return [task for split in self.splits for task in tasks_of(self, split)]


def make_plan(source: Path, out: Path, settings: Settings, num_classes: int | None) -> Plan:
    """Find the images. Raises DataError for what is wrong with them as far as it shows without decoding."""
    if settings.dataset == "imagenet":
        classes, splits = folder_splits(source)
    else:
        classes, splits = cifar_splits(source)
    if num_classes is not None:
        layout.check_classes(f"{source} has {len(classes)} classes", len(classes), num_classes, False)
    return Plan(settings, source, out, classes, splits)


def folder_splits(source: Path) -> tuple[list[str], list[Split]]:
    folders = {"train": layout.split_folder(source, True), "val": layout.split_folder(source, False)}
    if folders["train"] == folders["val"]:
        folders = {"all": source}
    known: dict[str, list[str]] = {}
    splits = []
    for name, folder in folders.items():
        known[name] = layout.class_folders(folder, 1 << 30, allow_unused=True)
        paths, labels = image_folder.scan(folder, 1 << 30, allow_unused=True)
        sizes = np.array([os.stat(path).st_size for path in paths], np.int64)
        splits.append(Split(name, folder, labels, [os.path.relpath(path, folder) for path in paths], sizes))
    first, *others = known.values()
    for other in others:
        if other != first:
            raise DataError(
                f"{source}: train has {len(first)} classes, val {len(other)}, not the same ones, such as"
                f" {min(set(first) ^ set(other))}; each class needs its folder in both"
            )
    return first, splits


def cifar_splits(source: Path) -> tuple[list[str], list[Split]]:
    splits = []
    names = None
    for name, pattern in (("train", "data_batch_*.bin"), ("val", "test_batch.bin")):
        folder = source / cifar10.FOLDER if (source / cifar10.FOLDER).is_dir() else source
        if not list(folder.glob(pattern)) and (splits or name == "train"):
            continue
        images, labels = cifar10.load(source, name == "train", 256, allow_unused=True)
        files = [f"{name}[{i}]" for i in range(len(labels))]
        sums = [int.from_bytes(record_write.digest(image.tobytes())[:7], "big") for image in images]
        splits.append(Split(name, source, labels, files, np.array(sums, np.int64)))
        meta = folder / "batches.meta.txt"
        names = meta.read_text(encoding="utf-8").split() if meta.is_file() else None
    count = max(cifar10.CLASSES, *(int(split.labels.max()) + 1 for split in splits))
    return (names if names and len(names) == count else [str(i) for i in range(count)]), splits


def tasks_of(plan: Plan, split: Split) -> list[record_write.Task]:
    """The shards of a split: with `shuffle` of a random order, but for those that are only evaluated."""
    order = np.arange(len(split.files))
    if plan.settings.shuffle and split.name != "val":
        order = np.random.default_rng(plan.settings.seed).permutation(len(order))
    pixels = plan.settings.dataset != "imagenet"
    sizes = np.full(len(order), 3 * cifar10.SIDE**2) if pixels else split.sizes
    shards = min(plan.settings.num_shards, len(order))
    header, page = record_write.page_sizes(int(sizes.sum()) // shards, int(sizes.max()))
    return [
        record_write.Task(
            plan.out, plan.work, f"{split.name}.mindrecord{number}", split.folder, split.name, pixels,
            [(i, int(split.labels[i]), split.files[i]) for i in part.tolist()], header, page, plan.settings.skip_corrupt,
        )
        for number, part in enumerate(np.array_split(order, shards))
    ]  # fmt: skip


def run(plan: Plan, workers: int, log: RunLog) -> dict[str, Any]:
    """Make the shards that are missing and the index, which is returned. Raises KeyboardInterrupt if stopped."""
    lock = prepare(plan)
    try:
        tasks = plan.tasks()
        plan.records = {name: record for name, record in known_records(plan).items()
                        if record_index.is_whole(plan.out, record)}  # fmt: skip
        missing = [task for task in tasks if task.name not in plan.records]
        if plan.records:
            log.info(f"{len(tasks) - len(missing)} of {len(tasks)} shards are whole already")
        if missing or not (plan.out / record_index.INDEX).is_file():
            (plan.out / record_index.INDEX).unlink(missing_ok=True)
            check_room(plan, missing)
            with Deferred() as interrupts:
                Pool(plan, missing, min(workers, len(missing)), len(tasks), log, interrupts).run()
            write_index(plan, tasks)
    finally:
        lock.close()
    shutil.rmtree(plan.work, ignore_errors=True)
    return record_index.read(plan.out)


def prepare(plan: Plan) -> Any:
    """Make the folders, take the lock, remove what a killed conversion has left; returns the held lock."""
    try:
        plan.work.mkdir(parents=True, exist_ok=True)
        lock = open(plan.work / "lock", "a")  # noqa: SIM115 - held until the conversion ends
    except OSError as err:
        raise StorageError(f"can't write to {plan.out}: {err.strerror}; pass another --out") from err
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as err:
        lock.close()
        raise ConfigError(
            f"another process converts to {plan.out}; wait for it, or pass another --out"
        ) from err
    mark, index = plan.work / "fingerprint", plan.out / record_index.INDEX
    known = mark.read_text(encoding="utf-8").strip() if mark.is_file() else ""
    known = known or (record_index.read(plan.out).get("fingerprint", "") if index.is_file() else "")
    if known and known != plan.fingerprint():
        lock.close()
        raise ConfigError(
            f"{plan.out} holds shards of other images or options than these; pass another --out, or remove it"
        )
    strangers = [] if known else sorted(path.name for path in plan.out.glob("*.mindrecord*"))
    if strangers:
        lock.close()
        raise ConfigError(
            f"{plan.out} holds {strangers[0]}, which is not of this conversion; pass another --out"
        )
    for part in plan.work.glob("*.part"):
        shutil.rmtree(part, ignore_errors=True)
    write_atomic(mark, plan.fingerprint() + "\n")
    return lock


def known_records(plan: Plan) -> dict[str, dict[str, Any]]:
    """The records of shards that were finished, by name: of a whole conversion, or of one that was stopped."""
    found: dict[str, dict[str, Any]] = {}
    if (plan.out / record_index.INDEX).is_file():
        for name, split in record_index.read(plan.out)["splits"].items():
            found.update({record["file"]: {**record, "split": name} for record in split["shards"]})
    for path in plan.work.glob("*.json"):
        record = json.loads(path.read_text(encoding="utf-8"))
        found[record["file"]] = record
    return found


def check_room(plan: Plan, missing: list[record_write.Task]) -> None:
    sizes = {split.name: split.sizes for split in plan.splits}
    if plan.settings.dataset != "imagenet":
        sizes = {name: np.full(len(each), 3 * cifar10.SIDE**2) for name, each in sizes.items()}
    needed = sum(int(sizes[task.split][[row[0] for row in task.rows]].sum()) for task in missing)
    free = shutil.disk_usage(plan.out).free
    if needed > free:
        raise StorageError(
            f"the shards need at least {needed / 1e6:.1f} MB, but {plan.out} has {free / 1e6:.1f} MB free;"
            " make room, or pass another --out"
        )


def write_index(plan: Plan, tasks: list[record_write.Task]) -> None:
    splits: dict[str, Any] = {}
    for split in plan.splits:
        records = [plan.records[task.name] for task in tasks if task.split == split.name]
        skipped = {name for record in records for name in record["skipped"]}
        kept = [int(label) for label, file in zip(split.labels, split.files) if file not in skipped]
        if not kept:
            raise DataError(f"no image of {split.folder} can be decoded")
        counts = Counter(kept)
        shards = [{key: value for key, value in record.items() if key != "split"} for record in records]
        splits[split.name] = {
            "count": len(kept), "per_class": {name: counts[i] for i, name in enumerate(plan.classes)},
            "skipped": sorted(skipped), "shards": shards,
        }  # fmt: skip
    index = {
        "format": record_index.FORMAT, "dataset": plan.settings.dataset, "classes": plan.classes, "splits": splits,
        "source": str(plan.source.absolute()), "fingerprint": plan.fingerprint(), "options": asdict(plan.settings),
        "versions": {name: importlib.metadata.version(name) for name in ("mindspore", "numpy", "pillow")},
    }  # fmt: skip
    write_atomic(plan.out / record_index.INDEX, json.dumps(index, ensure_ascii=False, indent=1) + "\n")


class Pool:
    """Processes that make one shard each at a time. They end when this one does, however it does.

    Each has a pipe of its own: a worker whose parent was killed finds it closed at its next message.
    """

    def __init__(
        self, plan: Plan, tasks: list[record_write.Task], count: int, total: int, log: RunLog, interrupts: Deferred
    ):  # fmt: skip
        self.plan, self.waiting, self.total, self.log, self.interrupts = (
            plan,
            tasks[::-1],
            total,
            log,
            interrupts,
        )
        self.images = sum(len(task.rows) for task in tasks)
        self.count = count
        self.busy: dict[Any, tuple[multiprocessing.process.BaseProcess, str]] = {}

    def run(self) -> None:
        self.log.start_bar("convert", "image", self.images)
        try:
            for _ in range(self.count):
                self.start()
            while self.busy:
                for pipe in connection.wait(list(self.busy), POLL_SECONDS):
                    self.hear(pipe)
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

    def give(self, pipe: Any, process: Any) -> None:
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

    def hear(self, pipe: Any) -> None:
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

    def finished(self, record: dict[str, Any]) -> None:
        write_atomic(self.plan.work / f"{record['file']}.json", json.dumps(record, ensure_ascii=False) + "\n")
        self.plan.records[record["file"]] = record
        for name in record["skipped"]:
            self.log.warning(f"corrupt image left out: {name}")
        self.log.info(
            f"{record['file']}: {record['rows']} images, {record['bytes'] / 1e6:.1f} MB, verified"
            f" ({len(self.plan.records)} of {self.total} shards)"
        )


def work(pipe: Any) -> None:
    """A worker process: shards come in, numbers of rows and records go out."""
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches the whole group; the parent ends the workers
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
