"""From the bytes of image files to pixels, without holding other threads up.

JPEGs go through OpenCV, which gives Pillow's values, and MindSpore's, in less time; if only few pixels are wanted it can
make an image of a half, a quarter or an eighth of the size, by leaving high frequencies out.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from mindlift.data import image_folder
from mindlift.data.kernels import KERNELS, Window

WHOLE = 1
FLAGS = {  # by what the sides are divided by
    WHOLE: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
NO_FRAME = (0xC4, 0xC8, 0xCC)  # markers among those of frames, 0xC0 - 0xCF, that are none
COLOURS = (1, 3)  # components of a JPEG for which OpenCV gives Pillow's values; of CMYK they differ by 1


class Frame(NamedTuple):
    """What a JPEG says of itself."""

    height: int
    width: int
    components: int


def frame(data: bytes) -> Frame | None:
    """The frame header of a JPEG that OpenCV may decode; None for other data and for what is unusual."""
    at = 2
    if not image_folder.has_end(data):
        return None
    while at + 10 <= len(data) and data[at] == 0xFF:
        kind = data[at + 1]
        if 0xC0 <= kind <= 0xCF and kind not in NO_FRAME:
            found = Frame(
                int.from_bytes(data[at + 5 : at + 7], "big"),
                int.from_bytes(data[at + 7 : at + 9], "big"),
                data[at + 9],
            )
            return found if found.components in COLOURS and found.height and found.width else None
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def reduction(have: tuple[int, int], wanted: tuple[int, int]) -> int:
    """The largest of 1, 2, 4 and 8 by which `have` (height, width) can be divided with at least `wanted` left."""
    least = min(have[0] // wanted[0], have[1] // wanted[1])
    return next((factor for factor in (8, 4, 2) if factor <= least), WHOLE)


def decode(data: bytes, name: str) -> np.ndarray:
    """(H, W, 3) uint8 RGB, not turned by EXIF. Raises DataError that names an image that can't be decoded."""
    return decode_reduced(data, name, frame(data), WHOLE)


def decode_reduced(data: bytes, name: str, header: Frame | None, factor: int) -> np.ndarray:
    """The same of data with this `header` (`frame`); if there is one both sides are divided by `factor`, rounded up."""
    if header is None:
        return image_folder.decode(data, name)
    as_rgb = getattr(cv2, "IMREAD_COLOR_RGB", 0)  # OpenCV 4.11 has it
    flags = FLAGS[factor] | cv2.IMREAD_IGNORE_ORIENTATION | as_rgb
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:  # larger than its limit; what Pillow says of it names the file
        image = None
    if image is None:
        return np.ascontiguousarray(image_folder.decode(data, name)[::factor, ::factor])
    return image if as_rgb else cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image)


def decode_part(data: bytes, name: str, header: Frame | None, factor: int, part: Window) -> np.ndarray:
    """A part of what `decode_reduced` gives; where libjpeg can be called, little more than it is decoded."""
    compiled = KERNELS.get() if header else None
    if compiled is not None and header is not None:
        size = -(-header.height // factor), -(-header.width // factor)
        found = compiled.jpeg_part(data, size, factor, part)
        if found is not None:
            return found
    return part.of(decode_reduced(data, name, header, factor))
