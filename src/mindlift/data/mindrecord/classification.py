"""From a folder of images with a class each to MindRecord shards: what has to be done."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from mindlift.data import image_folder, layout
from mindlift.data.classification import cifar10
from mindlift.data.mindrecord import index as record_index
from mindlift.data.mindrecord import shards as convert_run
from mindlift.data.mindrecord import write as record_write
from mindlift.data.mindrecord.index import Index, ShardRecord
from mindlift.data.slow_disk import NO_FILE, file_sizes, why_no_file
from mindlift.errors import DataError
from mindlift.files import write_atomic
from mindlift.model_utils import mindspore_build
from mindlift.runs.log import RunLog


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
    """The images of one split in the order of their numbers; `files` are names below `folder`, `note` says what was left out."""

    name: str
    folder: Path
    labels: np.ndarray
    files: list[str]
    sizes: np.ndarray
    note: str = ""


@dataclass
class Plan(convert_run.Plan):
    settings: Settings
    source: Path
    out: Path
    classes: list[str]
    splits: list[Split]
    records: dict[str, ShardRecord] = field(default_factory=dict)

    option = "--out"

    @property
    def skip_corrupt(self) -> bool:
        return self.settings.skip_corrupt

    @property
    def work(self) -> Path:
        return self.out / ".convert"

    @property
    def index(self) -> Path:
        return self.out / record_index.INDEX

    def fingerprint(self) -> str:
        """Changes with the options and with the name, size or label of any image."""
        text = hashlib.sha256(
            json.dumps([asdict(replace(self.settings, skip_corrupt=False)), self.classes]).encode()
        )
        for split in self.splits:
            text.update("\0".join([split.name, *split.files]).encode("utf-8", "surrogateescape"))
            text.update(split.labels.tobytes() + split.sizes.tobytes())
        return text.hexdigest()[:16]

    def tasks(self) -> list[record_write.Task]:
        return [task for split in self.splits for task in tasks_of(self, split)]

    def read_index(self) -> tuple[str, list[ShardRecord]]:
        index = record_index.read(self.out)
        records: list[ShardRecord] = [
            {**record, "split": name} for name, split in index["splits"].items() for record in split["shards"]
        ]
        return index.get("fingerprint", ""), records

    def unknown_files(self) -> list[Path]:
        return sorted(self.out.glob("*.mindrecord*"))

    def least_bytes(self, task: record_write.Task) -> int:
        if self.settings.dataset != "imagenet":
            return len(task.rows) * 3 * cifar10.SIDE**2
        sizes = {split.name: split.sizes for split in self.splits}
        return int(sizes[task.split][[row[0] for row in task.rows]].sum())

    def write_index(self, tasks: list[record_write.Task]) -> None:
        write_index(self, tasks)


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
    classes: list[str] = []
    splits: list[Split] = []
    for name, folder in folders.items():
        found = image_folder.scan(folder, 1 << 30, True, classes, may_be_empty=name == "val")
        classes = found.classes
        sizes = file_sizes(found.files)
        if NO_FILE in sizes:
            missing = found.files[sizes.index(NO_FILE)]
            raise DataError(f"can't read {missing}: {why_no_file(missing)}; is the folder being changed?")
        names = [os.path.relpath(path, folder) for path in found.files]
        splits.append(Split(name, folder, found.labels, names, np.array(sizes, np.int64), found.note))
    return classes, splits


def cifar_splits(source: Path) -> tuple[list[str], list[Split]]:
    splits: list[Split] = []
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
        record_write.ImageTask(
            plan.out,
            plan.work,
            f"{split.name}.mindrecord{number}",
            split.name,
            [(i, int(split.labels[i]), split.files[i]) for i in part.tolist()],
            header,
            page,
            split.folder,
            pixels,
            plan.settings.skip_corrupt,
        )
        for number, part in enumerate(np.array_split(order, shards))
    ]


def run(plan: Plan, workers: int, log: RunLog) -> Index:
    """Make the shards that are missing and the index, which is returned. Raises KeyboardInterrupt if stopped."""
    convert_run.run(plan, workers, log)
    return record_index.read(plan.out)


def write_index(plan: Plan, tasks: list[record_write.Task]) -> None:
    splits: dict[str, record_index.Split] = {}
    for split in plan.splits:
        records = [plan.records[task.name] for task in tasks if task.split == split.name]
        skipped = {name for record in records for name in record["skipped"]}
        kept = [int(label) for label, file in zip(split.labels, split.files) if file not in skipped]
        if not kept:
            raise DataError(f"no image of {split.folder} can be decoded")
        counts = Counter(kept)
        shards = [record.copy() for record in records]
        for shard in shards:
            del shard["split"]
        splits[split.name] = {
            "count": len(kept),
            "per_class": {name: counts[i] for i, name in enumerate(plan.classes)},
            "skipped": sorted(skipped),
            "shards": shards,
        }
    index: Index = {
        "format": record_index.FORMAT,
        "dataset": plan.settings.dataset,
        "classes": plan.classes,
        "splits": splits,
        "source": str(plan.source.absolute()),
        "fingerprint": plan.fingerprint(),
        "options": asdict(plan.settings),
        "versions": mindspore_build.versions(),
    }
    write_atomic(plan.index, json.dumps(index, ensure_ascii=False, indent=1) + "\n")
