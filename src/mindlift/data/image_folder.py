"""A folder of class folders of images, the layout of ImageNet on disk."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
from PIL import Image

from mindlift.data import layout
from mindlift.errors import DataError

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"
WEBP = b"WEBP"  # at byte 8, behind RIFF and the length
TAIL_BYTES = 1024
ORIENTATION, UPRIGHT = 0x0112, 1  # the EXIF tag and its value for "as stored"


def scan(path: Path, num_classes: int, allow_unused: bool) -> tuple[list[str], np.ndarray]:
    """Files in sorted order and their labels (N,) int32; the class is the rank of its folder's name.

    Raises DataError for a missing or empty folder, and for another number of class folders than
    `num_classes` (fewer are accepted with `allow_unused`).
    """
    classes = layout.class_folders(path, num_classes, allow_unused)
    files: list[str] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        found = sorted(
            os.path.join(folder, file)
            for folder, _, names in os.walk(path / name)
            for file in names
            if file.lower().endswith(SUFFIXES)
        )
        files += found
        labels += [label] * len(found)
    if not files:
        raise DataError(f"no images ({', '.join(SUFFIXES)}) in the {len(classes)} class folders of {path}")
    return files, np.array(labels, np.int32)


def read_bytes(file: str) -> bytes:
    """The encoded image, of WebP as PNG, because MindSpore's decoder has no WebP.

    Raises DataError that names the file if it is empty or its end is missing.
    """
    try:
        data = Path(file).read_bytes()
    except OSError as err:
        raise DataError(f"can't read image {file}: {err.strerror}") from err
    cut = data[:2] == JPEG_START and JPEG_END not in data[-TAIL_BYTES:]
    if not data or cut:
        decode(data, file)
    return as_png(decode(data, file)) if data[8:12] == WEBP else data


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
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as err:
        raise DataError(
            f"corrupt image {file}: {err}; remove or replace it, or pass --skip_corrupt true"
        ) from err


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
    except (OSError, SyntaxError, ValueError):  # no image, which decode tells, or damaged EXIF data
        return False
