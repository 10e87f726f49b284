"""What a data folder must look like. File names and sizes only: needs neither numpy nor mindspore."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from mindlift.errors import DataError
from mindlift.model_utils import image_files
from mindlift.model_utils.streaming import arrivals

SIDE = 32
RECORD_BYTES = 1 + 3 * SIDE * SIDE
FILES = ("imagenet", "multilabel")  # data sets to classify with a file for each image
SEGMENTED = ("voc", "vocdigits")
PIXELS = {
    "digits": "cifar10",
    "cifar10": "cifar10",
}  # data sets that fit into memory, and the module here that loads each
TRAIN, EVALUATED = (
    "train",
    ("val", "valid", "validation", "test"),
)  # folders of splits, the first one there counts
CIFAR_FOLDER = "cifar-10-batches-bin"


def batch_files(path: Path, train: bool) -> list[Path]:
    """The files of one split of CIFAR-10's binary version, in `path` itself or in its usual folder there."""
    if not path.is_dir():
        raise DataError(f"no such folder: {path}; --data_dir must hold {CIFAR_FOLDER} or its *.bin files")
    folder = path / CIFAR_FOLDER if (path / CIFAR_FOLDER).is_dir() else path
    if not arrivals.matching(folder, "*.bin"):
        raise DataError(
            f"no *.bin files in {folder}; need the binary version of CIFAR-10 (data_batch_*.bin, test_batch.bin)"
        )
    pattern = "data_batch_*.bin" if train else "test_batch.bin"
    files = arrivals.matching(folder, pattern)
    if not files:
        raise DataError(f"no {pattern} in {folder}; it is needed to {'train' if train else 'evaluate'}")
    return files


def check_size(file: Path, size: int) -> None:
    if size == 0 or size % RECORD_BYTES:
        raise DataError(
            f"{file}: {size} bytes is not a whole number of {RECORD_BYTES}-byte records; cut short? fetch it again"
        )


def split_folder(path: Path, train: bool) -> Path:
    """`path`/train, or `path`/val (valid, validation, test), where both are there, else `path` itself."""
    evaluated = next((path / name for name in EVALUATED if (path / name).is_dir()), None)
    if evaluated is None or not (path / TRAIN).is_dir():
        return path
    return path / TRAIN if train else evaluated


def class_names(path: Path) -> list[str]:
    """The sorted names of the class folders, which are there; hidden folders and those of desktops are none."""
    if not path.is_dir():
        raise DataError(f"no such folder: {path}; --data_dir must hold one folder of images per class")
    classes = sorted(
        entry.name for entry in os.scandir(path) if entry.is_dir() and image_files.is_data(entry.name)
    )
    if not classes:
        raise DataError(f"no class folders in {path}; expected {path}/<class>/<image>.jpg")
    if classes == [TRAIN]:
        raise DataError(
            f"{path} has only the folder {TRAIN}; pass {path / TRAIN} itself, or put {' or '.join(EVALUATED)} beside it"
        )
    return classes


def class_folders(path: Path, num_classes: int, allow_unused: bool, known: Sequence[str] = ()) -> list[str]:
    """The sorted names of the class folders; DataError if they are not `num_classes`.

    Where the names of the training are `known`, each folder must be one of them, and some may lack.
    """
    classes = class_names(path)
    if known:
        check_known(str(path), classes, known)
    else:
        check_classes(f"{path} has {len(classes)} class folders", len(classes), num_classes, allow_unused)
    return classes


def known_classes(path: Path, train: bool, given: Sequence[str]) -> Sequence[str]:
    """The names that label the evaluation's images: `given` ones, else those of the train folder beside them."""
    trained = split_folder(path, True)
    if given or train or trained == path:
        return given
    return class_names(trained)


def check_known(where: str, found: Sequence[str], known: Sequence[str]) -> None:
    """DataError that names the classes of `found` that are not `known` from the training."""
    unknown = sorted(set(found) - set(known))
    if not unknown:
        return
    lacking = sorted(set(known) - set(found))
    also = f", and lacks {some(lacking)}" if lacking else ""
    raise DataError(
        f"{where} has classes that the training does not know: {some(unknown)}{also}; classes are matched by name,"
        f" and it was trained with {some(known)}: rename the folders, or leave the unknown ones out"
    )


def check_same(found: Sequence[str], known: Sequence[str], run: object) -> None:
    """DataError if a training does not go on with the classes that it began with."""
    if list(found) == list(known):
        return
    gone, new = sorted(set(known) - set(found)), sorted(set(found) - set(known))
    raise DataError(
        f"{run} was trained with other classes: now {some(gone) or 'none'} is missing and {some(new) or 'none'} is new;"
        " rename the folders back, or start a new training with --resume none"
    )


def some(names: Sequence[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def check_classes(found: str, count: int, num_classes: int, allow_unused: bool) -> None:
    """DataError, beginning with `found`, if data of `count` classes does not fit `num_classes`."""
    if count > num_classes:
        raise DataError(f"{found}, but num_classes is {num_classes}; pass --num_classes {count}")
    if count < num_classes and not allow_unused:
        raise DataError(
            f"{found}, but num_classes is {num_classes}; pass --num_classes {count},"
            " or --allow_unused_classes true if the other classes are meant to stay empty"
        )
