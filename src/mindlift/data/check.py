"""Whether a data folder is what its options say, as far as names and sizes of files show it: fast, without numpy."""

from __future__ import annotations

from pathlib import Path

from mindlift.data import layout
from mindlift.data.mindrecord import index, pairs
from mindlift.data.segmentation import lists
from mindlift.errors import DataError


def folder(
    dataset: str,
    path: Path,
    train: bool,
    num_classes: int,
    allow_unused: bool,
    data_format: str = "files",
    data_lst: str = "",
    data_file: str = "",
) -> None:
    """Raise DataError for what can be seen without reading an image."""
    if dataset in layout.SEGMENTED:
        if train and data_file:
            pairs.shards_of(data_file, path)
        else:
            lists.check(path, train, data_lst)
        return
    if data_format == "mindrecord":
        index.check(dataset, path, train, num_classes, allow_unused)
        return
    if dataset == "imagenet":
        layout.class_folders(layout.split_folder(path, train), num_classes, allow_unused)
        return
    if layout.PIXELS[dataset] != "cifar10":  # what is wrong with its files, its load says
        if not path.is_dir():
            raise DataError(f"no such folder: {path}; --data_dir must hold the images of {dataset}")
        return
    for file in layout.batch_files(path, train):
        layout.check_size(file, file.stat().st_size)
