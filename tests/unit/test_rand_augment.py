"""RandAugment against Pillow's own calls, bit for bit, and what it draws."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from mindlift.cli import rand_augment_sheet as sheet_command
from mindlift.data.classification import augment, pipeline, rand_augment, rand_augment_sheet, split
from mindlift.data.classification.rand_augment import NAMES, OPERATIONS, applied
from mindlift.data.draws import Draws, uniforms
from mindlift.data.order import BatchRange, TrainOrder
from tests.support.batches import OPTIONS, collect
from tests.support.programs import ROOT

BICUBIC, AFFINE = Image.Resampling.BICUBIC, Image.Transform.AFFINE


class Fixed:
    """A random stream that gives one value."""

    def __init__(self, value: float):
        self.value = value

    def random(self) -> float:
        return self.value


def picture(seed: int = 0) -> Image.Image:
    """Smooth shades with some noise, 40 x 30."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:30, :40]
    shades = np.stack([6 * x, 8 * y, 3 * (x + y)], 2) + rng.integers(-9, 9, (30, 40, 3))
    return Image.fromarray(np.clip(shades, 0, 255).astype(np.uint8))


def sheared(image, matrix):
    return image.transform(image.size, AFFINE, matrix, BICUBIC, fillcolor=(128, 128, 128))


def moved(image, matrix):
    return image.transform(image.size, AFFINE, matrix, fillcolor=(128, 128, 128))


def brighter(image, added):
    pixels = np.asarray(image).astype(int)
    return Image.fromarray(np.where(pixels < 128, np.minimum(255, pixels + added), pixels).astype(np.uint8))


# The published ranges: what magnitude m is, and Pillow's call for it.
REFERENCES = {
    "AutoContrast": lambda image, m: ImageOps.autocontrast(image),
    "Equalize": lambda image, m: ImageOps.equalize(image),
    "Invert": lambda image, m: ImageOps.invert(image),
    "Rotate": lambda image, m: image.rotate(m / 10 * 30),
    "Posterize": lambda image, m: ImageOps.posterize(image, min(8, max(1, int(m / 10 * 4)))),
    "Solarize": lambda image, m: ImageOps.solarize(image, m / 10 * 256),
    "Color": lambda image, m: ImageEnhance.Color(image).enhance(0.1 + m / 10 * (1.9 - 0.1)),
    "Contrast": lambda image, m: ImageEnhance.Contrast(image).enhance(0.1 + m / 10 * (1.9 - 0.1)),
    "Brightness": lambda image, m: ImageEnhance.Brightness(image).enhance(0.1 + m / 10 * (1.9 - 0.1)),
    "Sharpness": lambda image, m: ImageEnhance.Sharpness(image).enhance(0.1 + m / 10 * (1.9 - 0.1)),
    "ShearX": lambda image, m: sheared(image, (1, m / 10 * 0.3, 0, 0, 1, 0)),
    "ShearY": lambda image, m: sheared(image, (1, 0, 0, m / 10 * 0.3, 1, 0)),
    "TranslateX": lambda image, m: moved(image, (1, 0, m / 10 * 0.45 * 40, 0, 1, 0)),
    "TranslateY": lambda image, m: moved(image, (1, 0, 0, 0, 1, m / 10 * 0.45 * 30)),
    "SolarizeAdd": lambda image, m: brighter(image, int(m / 10 * 110)),
}


@pytest.mark.parametrize("shape", [(1, 1), (2, 9), (3, 3), (160, 160)])
def test_smoothing_in_whole_numbers_is_pillows(shape):
    """Of noise, whose sums have every remainder over 13, and of the brightest and darkest values."""
    rng = np.random.default_rng(0)
    for pixels in (rng.integers(0, 256, (*shape, 3)), rng.choice([0, 255], (*shape, 3))):
        image = pixels.astype(np.uint8)
        wanted = Image.fromarray(image).filter(ImageFilter.SMOOTH)
        np.testing.assert_array_equal(rand_augment.smoothed(image), np.asarray(wanted))


@pytest.mark.parametrize("magnitude", [0, 3, 5, 9.7, 10, 14.2, 20, 22.6, 30])
@pytest.mark.parametrize("name", REFERENCES)
def test_an_operation_is_pillows(name, magnitude):
    for seed in range(3):
        found = applied(np.asarray(picture(seed)), name, magnitude, Fixed(0.9))
        np.testing.assert_array_equal(found, np.asarray(REFERENCES[name](picture(seed), magnitude)))


def test_all_operations_are_compared():
    assert set(NAMES) - set(REFERENCES) == {"Cutout"}
    assert len(NAMES) == 16


@pytest.mark.parametrize("name", ["Rotate", "ShearX", "ShearY", "TranslateX", "TranslateY"])
def test_half_of_the_time_the_other_way_round(name):
    found = applied(np.asarray(picture()), name, 7, Fixed(0.1))
    np.testing.assert_array_equal(found, np.asarray(REFERENCES[name](picture(), -7)))
    assert OPERATIONS[name].signed


@pytest.mark.parametrize(("magnitude", "side"), [(10, 0.35 * 30), (20, 0.7 * 30)])
def test_cutout_is_a_grey_square_of_a_share_of_the_shorter_side(magnitude, side):
    before = np.asarray(picture())
    after = applied(before, "Cutout", magnitude, Fixed(0.5))
    rows, columns = np.nonzero((before != after).any(2))
    assert (after[rows, columns] == 128).all()
    high, wide = np.ptp(rows) + 1, np.ptp(columns) + 1
    assert abs(high - side) <= 1.5
    assert abs(wide - side) <= 1.5


def test_at_the_published_magnitude_two_operations_do_nothing():
    for name in ("Posterize", "Solarize"):
        image = np.asarray(picture())
        np.testing.assert_array_equal(applied(image, name, 20, Fixed(0.9)), image)


def test_no_magnitude_fails():
    """The port's posterize fails from 22.5 on; and magnitudes may be drawn below 0."""
    for magnitude in (-2, -0.1, 0, 1, 22.5, 31):
        for name in NAMES:
            for first in (0.0, 0.999):
                assert applied(np.asarray(picture()), name, magnitude, Fixed(first)).shape == (30, 40, 3)


def test_operations_are_drawn_evenly_and_magnitudes_normally(monkeypatch):
    drawn = []

    def note(image, name, magnitude, rng):
        drawn.append((name, magnitude))
        return image

    monkeypatch.setattr(rand_augment, "applied", note)
    image = np.zeros((2, 2, 3), np.uint8)
    for row in uniforms(0, 0, np.arange(8000), [rand_augment.numbers_of(2)])[0]:
        rand_augment.rand_augment(image, Draws(row.tolist()), 2, 20.0)
    counts = Counter(name for name, _ in drawn)
    assert len(drawn) == 16_000
    assert set(counts) == set(NAMES)
    assert max(abs(count - 1000) for count in counts.values()) < 160
    magnitudes = np.array([magnitude for _, magnitude in drawn])
    assert (magnitudes[::2] == magnitudes[1::2]).all(), "one per image"
    assert magnitudes.mean() == pytest.approx(20, abs=0.03)
    assert magnitudes.std() == pytest.approx(0.5, abs=0.02)
    pairs = Counter((a[0] == b[0]) for a, b in zip(drawn[::2], drawn[1::2]))
    assert pairs[True] == pytest.approx(500, abs=90), "with replacement"


RECIPE = replace(
    OPTIONS,
    augment="resize_crop",
    train_resize=(40, 40),
    interpolation="bicubic",
    color_jitter=0.0,
    rand_augment_num_layers=2,
)


def images(options, digits, rank=0, size=1, first=0, last=2):
    samples = split.open_split(options, digits, train=True)
    return collect(pipeline.train_batches(samples, options, BatchRange(first, last, rank, size)))[0]


def test_what_an_image_becomes_does_not_depend_on_threads_or_where_one_starts(digits):
    whole = images(RECIPE, digits)
    np.testing.assert_array_equal(images(replace(RECIPE, workers=1), digits), whole)
    np.testing.assert_array_equal(images(RECIPE, digits, first=1), whole[16:])
    ranks = [images(replace(RECIPE, per_batch_size=8), digits, rank, 2, 0, 2) for rank in (0, 1)]
    np.testing.assert_array_equal(np.stack(ranks, 1).reshape(whole.shape), whole)


def test_an_image_is_resized_cropped_mirrored_and_augmented_in_this_order(digits):
    """By hand with Pillow, from the same random numbers."""
    samples = split.open_split(RECIPE, digits, train=True)
    order, found = TrainOrder(len(samples), 16, 0, 1, 1), images(RECIPE, digits)
    counts = [augment.REGION_NUMBERS, augment.COLOUR_NUMBERS, rand_augment.numbers_of(2)]
    for item in range(16):
        epoch, index = order(item)
        streams = [Draws(part[0].tolist()) for part in uniforms(1, epoch, np.array([index]), counts)]
        large = Image.fromarray(samples.images[index]).resize((40, 40), BICUBIC)
        top, left = (streams[0].integer(9) for _ in range(2))
        crop = large.crop((left, top, left + 32, top + 32))
        flipped = ImageOps.mirror(crop) if streams[1].random() < 0.5 else crop
        wanted = rand_augment.rand_augment(np.asarray(flipped), streams[2], 2, 20.0)
        np.testing.assert_array_equal(np.rint(found[item].transpose(1, 2, 0) * 127.5 + 127.5), wanted)


def test_the_picture_in_the_documentation_shows_every_operation(tmp_path):
    """Each cell is what its operation makes of the photograph, and the file that is shown was made by this program."""
    drawn, photograph = rand_augment_sheet.sheet(), rand_augment_sheet.photograph()
    for row, name in enumerate(NAMES):
        for column, magnitude in enumerate(rand_augment_sheet.MAGNITUDES):
            left, top = rand_augment_sheet.corner(row, column)
            cell = drawn.crop((left, top, left + photograph.width, top + photograph.height))
            wanted = applied(np.asarray(photograph), name, magnitude, Fixed(0.9))
            if name != "Cutout":  # whose place is drawn
                np.testing.assert_array_equal(np.asarray(cell), wanted)
    assert sheet_command.main([str(tmp_path / "sheet.png")]) == 0
    files = (ROOT / "docs/images/rand_augment.png", tmp_path / "sheet.png")
    shown, made = (np.asarray(Image.open(file).convert("RGB"), float) for file in files)
    assert np.abs(shown - made).mean() < 5
