"""Images of a call from Python: paths as they are, and those from memory as files that hold the same pixels."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from os import PathLike, fspath
from pathlib import Path

import numpy as np
from PIL import Image as pillow

from mindlift.data import image_folder
from mindlift.errors import DataError
from mindlift.model_utils.named_images import Image

NAME = re.compile(r"image \d+")
TAKEN = "a path, a Pillow image, or an array (H, W, 3) or (H, W) of uint8"


def named(images: object, folder: Path, find: Callable[[Sequence[str]], list[Image]]) -> list[Image]:
    """All images in their order, those from memory written to `folder`; `find` gives those of paths and URLs."""
    is_one = isinstance(images, (str, PathLike, pillow.Image, np.ndarray))
    listed = [images] if is_one else list(images) if isinstance(images, Sequence) else None
    if listed is None:
        raise DataError(f"images are a {type(images).__name__}; expected {TAKEN}, or a list of these")
    if not listed:
        raise DataError("there are no images to look at; pass at least one")
    found: list[Image] = []
    for number, each in enumerate(listed):
        if isinstance(each, (str, PathLike)):
            found += find([str(fspath(each))])
        else:
            file = folder / f"{number}.png"
            file.write_bytes(image_folder.as_png(pixels(each, number)))
            found.append(Image(f"image {number}", file))
    return found


def pixels(image: object, number: int) -> np.ndarray:
    """(H, W, 3) uint8 as of a file with the same content; DataError for anything else."""
    if isinstance(image, pillow.Image):
        return image_folder.as_rgb(image)
    if not isinstance(image, np.ndarray):
        raise DataError(f"image {number} is a {type(image).__name__}; expected {TAKEN}")
    shape = image.shape
    if image.dtype != np.uint8 or 0 in shape or not (len(shape) == 2 or (len(shape) == 3 and shape[2] == 3)):
        raise DataError(f"image {number} is an array {shape} of {image.dtype}; expected {TAKEN}")
    return np.repeat(image[..., None], 3, 2) if image.ndim == 2 else np.ascontiguousarray(image)
