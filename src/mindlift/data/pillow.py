"""Pillow's resizing, transforming and grey values, of arrays (H, W, 3) uint8, bit for bit.

Pillow lets other threads run while it computes, but not while an image is copied into one of its own and out again, which
takes longer than the rest of an image's work in Python. So pixels.cpp does the same on the arrays, where it could be compiled
and computes what the installed Pillow does; elsewhere Pillow does it.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from mindlift.errors import StorageError
from mindlift.forks import Shared
from mindlift.model_utils import compiler
from mindlift.model_utils.compiler import NotCompiled

SOURCE = Path(__file__).with_name("pixels.cpp")
EXACT = "-ffp-contract=off"  # products and sums are rounded one by one, as Pillow's are
BLACK = (0, 0, 0)
NEAREST, BILINEAR, BICUBIC = Image.Resampling.NEAREST, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC
POINTER, SIZE, INT = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int
ARGUMENTS = {  # of the functions of pixels.cpp
    "resample": [POINTER, SIZE, *[INT] * 9, POINTER],
    "transform": [POINTER, SIZE, INT, INT, POINTER, INT, POINTER, POINTER],
    "luma": [POINTER, SIZE, INT, INT, POINTER],
}


class Window(NamedTuple):
    """A part of a resized image: its first row and column, and its size."""

    top: int
    left: int
    height: int
    width: int

    def of(self, image: np.ndarray) -> np.ndarray:
        return image[self.top : self.top + self.height, self.left : self.left + self.width]


class Kernels(Shared):
    """The compiled functions, which are made when they are first needed: most trainings need none."""

    def __init__(self) -> None:
        super().__init__()
        self.folder: Path | None = None
        self.say: Callable[[NotCompiled | StorageError], None] = lambda why: None
        self.library: ctypes.CDLL | None = None

    def use(self, folder: Path, say: Callable[[NotCompiled | StorageError], None]) -> None:
        """Compile below `folder`; `say` is told, once, why there is no library."""
        with self.lock:
            self.folder, self.say = folder, say

    def get(self) -> ctypes.CDLL | None:
        if self.folder is not None:
            with self.lock:
                if self.folder is not None:
                    self.library, self.folder = self.made(self.folder), None
        return self.library

    def made(self, folder: Path) -> ctypes.CDLL | None:
        try:
            return load(compiler.library(folder, "pixels", [SOURCE], [EXACT]))
        except (NotCompiled, StorageError) as why:
            self.say(why)
            return None


KERNELS = Kernels()


def load(path: Path) -> ctypes.CDLL:
    """NotCompiled unless the library loads here and computes what Pillow does."""
    try:
        library = ctypes.CDLL(str(path))
        for name, arguments in ARGUMENTS.items():
            getattr(library, name).argtypes = arguments
    except (OSError, AttributeError) as err:
        raise NotCompiled(f"{path} does not load: {err}") from err
    image = np.random.default_rng(0).integers(0, 256, (29, 41, 3), np.uint8)
    matrix = (1.02, 0.3, -2.0, -0.2, 0.9, 1.5)
    pairs = [
        *(
            (transformed(library, image, matrix, way, BLACK), by_pillow(image, matrix, way, BLACK))
            for way in (0, 2, 3)
        ),
        *(
            (resampled(library, image, (37, 19), way), resized_by_pillow(image, (37, 19), way))
            for way in (2, 3)
        ),
        (grey(library, image), luma_by_pillow(image)),
    ]
    if not all(np.array_equal(one, other) for one, other in pairs):
        raise NotCompiled(f"{path} computes other pixels than Pillow {Image.__version__}")  # type: ignore[attr-defined]
    return library


# --- for users


def resized(image: np.ndarray, size: tuple[int, int], way: int, window: Window | None = None) -> np.ndarray:
    """Image.resize to `size` (height, width), or a `window` of that; `way` is bilinear or bicubic."""
    library = KERNELS.get()
    if library is not None:
        return resampled(library, image, size, way, window)
    found = resized_by_pillow(image, size, way)
    return found if window is None else window.of(found)


def affine(
    image: np.ndarray, matrix: Sequence[float], way: int = NEAREST, fill: tuple[int, int, int] = BLACK
) -> np.ndarray:
    """Image.transform by `matrix` (6,), from new places to old ones, to an image as large with `fill` beside it."""
    library = KERNELS.get()
    found = None if library is None else transformed(library, image, matrix, way, fill)
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
    library = KERNELS.get()
    return luma_by_pillow(image) if library is None else grey(library, image)


# --- compiled


def address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


def in_rows(image: np.ndarray) -> np.ndarray:
    """`image`, copied unless the pixels of each row follow one another."""
    return image if image.strides[1:] == (3, 1) and image.strides[0] > 0 else np.ascontiguousarray(image)


def resampled(
    library: ctypes.CDLL, image: np.ndarray, size: tuple[int, int], way: int, window: Window | None = None
) -> np.ndarray:
    image, part = in_rows(image), window or Window(0, 0, *size)
    found = np.empty((part.height, part.width, 3), np.uint8)
    height, width = image.shape[:2]
    library.resample(
        address(image), image.strides[0], height, width, *size, *part, way == BICUBIC, address(found)
    )
    return found


def transformed(
    library: ctypes.CDLL, image: np.ndarray, matrix: Sequence[float], way: int, fill: tuple[int, int, int]
) -> np.ndarray | None:
    """None for what is left to Pillow."""
    image, found = in_rows(image), np.empty(image.shape, np.uint8)
    height, width = image.shape[:2]
    numbers, colour = (ctypes.c_double * 6)(*matrix), (ctypes.c_uint8 * 3)(*fill)
    is_left = library.transform(
        address(image), image.strides[0], height, width, numbers, way, colour, address(found)
    )
    return None if is_left else found


def grey(library: ctypes.CDLL, image: np.ndarray) -> np.ndarray:
    image, found = in_rows(image), np.empty(image.shape[:2], np.uint8)
    library.luma(address(image), image.strides[0], *found.shape, address(found))
    return found


# --- by Pillow


def resized_by_pillow(image: np.ndarray, size: tuple[int, int], way: int) -> np.ndarray:
    return np.asarray(Image.fromarray(image).resize((size[1], size[0]), Image.Resampling(way)))


def by_pillow(image: np.ndarray, matrix: Sequence[float], way: int, fill: tuple[int, int, int]) -> np.ndarray:
    picture, method = Image.fromarray(image), Image.Resampling(way)
    return np.asarray(
        picture.transform(picture.size, Image.Transform.AFFINE, tuple(matrix), method, fillcolor=fill)
    )


def luma_by_pillow(image: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(image).convert("L"))
