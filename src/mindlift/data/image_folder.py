"""A folder of class folders of images, the layout of ImageNet on disk."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from mindlift import json_text
from mindlift.data import layout, slow_disk, strings
from mindlift.data.strings import StringArray
from mindlift.errors import DataError
from mindlift.model_utils import image_files
from mindlift.model_utils.staging.shared_arrays import Arrays, Share, alone
from mindlift.model_utils.streaming import arrivals

JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"
AS_THEY_ARE = (JPEG_START, b"\x89PNG", b"BM")  # how files begin that MindSpore decodes as Pillow does
TAIL_BYTES = 1024
FOLDER_S = 0.02  # to list a folder of ImageNet's, which takes a disk of this machine 2 ms
ORIENTATION, UPRIGHT = 0x0112, 1  # the EXIF tag and its value for "as stored"


class Scan(NamedTuple):
    """Files in sorted order, their labels (N,) int32, and the classes that these number; `note` says what was left out."""

    files: StringArray
    labels: np.ndarray
    classes: list[str]
    note: str


def scan(
    path: Path,
    num_classes: int,
    allow_unused: bool,
    known: Sequence[str] = (),
    may_be_empty: bool = False,
    share: Share = alone,
) -> Scan:
    """The images of class folders: labels number the `known` classes of the training, else the folders here by name.

    Raises DataError for a missing or empty folder, a class without images unless it may be empty, a class that is not
    known, and without known ones for another number of class folders than `num_classes` (see layout.class_folders).
    """
    found = share(
        f"list the images of {path}",
        lambda: as_arrays(scanned(path, num_classes, allow_unused, known, may_be_empty)),
    )
    facts = json_text.parse(found["facts"].tobytes())
    files = StringArray(found["letters"], found["ends"], facts["before"])
    return Scan(files, found["labels"], facts["classes"], facts["note"])


def as_arrays(found: Scan) -> Arrays:
    """A scan as ranks share it."""
    facts = json.dumps({"before": found.files.before, "classes": found.classes, "note": found.note})
    return {
        "letters": found.files.letters,
        "ends": found.files.ends,
        "labels": found.labels,
        "facts": np.frombuffer(facts.encode(), np.uint8),
    }


def scanned(
    path: Path, num_classes: int, allow_unused: bool, known: Sequence[str], may_be_empty: bool
) -> Scan:
    """See `scan`."""
    classes = layout.class_folders(path, num_classes, allow_unused, known)
    numbers = {name: number for number, name in enumerate(known or classes)}
    files, before = strings.Builder(), str(path / "_")[:-1]
    counts: list[int] = []
    left_out: Counter[str] = Counter()
    for found in slow_disk.answers(arrivals.images, (path / name for name in classes), FOLDER_S, trial=4):
        left_out += found.left_out
        files.extend(file[len(before) :] for file in found.files)
        counts.append(len(found.files))
    empty = [name for name, count in zip(classes, counts) if not count]
    note = image_files.line(path, left_out)
    if len(empty) == len(classes):
        raise DataError(
            f"no images ({', '.join(image_files.SUFFIXES)}) in the {len(classes)} class folders of {path}"
            + (f"; {note}" if note else "")
        )
    if empty and not may_be_empty:
        raise DataError(
            f"no images of class {layout.some(empty)} in {path}; add or convert them, or remove the folder"
            + (f"; {note}" if note else "")
        )
    note = image_files.line(path, left_out, empty)
    labels = np.repeat(np.array([numbers[name] for name in classes], np.int32), counts)
    return Scan(files.built(before), labels, list(known or classes), note)


def read_bytes(file: str) -> bytes:
    """The encoded image, as PNG unless it begins as JPEG, PNG or BMP do, because MindSpore's decoder knows only some
    formats, and of a GIF leaves a file in the working folder.

    Waits for a file that is still arriving. Raises DataError that names the file if it is empty or its end is missing.
    """
    try:
        data = arrivals.read_bytes(file)
    except OSError as err:
        raise DataError(f"can't read image {file}: {err.strerror}") from err
    if has_end(data):
        return data
    if not data or data.startswith(JPEG_START):
        decode(data, file)
    return data if data.startswith(AS_THEY_ARE) else as_png(decode(data, file))


def has_end(data: bytes) -> bool:
    """Whether it is a JPEG whose end is there."""
    return data.startswith(JPEG_START) and data.find(JPEG_END, max(0, len(data) - TAIL_BYTES)) >= 0


def as_png(image: np.ndarray) -> bytes:
    """(H, W, 3) uint8, encoded without loss and quickly."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def decode(data: bytes, file: str) -> np.ndarray:
    """(H, W, 3) uint8. Raises DataError that names `file` if it is not a whole image."""
    try:
        with Image.open(io.BytesIO(data)) as picture:
            return as_rgb(picture)
    except Image.DecompressionBombError as err:
        raise DataError(
            f"image {file} is too large: {err}; make it smaller, or pass --skip_corrupt true"
        ) from err
    except (
        Exception
    ) as err:  # Pillow's decoders raise a dozen classes, struct.error and IndexError among them
        raise DataError(
            f"corrupt image {file}: {reason(data, err)}; remove or replace it, or pass --skip_corrupt true"
        ) from err


def reason(data: bytes, err: Exception) -> str:
    """Why Pillow makes no image of `data`; its own words for an unknown format show an object's address in memory."""
    if not data:
        return "the file is empty"
    return "not an image of a known format" if isinstance(err, UnidentifiedImageError) else str(err)


def as_rgb(picture: Image.Image) -> np.ndarray:
    """(H, W, 3) uint8 of the first frame, the same as MindSpore's decoder gives.

    Alpha is dropped, grey is repeated, of 16 bits the upper 8 count (Pillow would turn nearly all to white), CMYK is
    converted without colour profile, and an EXIF rotation is not applied.
    """
    if picture.mode == "I" or picture.mode.startswith("I;16"):
        grey = (np.asarray(picture).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)
        return np.repeat(grey[..., None], 3, 2)
    return np.asarray(picture.convert("RGB"))


def is_rotated(data: bytes) -> bool:
    """Whether the EXIF data say that the image has to be rotated or mirrored to be upright."""
    try:
        with Image.open(io.BytesIO(data)) as picture:
            return picture.getexif().get(ORIENTATION, UPRIGHT) != UPRIGHT
    except Exception:  # no image, which decode tells, or damaged EXIF data
        return False
