"""From a list of images and labels to MindRecord shards with the model zoo's schema: what has to be done."""

from __future__ import annotations

import glob
import hashlib
import itertools
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePath

import numpy as np

from mindlift import json_text
from mindlift.backports import cached_property
from mindlift.data import decoding
from mindlift.data.mindrecord import file as record_file
from mindlift.data.mindrecord import index as record_index
from mindlift.data.mindrecord import pairs as seg_records
from mindlift.data.mindrecord import shards as convert_run
from mindlift.data.mindrecord import write as record_write
from mindlift.data.segmentation import lists as seg_lists
from mindlift.data.segmentation import pairs as segmentation
from mindlift.data.segmentation import voc
from mindlift.data.slow_disk import NO_FILE, file_sizes, joined, why_no_file
from mindlift.errors import DataError
from mindlift.files import printable, write_atomic
from mindlift.model_utils import mindspore_build


@dataclass(frozen=True)
class Settings:
    """What decides the shards' content."""

    num_shards: int
    shuffle: bool
    seed: int
    num_classes: int
    ignore_label: int
    skip_corrupt: bool


@dataclass(frozen=True)
class PairTask(record_write.Task):
    """Shard `number` of `shards`; `rows` are pairs of paths below `root`."""

    root: Path
    settings: Settings
    shards: list[str]
    number: int

    SCHEMA = seg_records.SCHEMA
    FIELDS = [seg_records.NAME]  # noqa: RUF012 - a constant; the zoo's shards have this index as well

    def contents(self, skipped: list[str]) -> Iterator[record_write.Row]:
        files = segmentation.Files.of(self.root, self.rows)
        samples = segmentation.Samples(files, self.settings.num_classes, self.settings.ignore_label)
        for index, name in enumerate(files.names):
            try:
                data, label = files.image_bytes(index), files.label_bytes(index)
                pixels = decoding.decode(data, files.image_name(index))
                classes = voc.decode_label(label, files.label_name(index))
            except DataError as err:
                if not self.settings.skip_corrupt or isinstance(err, voc.LabelKindError):
                    raise
                skipped.append(name)
                continue
            samples.check(index, pixels, classes)
            if not voc.is_plain(label):
                label = voc.as_png(classes, coloured=False)
            yield {"file_name": printable(PurePath(name).name), "label": label, "data": data}

    def proof(self, number: int, row: record_write.Row) -> tuple[int, tuple]:
        label, data = (record_write.digest(bytes(row[key])) for key in ("label", "data"))
        return number, (str(row["file_name"]), label, data)

    def complete(self, path: Path) -> None:
        record_file.join(path, self.shards, self.number)

    def read_back(self, path: Path) -> Iterator[record_write.Row]:
        order = record_file.header(path)["schema"][0]["blob_fields"]
        with open(path, "rb") as file:
            rows = seg_records.rows_of(path)
            for name, offset, length in zip(rows.texts, rows.offsets.tolist(), rows.lengths.tolist()):
                blob = record_file.read(file.fileno(), offset, length, name)
                yield {"file_name": name, **seg_records.fields_of(blob, order, name)}


@dataclass
class Plan(convert_run.Plan):
    """Shards dst_path0, dst_path1 ... as the zoo numbers them, and dst_path.json, which is written last."""

    settings: Settings
    root: Path
    dst_path: Path
    pairs: list[seg_lists.Pair]
    sizes: np.ndarray  # bytes of image and label, (N, 2)
    records: dict[str, record_index.ShardRecord] = field(default_factory=dict)

    option = "--dst_path"

    @property
    def skip_corrupt(self) -> bool:
        return self.settings.skip_corrupt

    @property
    def out(self) -> Path:
        return self.dst_path.parent

    @property
    def target(self) -> str:
        return f"{self.dst_path}*"

    @property
    def work(self) -> Path:
        return self.out / f".{self.dst_path.name}.convert"

    @property
    def index(self) -> Path:
        return self.out / f"{self.dst_path.name}.json"

    def fingerprint(self) -> str:
        text = hashlib.sha256(
            json.dumps([asdict(replace(self.settings, skip_corrupt=False)), self.pairs]).encode()
        )
        text.update(self.sizes.tobytes())
        return text.hexdigest()[:16]

    def tasks(self) -> list[record_write.Task]:
        order = np.arange(len(self.pairs))
        if self.settings.shuffle:
            order = np.random.default_rng(self.settings.seed).permutation(len(order))
        names = shard_names(self.dst_path.name, min(self.settings.num_shards, len(order)))
        total = self.sizes.sum(1)
        header, page = record_write.page_sizes(int(total.sum()) // len(names), int(total.max()))
        return [
            PairTask(
                self.out,
                self.work,
                names[number],
                "",
                [self.pairs[i] for i in part],
                header,
                page,
                self.root,
                self.settings,
                names,
                number,
            )
            for number, part in enumerate(np.array_split(order, len(names)))
        ]

    def read_index(self) -> tuple[str, list[record_index.ShardRecord]]:
        try:
            index = json_text.read(self.index)
            return index.get("fingerprint", ""), list(index["shards"])
        except (ValueError, OSError) as err:
            raise DataError(f"{self.index} is damaged ({err}); remove {self.target} and run again") from err

    def unknown_files(self) -> list[Path]:
        found = [Path(name) for name in glob.glob(glob.escape(str(self.dst_path)) + "*")]
        return sorted(
            path
            for path in found
            if path.name[len(self.dst_path.name) :].partition(".db")[0].isdigit() or path == self.dst_path
        )

    def least_bytes(self, task: record_write.Task) -> int:
        return int(sum(self.image_bytes[pair] for pair in task.rows))

    @cached_property
    def image_bytes(self) -> dict[seg_lists.Pair, int]:
        return dict(zip(self.pairs, self.sizes[:, 0].tolist()))

    def write_index(self, tasks: list[record_write.Task]) -> None:
        records = [self.records[task.name] for task in tasks]
        for record in records:
            if not record["rows"]:
                raise DataError(f"none of the images of {record['file']} can be decoded; make fewer shards")
        index = {
            "count": sum(record["rows"] for record in records),
            "shards": records,
            "source": str(self.root.absolute()),
            "fingerprint": self.fingerprint(),
            "options": asdict(self.settings),
            "versions": mindspore_build.versions(),
        }
        write_atomic(self.index, json.dumps(index, ensure_ascii=False, indent=1) + "\n")


def shard_names(name: str, count: int) -> list[str]:
    """As mindspore's FileWriter numbers them: one shard has no number, and all numbers have the same digits."""
    digits = len(str(count - 1))
    return [f"{name}{number:0{digits}d}" for number in range(count)] if count > 1 else [name]


def make_plan(root: Path, data_lst: str, dst_path: Path, settings: Settings) -> Plan:
    """Find the files of the list. Raises DataError for those that are missing."""
    pairs = seg_lists.pairs(root, True, data_lst)
    sizes = file_sizes(joined(root, itertools.chain.from_iterable(pairs)))
    if NO_FILE in sizes:
        pair, which = divmod(sizes.index(NO_FILE), 2)
        missing = os.path.join(root, pairs[pair][which])
        raise DataError(
            f"can't read {missing}: {why_no_file(missing)}; paths in a list are below --data_root"
        )
    return Plan(settings, root, dst_path, pairs, np.array(sizes, np.int64).reshape(-1, 2))
