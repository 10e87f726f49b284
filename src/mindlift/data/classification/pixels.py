"""Sizes and values of images to classify: resizing as each kind of data has it, and writing them into a batch."""

from __future__ import annotations

import math

import cv2
import numpy as np

from mindlift.data import pillow
from mindlift.data.classification.options import ClassificationOptions, statistics
from mindlift.data.kernels import KERNELS, Window

METHODS = {"bilinear": pillow.BILINEAR, "bicubic": pillow.BICUBIC}


def fit(
    image: np.ndarray, size: tuple[int, int], interpolation: str, window: Window | None = None
) -> np.ndarray:
    """(H, W, 3) uint8 resized to `size` (height, width), or a `window` of that, as Pillow does it, with antialiasing."""
    if image.shape[:2] == size:
        return image if window is None else window.of(image)
    return pillow.resized(image, size, METHODS[interpolation], window)


def resized(
    image: np.ndarray, size: tuple[int, int], interpolation: str, window: Window | None = None
) -> np.ndarray:
    """The same of an image from a file: bicubic is Pillow's, bilinear is OpenCV's INTER_LINEAR.

    The latter, which is MindSpore's as well, does not average what it reduces, as Pillow's does. Photographs of 427 x 640
    brought to 256 x 256 differ by 1 to 5 grey values on average, enlarged ones by at most one. It stays, because
    published figures were measured with it.
    """
    if interpolation == "bicubic":
        return fit(image, size, interpolation, window)
    found = cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    return found if window is None else window.of(found)


def eval_resize(options: ClassificationOptions, height: int, width: int) -> tuple[int, int]:
    """What an image is resized to before its centre is cropped: the square eval_resize, or by crop_pct with the aspect kept.

    crop_pct is the rule of timm (data/transforms_factory.py, crop_mode "center"): the shorter side becomes
    floor(image_size / crop_pct); with a non-square image_size each side is divided so, and the image becomes
    the smallest that covers both. timm resizes with Pillow, so that only bicubic gives its pixels: see `resized`.
    """
    if options.crop_pct is None:
        return options.eval_resize, options.eval_resize
    least = least_size(options)
    if least[0] == least[1]:
        short = least[0]
        return (short, short * width // height) if height < width else (short * height // width, short)
    scale = max(least[0] / height, least[1] / width)
    return round(height * scale), round(width * scale)


def least_size(options: ClassificationOptions) -> tuple[int, int]:
    """The (height, width) that crop_pct asks an image to cover."""
    assert options.crop_pct is not None
    height, width = (math.floor(side / options.crop_pct) for side in options.eval_size)
    return height, width


def centre(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The middle of `image` in `size` (height, width); black where it is smaller."""
    missing = [max(0, want - have) for have, want in zip(image.shape, size)]
    if any(missing):
        (down, right), black = missing, cv2.BORDER_CONSTANT
        image = cv2.copyMakeBorder(image, -(-down // 2), down // 2, -(-right // 2), right // 2, black)
    top, left = ((have - want) // 2 for have, want in zip(image.shape, size))
    return image[top : top + size[0], left : left + size[1]]


class Writer:
    """Puts images of one `size` (height, width) into the rows of a batch, as the network or its graph takes them."""

    def __init__(self, options: ClassificationOptions, size: tuple[int, int]):
        self.as_pixels, self.size = options.as_pixels, size
        mean, std = (np.array(values, np.float32)[:, None] for values in statistics(options))
        self.table = (np.arange(256, dtype=np.float32) - mean) / std  # in MindSpore's precision

    def empty(self, rows: int) -> np.ndarray:
        """(rows, 3, H, W) float32, or with options.as_pixels (rows, H, W, 3) uint8."""
        if self.as_pixels:
            return np.empty((rows, *self.size, 3), np.uint8)
        return np.empty((rows, 3, *self.size), np.float32)

    def write(self, image: np.ndarray, row: np.ndarray) -> None:
        """(H, W, 3) uint8 into a row of `empty`."""
        if self.as_pixels:
            row[:] = image
            return
        compiled = KERNELS.get()
        if compiled is not None:
            compiled.write_planes(image, self.table, row)
            return
        for channel, values, plane in zip(cv2.split(image), self.table, row):
            cv2.LUT(channel, values, dst=plane)
