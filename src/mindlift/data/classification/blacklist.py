"""ImageNet's blacklist: validation images that its authors ask not to count (ILSVRC2014 development kit).

The file has one number per line, of the image ILSVRC2012_val_<number with 8 digits>.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mindlift.errors import DataError

IMAGENET, LISTED = 50_000, 1_762
NUMBER = re.compile(r"_(\d{8})$")


def read(path: Path, count: int) -> frozenset[int]:
    """The numbers in a blacklist for `count` images. DataError for what is no such list, and for ImageNet's 50,000
    images one of another length than 1,762.
    """
    try:
        words = path.read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError) as err:
        raise DataError(
            f"can't read blacklist {path}: {getattr(err, 'strerror', None) or 'no text'}"
        ) from err
    bad = next((word for word in words if not word.isdigit() or not 1 <= int(word) <= IMAGENET), None)
    if bad is not None:
        raise DataError(f"blacklist {path}: {bad!r} is no image number from 1 to {IMAGENET}")
    found = frozenset(map(int, words))
    if len(found) != len(words):
        raise DataError(f"blacklist {path}: {len(words) - len(found)} numbers are there twice")
    if not found or (count == IMAGENET and len(found) != LISTED):
        raise DataError(f"blacklist {path}: {len(found)} numbers, but ImageNet's has {LISTED}")
    return found


def counted(path: Path, files: Sequence[str] | None, count: int) -> np.ndarray:
    """(count,) bool: which images count. DataError if the images have no numbers, or none of them is listed."""
    numbers = read(path, count)
    if files is None:
        raise DataError("--blacklist needs image files with ImageNet's names; this data set has none")
    own = [number_of(file) for file in files]
    listed = np.array([number in numbers for number in own])
    if not listed.any() or (count == IMAGENET and listed.sum() != LISTED):
        raise DataError(
            f"blacklist {path}: {listed.sum()} of its {len(numbers)} images are among the {count} here"
        )
    return ~listed


def number_of(file: str) -> int:
    match = NUMBER.search(Path(file).stem)
    if match is None:
        raise DataError(
            f"--blacklist: {file} has no number in its name; expected ILSVRC2012_val_00000001.JPEG and so on"
        )
    return int(match[1])
