"""What a data folder must look like. File names and sizes only: needs neither numpy nor mindspore."""

from __future__ import annotations

import os
from pathlib import Path

from mindlift.errors import DataError

SIDE = 32
RECORD_BYTES = 1 + 3 * SIDE * SIDE
SEGMENTED = ("voc", "vocdigits")
PIXELS = {
    "digits": "cifar10",
    "cifar10": "cifar10",
}  # data sets that fit into memory, and the module here that loads each
CIFAR_FOLDER = "cifar-10-batches-bin"


def batch_files(path: Path, train: bool) -> list[Path]:
    """The files of one split of CIFAR-10's binary version, in `path` itself or in its usual folder there."""
    if not path.is_dir():
        raise DataError(f"no such folder: {path}; --data_dir must hold {CIFAR_FOLDER} or its *.bin files")
    folder = path / CIFAR_FOLDER if (path / CIFAR_FOLDER).is_dir() else path
    if not list(folder.glob("*.bin")):
        raise DataError(
            f"no *.bin files in {folder}; need the binary version of CIFAR-10 (data_batch_*.bin, test_batch.bin)"
        )
    pattern = "data_batch_*.bin" if train else "test_batch.bin"
    files = sorted(folder.glob(pattern))
    if not files:
        raise DataError(f"no {pattern} in {folder}; it is needed to {'train' if train else 'evaluate'}")
    return files


def check_size(file: Path, size: int) -> None:
    if size == 0 or size % RECORD_BYTES:
        raise DataError(
            f"{file}: {size} bytes is not a whole number of {RECORD_BYTES}-byte records; cut short? fetch it again"
        )


def split_folder(path: Path, train: bool) -> Path:
    """`path`/train or `path`/val where both are there, else `path` itself."""
    if (path / "train").is_dir() and (path / "val").is_dir():
        return path / ("train" if train else "val")
    return path


def class_folders(path: Path, num_classes: int, allow_unused: bool) -> list[str]:
    """The sorted names of the class folders; DataError if they are not `num_classes`."""
    if not path.is_dir():
        raise DataError(f"no such folder: {path}; --data_dir must hold one folder of images per class")
    classes = sorted(
        entry.name for entry in os.scandir(path) if entry.is_dir() and not entry.name.startswith(".")
    )
    if not classes:
        raise DataError(f"no class folders in {path}; expected {path}/<class>/<image>.jpg")
    found = f"{path} has {len(classes)} class folders"
    check_classes(found, len(classes), num_classes, allow_unused)
    return classes


def check_classes(found: str, count: int, num_classes: int, allow_unused: bool) -> None:
    """DataError, beginning with `found`, if data of `count` classes does not fit `num_classes`."""
    if count > num_classes:
        raise DataError(f"{found}, but num_classes is {num_classes}; pass --num_classes {count}")
    if count < num_classes and not allow_unused:
        raise DataError(
            f"{found}, but num_classes is {num_classes}; pass --num_classes {count},"
            " or --allow_unused_classes true if the other classes are meant to stay empty"
        )
