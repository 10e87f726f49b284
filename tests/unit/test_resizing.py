"""Which resizing an evaluation has: compared with OpenCV's and Pillow's own, and what the program says of it."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image

from mindlift.data.classification import pipeline, split
from tests.support.batches import FOLDER_OPTIONS, collect

SHAPES = {"photo": (375, 500), "portrait": (500, 333), "tall": (700, 90), "small": (20, 31)}
SIDE = 64


def noise(height: int, width: int) -> np.ndarray:
    """Pixels that a resizing without averaging picks from: what antialiasing would smooth."""
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)


@pytest.fixture
def evaluated(tmp_path):
    """The pixels that an evaluation sees of an image, without its normalisation."""

    def run(name: str, interpolation: str) -> tuple[np.ndarray, np.ndarray]:
        pixels = noise(*SHAPES[name])
        (tmp_path / "only").mkdir()
        Image.fromarray(pixels).save(tmp_path / "only/a.png")
        size = {"image_size": (SIDE, SIDE), "eval_resize": SIDE}
        options = replace(
            FOLDER_OPTIONS, num_classes=1, normalize="half", interpolation=interpolation, **size
        )
        samples = split.open_split(options, tmp_path, train=False)
        images, _, weights = collect(pipeline.eval_batches(samples, options, 0, 1))
        return pixels, np.round((images[weights == 1] * 127.5 + 127.5)[0].transpose(1, 2, 0))

    return run


@pytest.mark.parametrize("name", SHAPES)
def test_bilinear_is_opencvs(evaluated, name):
    pixels, got = evaluated(name, "bilinear")
    np.testing.assert_array_equal(got, cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR))


@pytest.mark.parametrize("name", SHAPES)
def test_bicubic_is_pillows(evaluated, name):
    pixels, got = evaluated(name, "bicubic")
    expected = Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(got, np.asarray(expected))


def test_bilinear_does_not_average_what_it_reduces(evaluated):
    """Noise keeps its contrast, where Pillow's bilinear would level it."""
    pixels, got = evaluated("photo", "bilinear")
    averaged = np.asarray(Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    assert np.abs(got - averaged).mean() > 10
    assert got.std() > 2 * averaged.std()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {},
            "resize to 36 x 36 (bilinear without antialiasing, as OpenCV's INTER_LINEAR), then crop the centre",
        ),
        ({"interpolation": "bicubic"}, "resize to 36 x 36 (Pillow's bicubic), then crop the centre 32 x 32"),
        ({"interpolation": "bicubic", "crop_pct": 0.875}, "covers 36 x 36, aspect kept (Pillow's bicubic)"),
        ({"dataset": "digits"}, "resize to 32 x 32 (height x width; Pillow's bilinear)"),
    ],
)
def test_an_exports_side_file_says_so(options, said):
    whole = replace(FOLDER_OPTIONS, image_size=(32, 32), eval_resize=36, **options)
    assert said in pipeline.resize_rule(whole)
