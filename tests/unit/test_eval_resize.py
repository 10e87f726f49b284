"""crop_pct and normalize, beside a NumPy reference that shares no code with the pipeline."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from mindlift.data.classification import pipeline, split
from tests.support.batches import FOLDER_OPTIONS, OPTIONS, collect

SIZES = ((61, 90), (120, 47), (40, 40))


@pytest.fixture
def pictures(tmp_path):
    """One lossless image for each of SIZES, and its pixels: smooth, so that a shift by a pixel shows."""
    found = []
    (tmp_path / "only").mkdir()
    for i, (height, width) in enumerate(SIZES):
        y, x = np.mgrid[:height, :width]
        pixels = np.stack([x * 2 + i, y * 2, (x + y)], -1).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "only" / f"{i}.png")
        found.append(pixels)
    return tmp_path, found


def bilinear(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resized without antialiasing; pixel centres at half integers, borders repeated."""
    for axis, size in ((0, height), (1, width)):
        old = image.shape[axis]
        place = np.clip((np.arange(size) + 0.5) * old / size - 0.5, 0, old - 1)
        low = np.floor(place).astype(int)
        share = (place - low).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
        high = np.minimum(low + 1, old - 1)
        image = image.take(low, axis) * (1 - share) + image.take(high, axis) * share
    return image


def reference(pixels: np.ndarray, image_size: tuple[int, int], crop_pct: float) -> np.ndarray:
    height, width = pixels.shape[:2]
    box = [math.floor(side / crop_pct) for side in image_size]
    if box[0] == box[1]:
        short = box[0]
        new = (short, short * width // height) if height < width else (short * height // width, short)
    else:
        scale = max(box[0] / height, box[1] / width)
        new = (round(height * scale), round(width * scale))
    resized = bilinear(pixels.astype(np.float64), *new)
    top, left = ((have - want) / 2 for have, want in zip(new, image_size))
    top, left = int(top), int(left)
    return resized[top : top + image_size[0], left : left + image_size[1]]


@pytest.mark.parametrize(
    ("image_size", "crop_pct"), [((32, 32), 0.875), ((32, 32), 1.0), ((32, 32), 0.61), ((24, 40), 0.8)]
)
def test_crop_pct_keeps_the_aspect_and_crops_the_centre(pictures, image_size, crop_pct):
    folder, pixels = pictures
    options = replace(
        FOLDER_OPTIONS, num_classes=1, image_size=image_size, crop_pct=crop_pct, normalize="half"
    )
    samples = split.open_split(options, folder, train=False)
    images, _, weights = collect(pipeline.eval_batches(samples, options, 0, 1))
    got = (images[weights == 1] * 127.5 + 127.5).transpose(0, 2, 3, 1)
    assert len(got) == len(pixels)
    for one, image in zip(got, pixels):
        np.testing.assert_allclose(one, reference(image, image_size, crop_pct), atol=1.01)


def test_without_crop_pct_images_are_squeezed_as_ever(pictures):
    folder, pixels = pictures
    options = replace(FOLDER_OPTIONS, num_classes=1, normalize="half")
    samples = split.open_split(options, folder, train=False)
    images, _, weights = collect(pipeline.eval_batches(samples, options, 0, 1))
    got = (images[weights == 1] * 127.5 + 127.5).transpose(0, 2, 3, 1)
    for one, image in zip(got, pixels):
        np.testing.assert_allclose(one, bilinear(image.astype(float), 40, 40)[4:36, 4:36], atol=1.01)


@pytest.mark.parametrize(
    ("normalize", "mean", "std"),
    [
        ("imagenet", [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]),
        ("half", [127.5] * 3, [127.5] * 3),
        ("auto", [127.5] * 3, [127.5] * 3),
    ],
)
def test_normalize(few_digits, normalize, mean, std):
    options = replace(OPTIONS, normalize=normalize)
    samples = split.open_split(options, few_digits, train=False)
    images = collect(pipeline.eval_batches(samples, options, 0, 1))[0][: len(samples)]
    wanted = (samples.images - np.array(mean)) / np.array(std)
    np.testing.assert_allclose(images, wanted.transpose(0, 3, 1, 2), atol=1e-5)
