"""The 144 crops of an image: geometry of (H, W, 3) uint8 images.

Szegedy et al., Going Deeper with Convolutions (2015), section 7, with the scales of InceptionV4's accuracy report: the
shorter side is resized to each scale; of the result the left, centre and right square are taken (of a portrait the top,
centre and bottom one); of a square its four corners, its centre and itself resized; and each of these mirrored.
4 scales x 3 squares x 6 x 2 = 144. All resizing is Pillow's bilinear, which averages what it reduces.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from mindlift.data import pillow
from mindlift.errors import ConfigError
from mindlift.model_utils.config.frozen import Config

SQUARES, CROPS, MIRRORS = 3, 6, 2


def check(cfg: Config) -> None:
    """ConfigError for crops that can't be taken."""
    height, width = cfg.image_size
    if height != width:
        raise ConfigError(f"--crops {cfg.crops} needs a square --image_size, not {height},{width}")
    if not cfg.crop_scales or min(cfg.crop_scales) < height:
        given = ",".join(map(str, cfg.crop_scales))
        raise ConfigError(
            f"--crop_scales {given}: crops of {height} don't fit; all scales have to be at least that"
        )
    if cfg.dataset != "imagenet":
        raise ConfigError(f"--crops {cfg.crops} takes image files (--dataset imagenet), not {cfg.dataset}")
    if cfg.drop_remainder:
        raise ConfigError(f"--drop_remainder has no meaning with --crops {cfg.crops}; leave it out")


def views_of(scales: Sequence[int]) -> int:
    """How many crops an image has, mirrors included."""
    return len(scales) * SQUARES * CROPS * MIRRORS


def scaled_size(height: int, width: int, short: int) -> tuple[int, int]:
    """(height, width) with the shorter side `short` and the longer one in proportion, rounded."""
    if height <= width:
        return short, round(width * short / height)
    return round(height * short / width), short


def square_offsets(long: int, short: int) -> dict[int, int]:
    """Offset along the longer side -> how many of the three squares have it: equal ones are computed once."""
    return dict(Counter((0, (long - short) // 2, long - short)))


def crop_corners(side: int, size: int) -> tuple[tuple[int, int], ...]:
    """(top, left) of the four corners and the centre."""
    end, middle = side - size, (side - size) // 2
    return (0, 0), (0, end), (end, 0), (end, end), (middle, middle)


def crops(image: np.ndarray, scales: Sequence[int], size: int) -> Iterator[tuple[np.ndarray, int]]:
    """(crop (size, size, 3), weight) of every crop but the mirrored ones; the weights add up to half of views_of."""
    height, width = image.shape[:2]
    for scale in scales:
        h, w = scaled_size(height, width, scale)
        resized = pillow.resized(image, (h, w), pillow.BILINEAR)
        for offset, weight in square_offsets(max(h, w), scale).items():
            top, left = (0, offset) if w >= h else (offset, 0)
            square = resized[top : top + scale, left : left + scale]
            for y, x in crop_corners(scale, size):
                yield square[y : y + size, x : x + size], weight
            yield pillow.resized(square, (size, size), pillow.BILINEAR), weight
