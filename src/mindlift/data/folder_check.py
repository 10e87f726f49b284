"""Whether a data folder has the form of its data set, before anything large is imported: by names and sizes of files."""

from __future__ import annotations

from pathlib import Path

from mindlift.data import layout
from mindlift.errors import DataError
from mindlift.model_utils.config.config import Config


def check(cfg: Config, path: Path, train: bool) -> None:
    """Raise DataError for what can be seen without reading an image."""
    dataset = cfg.dataset
    if dataset in layout.SEGMENTED:
        from mindlift.data.mindrecord import pairs as seg_records
        from mindlift.data.segmentation import lists as seg_lists

        if train and cfg.data_file:
            seg_records.shards_of(cfg.data_file, path)
        else:
            seg_lists.check(path, train, cfg.data_lst)
        return
    if cfg.data_format == "mindrecord":
        from mindlift.data.mindrecord import index as record_index

        record_index.check(dataset, path, train, cfg.num_classes, cfg.allow_unused_classes)
        return
    if dataset == "imagenet":
        layout.class_folders(layout.split_folder(path, train), cfg.num_classes, cfg.allow_unused_classes)
        return
    if layout.PIXELS[dataset] != "cifar10":  # what is wrong with its files, its load says
        if not path.is_dir():
            raise DataError(f"no such folder: {path}; --data_dir must hold the images of {dataset}")
        return
    for file in layout.batch_files(path, train):
        layout.check_size(file, file.stat().st_size)
