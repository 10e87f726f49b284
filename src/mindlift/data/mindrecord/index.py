"""The index.json of a folder of MindRecord shards: what mindlift.cli.to_mindrecord has made of which images.

    {"format": 1, "dataset": "imagenet", "classes": [names in order of label], "pixels": false,
     "splits": {"train": {"count", "per_class", "skipped", "shards": [{"file", "rows", "bytes", "sha256",
                "index_bytes", "index_sha256"}]}, "val": ...}, "source", "fingerprint", "options", "versions"}

A folder of images without train and val has the one split "all". Needs neither numpy nor mindspore.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mindlift import json_text
from mindlift.backports import TypedDict
from mindlift.data import layout
from mindlift.data.mindrecord import file as record_file
from mindlift.errors import DataError
from mindlift.file_names import FileName
from mindlift.model_utils.streaming import arrivals

INDEX = "index.json"
FORMAT = 1
MAKE = "mindlift data to_mindrecord"


class ShardRecord(TypedDict, total=False):
    """What is known of a finished shard; those without rows have no sums. `split` is left out in an index."""

    file: str
    split: str
    rows: int
    skipped: list[str]
    bytes: int
    sha256: str
    index_bytes: int
    index_sha256: str


class Split(TypedDict):
    count: int
    per_class: dict[str, int]
    skipped: list[str]
    shards: list[ShardRecord]


class Index(TypedDict):
    """The content of index.json."""

    format: int
    dataset: str
    classes: list[str]
    splits: dict[str, Split]
    source: str
    fingerprint: str
    options: dict[str, object]
    versions: dict[str, str]


def read(folder: Path) -> Index:
    """The index of `folder`; DataError if there is none or it is not of this format."""
    path = folder / INDEX
    if not arrivals.is_file(path):
        raise DataError(
            f"no {INDEX} in {folder}: not a whole MindRecord data set; make it (or go on making it) with {MAKE}"
        )
    try:
        arrivals.await_file(str(path))
        index = json_text.read(path)
        found = index["format"]
        if found == FORMAT:
            for split in index["splits"].values():
                _ = [
                    (FileName(shard["file"]), shard["rows"], shard["bytes"], shard["index_bytes"])
                    for shard in split["shards"]
                ]
            return index
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as err:
        raise DataError(
            f"{path} is damaged ({type(err).__name__}: {err}); make it again with {MAKE}"
        ) from err
    raise DataError(f"{path} has format {found}, but this version reads {FORMAT}; convert again with {MAKE}")


def split_of(index: Index, folder: Path, train: bool) -> tuple[str, Split]:
    """Name and entry of the split to train or evaluate with; DataError if it was not converted."""
    name = "train" if train else "val"
    for found in (name, "all"):
        if found in index["splits"]:
            return found, index["splits"][found]
    raise DataError(
        f"{folder} has only {', '.join(index['splits'])}, not {name}; it is needed to"
        f" {'train' if train else 'evaluate'}; convert a source that has it"
    )


def check(
    dataset: str,
    folder: Path,
    train: bool,
    num_classes: int,
    allow_unused: bool,
    known: Sequence[str] = (),
) -> None:
    """Raise DataError for what is wrong with the index, the classes, or the sizes of the shards' files."""
    index = read(folder)
    if (dataset == "imagenet") != (index["dataset"] == "imagenet"):
        raise DataError(
            f"{folder} was made from --dataset {index['dataset']}, but --dataset is {dataset}; pass --dataset"
            f" {index['dataset']}"
        )
    name, split = split_of(index, folder, train)
    classes = len(index["classes"])
    if known and dataset == "imagenet":
        layout.check_known(str(folder), index["classes"], known)
    elif dataset == "imagenet" or train or classes > num_classes:
        layout.check_classes(f"{folder} has {classes} classes", classes, num_classes, allow_unused)
    for shard in split["shards"]:
        check_shard(folder, shard, name)


def check_shard(folder: Path, shard: ShardRecord, split: str) -> None:
    """DataError unless the shard and the .db beside it are there with the sizes that they were made with.

    A shard of which every image was corrupt has no rows and no files.
    """
    if not shard["rows"]:
        return
    for file, size in ((shard["file"], shard["bytes"]), (shard["file"] + ".db", shard["index_bytes"])):
        path = folder / file
        if record_file.is_taken_apart(path):
            continue
        if not arrivals.is_file(path):
            raise DataError(
                f"{path} is missing, one of the {split} shards; fetch it, or run {MAKE} again. Every node needs all"
                " shards (--stage_mode all)"
            )
        if path.is_file() and path.stat().st_size != size:  # else it is still arriving
            raise DataError(
                f"{path} has {path.stat().st_size} bytes, but was made with {size}; cut short? fetch it again"
            )


def is_whole(folder: Path, shard: ShardRecord) -> bool:
    """Whether the files of a shard have the sizes that their record says."""
    try:
        check_shard(folder, shard, "")
        return True
    except (DataError, KeyError):
        return False
