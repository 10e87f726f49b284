"""Pillow's resizing, transforming and grey values, of arrays (H, W, 3) uint8, bit for bit.

Pillow lets other threads run while it computes, but not while an image is copied into one of its own and out again, which
takes longer than the rest of an image's work in Python. So pixels.cpp does the same on the arrays, where it could be compiled
and computes what the installed Pillow does; elsewhere Pillow does it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from mindlift.data.kernels import KERNELS, Window

BLACK = (0, 0, 0)
NEAREST, BILINEAR, BICUBIC = Image.Resampling.NEAREST, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC


def resized(image: np.ndarray, size: tuple[int, int], way: int, window: Window | None = None) -> np.ndarray:
    """Image.resize to `size` (height, width), or a `window` of that; `way` is bilinear or bicubic."""
    compiled = KERNELS.get()
    if compiled is not None:
        return compiled.resampled(image, size, way == BICUBIC, window)
    found = resized_by_pillow(image, size, way)
    return found if window is None else window.of(found)


def affine(
    image: np.ndarray, matrix: Sequence[float], way: int = NEAREST, fill: tuple[int, int, int] = BLACK
) -> np.ndarray:
    """Image.transform by `matrix` (6,), from new places to old ones, to an image as large with `fill` beside it."""
    compiled = KERNELS.get()
    found = None if compiled is None else compiled.transformed(image, matrix, way, fill)
    return by_pillow(image, matrix, way, fill) if found is None else found


def rotated(
    image: np.ndarray, degrees: float, way: int = NEAREST, fill: tuple[int, int, int] = BLACK
) -> np.ndarray:
    """Image.rotate, counter-clockwise around the middle."""
    if not degrees % 90:
        return np.asarray(Image.fromarray(image).rotate(degrees, Image.Resampling(way), fillcolor=fill))
    height, width = image.shape[:2]
    angle, (y, x) = -math.radians(degrees % 360.0), (height / 2.0, width / 2.0)
    cosine, sine, back = (round(value, 15) for value in (math.cos(angle), math.sin(angle), -math.sin(angle)))
    matrix = (cosine, sine, cosine * -x + sine * -y + x, back, cosine, back * -x + cosine * -y + y)
    return affine(image, matrix, way, fill)


def luma(image: np.ndarray) -> np.ndarray:
    """(H, W) uint8: mode L."""
    compiled = KERNELS.get()
    return luma_by_pillow(image) if compiled is None else compiled.grey(image)


def resized_by_pillow(image: np.ndarray, size: tuple[int, int], way: int) -> np.ndarray:
    return np.asarray(Image.fromarray(image).resize((size[1], size[0]), Image.Resampling(way)))


def by_pillow(image: np.ndarray, matrix: Sequence[float], way: int, fill: tuple[int, int, int]) -> np.ndarray:
    picture, method = Image.fromarray(image), Image.Resampling(way)
    return np.asarray(
        picture.transform(picture.size, Image.Transform.AFFINE, tuple(matrix), method, fillcolor=fill)
    )


def luma_by_pillow(image: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(image).convert("L"))
