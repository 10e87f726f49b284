"""The embedded data set to segment: handwritten digits on textured grounds, in the layout of Pascal VOC 2012.

Digit d is class d + 1, the ground class 0, and a border of one or two pixels around each digit is 255, as around VOC's
objects. Training and validation images show different digits: those of mindlift.data.embedded.digits's split.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from mindlift.data.embedded import digits as demo
from mindlift.data.segmentation import lists as seg_lists
from mindlift.data.segmentation import voc

COUNTS = {"train": 480, "val": 120}
SIZES = ((96, 128), (128, 96), (96, 120), (112, 112), (80, 128), (120, 88))  # height, width
LEAST, MOST, MARGIN = (
    36,
    72,
    3,
)  # pixels: side of a digit's square, of which the margin is left free for the border
MOST_DIGITS, TRIES = 4, 12


def build_voc(root: Path) -> Path:
    """Write the data set to `root` unless it is there, and return `root`; several processes may do so at once."""
    return demo.place(root, write)


def write(part: Path) -> None:
    folder = part / seg_lists.VOC
    for name in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (folder / name).mkdir(parents=True)
    for (split, count), digits in zip(COUNTS.items(), demo.split_digits()):
        names = [f"digits_{split}_{i:04d}" for i in range(count)]
        for i, name in enumerate(names):
            image, label = picture(digits, np.random.default_rng([len(split), i]))
            Image.fromarray(image).save(folder / f"JPEGImages/{name}.jpg", quality=92)
            (folder / f"SegmentationClass/{name}.png").write_bytes(voc.as_png(label, coloured=True))
        (folder / f"ImageSets/Segmentation/{split}.txt").write_text("\n".join(names) + "\n")
        pairs = seg_lists.pairs_of(part, folder, folder / "SegmentationClass", names)
        seg_lists.write(part / f"voc_{split}_lst.txt", pairs)


def picture(digits: demo.Digits, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(H, W, 3) uint8 with 1 - 4 of `digits`, as many as find room, and its label (H, W) uint8."""
    size = SIZES[rng.integers(len(SIZES))]
    image, label = ground(size, rng), np.zeros(size, np.uint8)
    for _ in range(rng.integers(1, MOST_DIGITS + 1)):
        number = rng.integers(len(digits.classes))
        add(image, label, digits.images[number], int(digits.classes[number]) + 1, rng)
    return np.clip(image, 0, 255).astype(np.uint8), label


def ground(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """(H, W, 3) float32: clouds of dark colours with grain."""
    coarse = rng.integers(10, 110, (5, 5, 3), dtype=np.uint8)
    clouds = Image.fromarray(coarse).resize(size[::-1], Image.Resampling.BICUBIC)
    return np.asarray(clouds, np.float32) + rng.normal(0, 7, (*size, 1)).astype(np.float32)


def add(
    image: np.ndarray, label: np.ndarray, digit: np.ndarray, number: int, rng: np.random.Generator
) -> None:
    """Draw `digit` (8, 8), values 0 - 16, where it touches no other one; leave it out if there is no such place."""
    side = int(rng.integers(LEAST, min(MOST, *label.shape) + 1))
    grey = Image.fromarray(np.round(digit * (255 / 16)).astype(np.uint8))
    inner = side - 2 * MARGIN, side - 2 * MARGIN
    ink = np.pad(np.asarray(grey.resize(inner, Image.Resampling.BICUBIC), np.float32) / 255, MARGIN)
    shape = Image.fromarray((ink > 0.3).astype(np.uint8))
    near = np.asarray(shape.filter(ImageFilter.MaxFilter(3 if side < 54 else 5))) > 0
    for _ in range(TRIES):
        top, left = (int(rng.integers(room - side + 1)) for room in label.shape)
        place = slice(top, top + side), slice(left, left + side)
        if label[place].any():
            continue
        colour = rng.uniform(170, 255) * rng.uniform(0.8, 1, 3).astype(np.float32)
        image[place] += ink[..., None] * (colour - image[place])
        label[place] = np.where(np.asarray(shape) > 0, number, np.where(near, voc.IGNORED, 0))
        return
