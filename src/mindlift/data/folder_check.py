"""Whether a data folder has the form of its data set, before anything large is imported: by names and sizes of files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mindlift.data import layout
from mindlift.data.multilabel import labels
from mindlift.data.multilabel import rules as multilabel
from mindlift.errors import DataError
from mindlift.model_utils.config.frozen import Config
from mindlift.model_utils.streaming import arrivals


def check(cfg: Config, path: Path, train: bool, known: Sequence[str] = ()) -> None:
    """Raise DataError for what can be seen without reading an image.

    Classes to evaluate with are compared with those `known` from the training by name.
    """
    dataset = cfg.dataset
    if cfg.validation_split:
        check_split(cfg, path)
    if dataset in layout.SEGMENTED:
        from mindlift.data.mindrecord import pairs as seg_records
        from mindlift.data.segmentation import lists as seg_lists

        if train and cfg.data_file:
            seg_records.shards_of(cfg.data_file, path)
        else:
            seg_lists.check(path, train, cfg.data_lst, cfg.skip_corrupt)
        return
    if dataset == multilabel.NAME:
        check_labels(cfg, path, train, known)
        return
    if cfg.data_format == "mindrecord":
        from mindlift.data.mindrecord import index as record_index

        record_index.check(dataset, path, train, cfg.num_classes, cfg.allow_unused_classes, known)
        return
    if dataset == "imagenet":
        check_folders(cfg, path, train, known)
        return
    if layout.PIXELS[dataset] != "cifar10":  # what is wrong with its files, its load says
        if not path.is_dir():
            raise DataError(f"no such folder: {path}; --data_dir must hold the images of {dataset}")
        return
    files = layout.batch_files(path, train)
    for file in filter(Path.exists, files):  # others are still arriving, and are checked when they are read
        layout.check_size(file, file.stat().st_size)
    arrivals.ARRIVALS.ask(files)


def check_split(cfg: Config, path: Path) -> None:
    """DataError for images that none can be held out of, or need be."""
    if cfg.dataset not in layout.FILES or cfg.data_format != "files":
        raise DataError(
            f"--validation_split {cfg.validation_split:g} is for class folders of image files, not for --dataset"
            f" {cfg.dataset} --data_format {cfg.data_format}; leave it out"
        )
    if layout.split_folder(path, True) != path or cfg.eval_data_dir:
        other = cfg.eval_data_dir or layout.split_folder(path, False)
        raise DataError(
            f"--validation_split {cfg.validation_split:g}: the images to evaluate on are in {other} already; leave it out"
        )


def check_labels(cfg: Config, path: Path, train: bool, known: Sequence[str]) -> None:
    """The file of labels of the split, and of the one that a training evaluates."""
    folder = layout.split_folder(path, train)
    table = labels.read(labels.find(folder, cfg.labels))
    count = len(table.classes)
    if known:
        layout.check_known(str(table.file), table.classes, known)
    elif train:
        layout.check_classes(
            f"{table.file} has {count} classes", count, cfg.num_classes, cfg.allow_unused_classes
        )
    labels.matched(table, folder)
    evaluated = layout.split_folder(Path(cfg.eval_data_dir) if cfg.eval_data_dir else path, False)
    if train and cfg.evaluates and evaluated not in (path, folder) and evaluated.is_dir():
        check_labels(cfg, evaluated, False, table.classes)


def check_folders(cfg: Config, path: Path, train: bool, known: Sequence[str]) -> None:
    """The class folders of the split, and of the one that a training evaluates."""
    known = layout.known_classes(path, train, known)
    folder = layout.split_folder(path, train)
    classes = layout.class_folders(folder, cfg.num_classes, cfg.allow_unused_classes, known)
    if not train or not cfg.evaluates:
        return
    evaluated = layout.split_folder(Path(cfg.eval_data_dir) if cfg.eval_data_dir else path, False)
    if evaluated.is_dir():
        layout.class_folders(evaluated, cfg.num_classes, cfg.allow_unused_classes, classes)
