"""Names of classes, from a file of the user's, from a data folder, or of a well-known data set."""

from __future__ import annotations

from pathlib import Path

from mindlift import json_text
from mindlift.data import layout
from mindlift.data.segmentation import voc
from mindlift.errors import DataError

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
WELL_KNOWN = {"digits": DIGITS, "cifar10": CIFAR10, "voc": voc.CLASSES, "vocdigits": voc.DIGITS}
FORMS = 'one name per line, JSON such as {"0": "tench"} or ["tench", ...], or a folder of class folders'


def load(path: Path, num_classes: int, allow_unused: bool) -> list[str]:
    """`num_classes` names from a text file, a JSON file or a data folder.

    JSON is a list of names or a mapping from the class's number to its name, or to [id, name] as in Keras'
    imagenet_class_index.json. With `allow_unused`, names may be missing. DataError for anything else.
    """
    if path.is_dir():
        found = dict(
            enumerate(layout.class_folders(layout.split_folder(path, True), num_classes, allow_unused))
        )
    else:
        found = parsed(path)
    over = sorted(number for number in found if number >= num_classes)
    missing = sorted(set(range(num_classes)) - set(found))
    if over or (missing and not allow_unused):
        wrong = f"names class {over[0]}" if over else f"does not name class {missing[0]}"
        raise DataError(
            f"--class_names {path} {wrong}, but the network has {num_classes} classes (0 - {num_classes - 1})"
            + ("" if over else "; --allow_unused_classes true accepts that")
        )
    return [found.get(number) or f"class {number}" for number in range(num_classes)]


def parsed(path: Path) -> dict[int, str]:
    """Number -> name as a file says."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() == ".json":
            return of_json(json_text.parse(text))
    except OSError as err:
        raise DataError(f"--class_names {path}: {err.strerror}") from err
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as err:
        raise DataError(f"--class_names {path}: {err}; expected {FORMS}") from err
    return dict(enumerate(line.strip() for line in text.rstrip().splitlines()))


def of_json(found: object) -> dict[int, str]:
    if not isinstance(found, (list, dict)):
        raise ValueError(f"{type(found).__name__} found")
    entries = enumerate(found) if isinstance(found, list) else found.items()
    return {int(number): name_of(entry) for number, entry in entries}


def name_of(entry: object) -> str:
    """A name, or the second part of [id, name]."""
    name = entry[1] if isinstance(entry, list) else entry
    if not isinstance(name, str):
        raise ValueError(f"{name!r} is not a name")
    return name


def of_training(dataset: str, folder: Path | None, num_classes: int) -> list[str] | None:
    """The names of a well-known data set, or of the class folders trained with if they are still there."""
    known = WELL_KNOWN.get(dataset, ())
    if len(known) == num_classes:
        return list(known)
    if dataset != "imagenet" or folder is None or not folder.is_dir():
        return None
    try:
        return layout.class_folders(layout.split_folder(folder, True), num_classes, False)
    except DataError:  # another data set by now
        return None


def of_samples(classes: list[str], dataset: str, num_classes: int) -> list[str]:
    """The names of opened samples, `class 7` for classes without images, else those of a well-known data set."""
    if classes:
        return [*classes, *numbered(num_classes)[len(classes) :]]
    return of_training(dataset, None, num_classes) or numbered(num_classes)


def numbered(num_classes: int) -> list[str]:
    return [f"class {number}" for number in range(num_classes)]
