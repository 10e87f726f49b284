"""What pixels.cpp and jpeg.cpp compute of images, (H, W, 3) uint8, where they could be compiled; see pillow.py and decoding.py.

A call lets other threads run from its beginning to its end.
"""

from __future__ import annotations

import ctypes
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from mindlift.checkout import PACKAGE
from mindlift.errors import StorageError
from mindlift.forks import Shared
from mindlift.model_utils import compiler
from mindlift.model_utils.compiler import NotCompiled

SOURCES = [PACKAGE / "data" / name for name in ("pixels.cpp", "jpeg.cpp")]
EXACT = "-ffp-contract=off"  # products and sums are rounded one by one, as Pillow's are
POINTER, SIZE, INT = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int
ARGUMENTS = {  # of the functions
    "resample": [POINTER, SIZE, *[INT] * 9, POINTER],
    "transform": [POINTER, SIZE, INT, INT, POINTER, INT, POINTER, POINTER],
    "luma": [POINTER, SIZE, INT, INT, POINTER],
    "planes": [POINTER, SIZE, INT, INT, POINTER, POINTER],
    "jpeg_size": [POINTER],
    "jpeg_part": [POINTER, SIZE, ctypes.c_char_p, SIZE, *[INT] * 6, POINTER, POINTER],
}
LIBJPEG = (  # in the order of jpeg.cpp
    "jpeg_std_error",
    "jpeg_CreateDecompress",
    "jpeg_mem_src",
    "jpeg_read_header",
    "jpeg_start_decompress",
    "jpeg_crop_scanline",
    "jpeg_skip_scanlines",
    "jpeg_read_scanlines",
    "jpeg_destroy_decompress",
)
LEAST_SIZE, MOST_SIZE = 512, 1024  # of libjpeg's structure; a smaller number is that of another interface
BESIDE = 16  # pixels: so far those beside a part reach into it, where colours are stored at half of the size
BLOCK = 16  # lines that libjpeg decodes at a time; it skips no part of them well
MOST_COLUMNS = 32  # that it decodes at a time


class Window(NamedTuple):
    """A part of an image: its first row and column, and its size."""

    top: int
    left: int
    height: int
    width: int

    def of(self, image: np.ndarray) -> np.ndarray:
        return image[self.top : self.top + self.height, self.left : self.left + self.width]


class Compiled:
    """The functions of a library."""

    def __init__(self, library: ctypes.CDLL):
        self.library = library
        self.libjpeg = (POINTER * len(LIBJPEG))()
        self.jpeg_size = 0  # of libjpeg's structure; 0: there is no libjpeg

    def find_libjpeg(self) -> None:
        """The one that Pillow has loaded."""
        for path in loaded("/libjpeg"):
            try:
                functions = [getattr(ctypes.CDLL(path), name) for name in LIBJPEG]
            except (OSError, AttributeError):  # not that of libjpeg-turbo
                continue
            self.libjpeg[:] = [ctypes.cast(function, POINTER).value for function in functions]
            size = self.library.jpeg_size(self.libjpeg)
            self.jpeg_size = size if LEAST_SIZE <= size <= MOST_SIZE else 0

    def resampled(
        self, image: np.ndarray, size: tuple[int, int], is_cubic: bool, part: Window | None = None
    ) -> np.ndarray:
        """Resized to `size` (height, width) as Pillow does it, or a part of that."""
        image, part = in_rows(image), part or Window(0, 0, *size)
        found = np.empty((part.height, part.width, 3), np.uint8)
        height, width = image.shape[:2]
        self.library.resample(
            address(image), image.strides[0], height, width, *size, *part, is_cubic, address(found)
        )
        return found

    def transformed(
        self, image: np.ndarray, matrix: Sequence[float], way: int, fill: tuple[int, int, int]
    ) -> np.ndarray | None:
        """As Pillow does it, which numbers the ways; None for what is left to it."""
        image, found = in_rows(image), np.empty(image.shape, np.uint8)
        height, width = image.shape[:2]
        numbers, colour = (ctypes.c_double * 6)(*matrix), (ctypes.c_uint8 * 3)(*fill)
        is_left = self.library.transform(
            address(image), image.strides[0], height, width, numbers, way, colour, address(found)
        )
        return None if is_left else found

    def grey(self, image: np.ndarray) -> np.ndarray:
        """(H, W) uint8: Pillow's mode L."""
        image, found = in_rows(image), np.empty(image.shape[:2], np.uint8)
        self.library.luma(address(image), image.strides[0], *found.shape, address(found))
        return found

    def write_planes(self, image: np.ndarray, table: np.ndarray, found: np.ndarray) -> None:
        """Into (3, H, W) float32 what `table` (3, 256) float32 has for the values of each channel."""
        image, (height, width) = in_rows(image), image.shape[:2]
        self.library.planes(address(image), image.strides[0], height, width, address(table), address(found))

    def jpeg_part(self, data: bytes, size: tuple[int, int], factor: int, part: Window) -> np.ndarray | None:
        """A part of a JPEG whose sides are divided by `factor`, to `size` (height, width); None if it can't be had."""
        if not self.jpeg_size:
            return None
        top = max(0, part.top - BESIDE) // BLOCK * BLOCK
        left = max(0, part.left - BESIDE)
        rows = min(size[0], part.top + part.height + BESIDE) - top
        columns = min(size[1], part.left + part.width + BESIDE) - left
        found = np.empty((rows, columns + MOST_COLUMNS, 3), np.uint8)
        began = INT()
        has_failed = self.library.jpeg_part(
            self.libjpeg,
            self.jpeg_size,
            data,
            len(data),
            factor,
            top,
            left,
            rows,
            columns,
            found.shape[1],
            address(found),
            ctypes.byref(began),
        )
        if has_failed:
            return None
        return part._replace(top=part.top - top, left=part.left - began.value).of(found)


def loaded(name: str) -> list[str]:
    """The libraries of this process with `name` in their paths."""
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as maps:
        paths = {line.split(maxsplit=5)[-1].rstrip("\n") for line in maps if name in line}
    return sorted(paths)


def address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


def in_rows(image: np.ndarray) -> np.ndarray:
    """`image`, copied unless the pixels of each row follow one another."""
    return image if image.strides[1:] == (3, 1) and image.strides[0] > 0 else np.ascontiguousarray(image)


# --- the library of this process


class Kernels(Shared):
    """They are compiled when they are first needed."""

    def __init__(self) -> None:
        super().__init__()
        self.folder: Path | None = None
        self.say: Callable[[Exception], None] = lambda why: None
        self.found: Compiled | None = None

    def use(self, folder: Path, say: Callable[[Exception], None]) -> None:
        """Compile below `folder`; `say` is told, once, why there is no library."""
        with self.lock:
            self.folder, self.say = folder, say

    def get(self) -> Compiled | None:
        if self.folder is not None:
            with self.lock:
                if self.folder is not None:
                    self.found = self.made(self.folder)
                    self.folder = None
        return self.found

    def made(self, folder: Path) -> Compiled | None:
        try:
            return load(compiler.library(folder, "pixels", SOURCES, [EXACT]))
        except (NotCompiled, StorageError) as why:
            self.say(why)
            return None


KERNELS = Kernels()


def load(path: Path) -> Compiled:
    """NotCompiled unless the library loads here and computes what the installed Pillow does."""
    try:
        library = ctypes.CDLL(str(path))
        for name, arguments in ARGUMENTS.items():
            getattr(library, name).argtypes = arguments
        library.jpeg_size.restype = SIZE
    except (OSError, AttributeError) as err:
        raise NotCompiled(f"{path} does not load: {err}") from err
    found = Compiled(library)
    if not is_pillows(found):
        version = Image.__version__  # type: ignore[attr-defined]
        raise NotCompiled(f"{path} computes other pixels than Pillow {version}; delete it")
    found.find_libjpeg()
    if found.jpeg_size and not is_opencvs(found):
        found.jpeg_size = 0
    return found


def is_pillows(found: Compiled) -> bool:
    """Of noise, whose every pixel counts."""
    image = np.random.default_rng(0).integers(0, 256, (29, 41, 3), np.uint8)
    picture, matrix, fill = Image.fromarray(image), (1.02, 0.3, -2.0, -0.2, 0.9, 1.5), (1, 2, 3)
    pairs = [(found.grey(image), picture.convert("L"))]
    for way in (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC):
        for height, width in ((37, 19), (11, 70)):
            resized = found.resampled(image, (height, width), way == Image.Resampling.BICUBIC)
            pairs.append((resized, picture.resize((width, height), way)))
    for way in (Image.Resampling.NEAREST, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC):
        theirs = picture.transform(picture.size, Image.Transform.AFFINE, matrix, way, fillcolor=fill)
        ours = found.transformed(image, matrix, way, fill)
        assert ours is not None
        pairs.append((ours, theirs))
    return all(np.array_equal(ours, np.asarray(theirs)) for ours, theirs in pairs)


def is_opencvs(found: Compiled) -> bool:
    """Whether a part of a JPEG is that of the whole, with colours at half of the size."""
    image = np.random.default_rng(0).integers(0, 256, (90, 130, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=90, subsampling="4:2:0")
    data, part = buffer.getvalue(), Window(37, 51, 30, 40)
    whole = cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    ours = found.jpeg_part(data, (90, 130), 1, part)
    return ours is not None and np.array_equal(ours, part.of(whole))
