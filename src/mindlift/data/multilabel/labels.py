"""The labels of images that may have several each: a CSV or JSON file beside the images. Needs neither numpy nor mindspore.

image,cat,dog          image,labels               {"1.jpg": ["cat", "dog"],
1.jpg,1,1              1.jpg,cat;dog               "2.jpg": []}
2.jpg,0,0              2.jpg,
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from unicodedata import category

from mindlift import json_text
from mindlift.data import layout
from mindlift.errors import DataError
from mindlift.files import expanded
from mindlift.model_utils import image_files
from mindlift.model_utils.streaming import arrivals

USUAL = ("labels.csv", "labels.json")
DELIMITERS = (",", ";", "\t")  # of columns, the first that the header has
SEPARATORS = (";", "|", ",")  # of labels in a cell, the first that any cell has; else blanks
CELLS = {"0": False, "1": True, "0.0": False, "1.0": True}
FORMS = (
    "a CSV file with a header and lines `1.jpg,1,0` (a column for each label) or `1.jpg,cat;dog`, or JSON such as"
    ' {"1.jpg": ["cat", "dog"]}'
)


class Table(NamedTuple):
    """What a file says: the labels of each image by its name in the file, and all labels: in the order of the columns, else
    sorted.
    """

    file: Path
    images: dict[str, tuple[str, ...]]
    classes: list[str]


def find(folder: Path, wanted: str = "") -> Path:
    """The file of labels for the images in `folder`: `wanted`, from there or else from the working folder; or labels.csv or
    labels.json. DataError if there is none.
    """
    if not folder.is_dir():
        raise DataError(f"no such folder: {folder}; --data_dir must hold images and {' or '.join(USUAL)}")
    wanted = expanded(wanted)
    places = [folder / wanted, Path(wanted)] if wanted else [folder / name for name in USUAL]
    found = next((path for path in places if arrivals.is_file(path)), None)
    if found is None and wanted:
        raise DataError(f"--labels {wanted}: there is no such file in {folder}, nor from the working folder")
    if found is None:
        raise DataError(
            f"{folder} has neither {USUAL[0]} nor {USUAL[1]}; name the file of labels with --labels"
        )
    return found


def read(path: Path) -> Table:
    """DataError that names the file, and the line, for anything else than one of the FORMS. Waits for a file that is still
    arriving.
    """
    try:
        arrivals.await_file(str(path))
        text = path.read_text(encoding="utf-8-sig")
    except OSError as err:
        raise DataError(f"can't read {path}: {err.strerror}") from err
    except UnicodeDecodeError as err:
        raise DataError(f"{path} is not UTF-8 text (byte {err.start}); save it as CSV UTF-8") from err
    found = of_json(path, text) if path.suffix.lower() == ".json" else of_csv(path, text)
    odd = next((name for name in (*found.classes, *found.images) if any(map(is_control, name))), None)
    if odd is not None:
        raise DataError(f"{path}: {odd!r} has a control character in it; take that out")
    if not found.images or not found.classes:
        missing = "labels" if found.images else "images"
        raise DataError(f"{path} has no {missing}; expected {FORMS}")
    return found


def is_control(letter: str) -> bool:
    return category(letter) == "Cc"


def of_json(path: Path, text: str) -> Table:
    try:
        found = json_text.parse(text, unique=True)
    except ValueError as err:
        raise DataError(f"{path}: {err}; expected {FORMS}") from err
    if not isinstance(found, dict):
        raise DataError(f"{path} holds a {type(found).__name__}; expected {FORMS}")
    images: dict[str, tuple[str, ...]] = {}
    for name, labels in found.items():
        if not isinstance(labels, list) or not all(isinstance(each, str) and each.strip() for each in labels):
            raise DataError(f"{path}: {name} has {labels!r}, which is no list of labels; expected {FORMS}")
        add(path, images, name, [each.strip() for each in labels], "")
    return Table(path, images, sorted({each for labels in images.values() for each in labels}))


def of_csv(path: Path, text: str) -> Table:
    first = text.split("\n", 1)[0]
    delimiter = next((each for each in DELIMITERS if each in first), ",")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    lines: list[tuple[int, list[str]]] = []
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                lines.append((reader.line_num, [cell.strip() for cell in cells]))
    except csv.Error as err:
        raise DataError(f"{path}:{reader.line_num}: {err}; expected {FORMS}") from err
    if not lines:
        return Table(path, {}, [])
    header, rows = lines[0][1], lines[1:]
    if image_files.is_image(header[0]):
        raise DataError(f"{path}: the first line names an image, {header[0]}; put a header above it: {FORMS}")
    for number, cells in rows:
        if len(cells) != len(header) or len(cells) < 2:
            raise DataError(
                f"{path}:{number}: {len(cells)} columns, but the header has {len(header)}; expected {FORMS}"
            )
    has_columns = len(header) > 2 or all(cells[1] in CELLS for _, cells in rows)
    return by_columns(path, header[1:], rows) if has_columns else by_words(path, rows)


def by_columns(path: Path, classes: list[str], rows: Sequence[tuple[int, list[str]]]) -> Table:
    twice = next((name for name in classes if classes.count(name) > 1 or not name), None)
    if twice is not None:
        raise DataError(
            f"{path}: the header has the column {twice!r} twice" if twice else f"{path}: a column has no name"
        )
    images: dict[str, tuple[str, ...]] = {}
    for number, cells in rows:
        odd = next(((name, cell) for name, cell in zip(classes, cells[1:]) if cell not in CELLS), None)
        if odd is not None:
            raise DataError(f"{path}:{number}: {odd[1]!r} in the column {odd[0]} is neither 0 nor 1")
        there = [name for name, cell in zip(classes, cells[1:]) if CELLS[cell]]
        add(path, images, cells[0], there, f":{number}")
    return Table(path, images, classes)


def by_words(path: Path, rows: Sequence[tuple[int, list[str]]]) -> Table:
    separator = next((each for each in SEPARATORS if any(each in cells[1] for _, cells in rows)), None)
    images: dict[str, tuple[str, ...]] = {}
    for number, cells in rows:
        words = [word.strip() for word in cells[1].split(separator)]
        add(path, images, cells[0], [word for word in words if word], f":{number}")
    return Table(path, images, sorted({each for labels in images.values() for each in labels}))


def add(path: Path, images: dict[str, tuple[str, ...]], name: str, labels: Sequence[str], at: str) -> None:
    """DataError for an image that is there already."""
    name = name.replace("\\", "/")
    name = name[2:] if name.startswith("./") else name
    if name in images:
        raise DataError(f"{path}{at}: {name} is there twice; keep one line for each image")
    images[name] = tuple(dict.fromkeys(labels))


class Matched(NamedTuple):
    """The images of a folder that have labels: relative names, sorted, and the labels of each; `unlisted` images have no line."""

    names: list[str]
    labels: list[tuple[str, ...]]
    unlisted: int


def matched(table: Table, folder: Path) -> Matched:
    """DataError for a line whose image is not in `folder`. A name without a suffix is that of the only image called so."""
    before = str(folder / "_")[:-1]
    there = [file[len(before) :] for file in arrivals.images(folder).files]
    by_stem: dict[str, list[str]] = {}
    for name in there:
        by_stem.setdefault(name.rpartition(".")[0], []).append(name)
    known, found, missing = set(there), {}, []
    for name, labels in table.images.items():
        file = name if name in known else by_stem[name][0] if len(by_stem.get(name, ())) == 1 else ""
        if not file:
            missing.append(name)
        elif file in found:
            raise DataError(f"{table.file}: {file} is there twice; keep one line for each image")
        else:
            found[file] = labels
    if missing:
        raise DataError(
            f"{table.file} names images that are not in {folder}: {layout.some(missing)}; names are relative to that"
            " folder: add the images, or take their lines out"
        )
    names = sorted(found)
    return Matched(names, [found[name] for name in names], len(there) - len(names))
