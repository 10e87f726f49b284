"""What becomes of an image and its label before the network, in the order of the original DeepLabV3.

Random scale, normalisation, padding, random crop, mirroring (src/mindlift/data/dataset.py of the model zoo's DeepLabV3). The
values are the original's, but only the crop is normalised, by a table of 256 values for each channel.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from mindlift.data.batches import STATISTICS
from mindlift.data.segmentation.options import SegmentationOptions


@lru_cache(maxsize=1)
def table() -> np.ndarray:
    """(3, 256) float32: the normalised value of each grey value, for each channel of RGB."""
    mean, std = (np.array(values)[:, None] for values in STATISTICS["imagenet"])
    return ((np.arange(256) - mean) / std).astype(np.float32)


def empty(rows: int, options: SegmentationOptions) -> tuple[np.ndarray, np.ndarray]:
    """Arrays for pairs: images (rows, 3, h, w) float32, with options.as_pixels (rows, h, w, 4) uint8, and labels
    (rows, h, w) int32."""
    size = options.image_size
    classes = np.empty((rows, *size), np.int32)
    if options.as_pixels:
        return np.empty((rows, *size, 4), np.uint8), classes
    return np.empty((rows, 3, *size), np.float32), classes


def train_pair(
    pair: tuple[np.ndarray, np.ndarray],
    rng: np.random.Generator,
    options: SegmentationOptions,
    row: tuple[np.ndarray, np.ndarray],
) -> None:
    """Fill a row of `empty`: (3, h, w) float32, normalised, 0 beside the image, and (h, w) int32, ignore_label beside it.

    With options.as_pixels (h, w, 4) uint8: the pixels, and 1 where there is an image.
    The image (H, W, 3) uint8 RGB and the label (H, W) uint8 of `pair` are scaled by U(min_scale, max_scale), padded at the
    bottom and the right to at least image_size (h, w), cropped to it at random, and mirrored with probability hflip.
    """
    image, label = pair
    pixels, classes = row
    scale = rng.uniform(options.min_scale, options.max_scale)
    height, width = (max(1, int(scale * side)) for side in image.shape[:2])
    image = cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC)
    label = cv2.resize(label, (width, height), interpolation=cv2.INTER_NEAREST)
    h, w = options.image_size
    top, left = (int(rng.integers(max(side - crop, 0) + 1)) for side, crop in ((height, h), (width, w)))
    mirrored = rng.random() < options.hflip
    image, label = (each[top : top + h, left : left + w] for each in (image, label))
    if mirrored:
        image, label = cv2.flip(image, 1), cv2.flip(label, 1)
    start = w - image.shape[1] if mirrored else 0  # the padding is mirrored as well
    place = slice(0, image.shape[0]), slice(start, start + image.shape[1])
    if image.shape[:2] != (h, w):
        pixels[:], classes[:] = 0, options.ignore_label
    if options.as_pixels:
        pixels[place][..., :3], pixels[place][..., 3] = image, 1
    else:
        for channel, values, target in zip(cv2.split(image), table(), pixels):
            target[place] = cv2.LUT(channel, values)
    classes[place] = label


def side_of(scale: float, crop: int) -> int:
    """The side of the square that an evaluation at `scale` uses: 257, 385, 513 ... of crop 513."""
    return int((crop - 1) * scale) + 1


def scaled(image: np.ndarray, side: int) -> tuple[np.ndarray, tuple[int, int]]:
    """(side, side, 3) float32, normalised, 0 beside the image, and the (height, width) that the image takes of it.

    Its long side becomes `side`, bilinear; the other one is cut to whole pixels (eval.py of the model zoo's DeepLabV3).
    """
    height, width = image.shape[:2]
    if height > width:
        size = side, max(1, int(1.0 * side * width / height))
    else:
        size = max(1, int(1.0 * side * height / width)), side
    small = cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR)
    pixels = np.zeros((side, side, 3), np.float32)
    pixels[: size[0], : size[1]] = cv2.LUT(small, np.ascontiguousarray(table().T)[None])
    return pixels, size
