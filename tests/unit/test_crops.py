"""The 144 crops against the protocol's text, on images whose pixels are their coordinates."""

from __future__ import annotations

from types import SimpleNamespace

import mindspore as ms
import numpy as np
import pytest
from PIL import Image

from mindlift.data.classification import crops
from mindlift.errors import ConfigError
from mindlift.model_utils import devices
from mindlift.model_utils.config import config
from mindlift.tasks import network as build
from mindlift.tasks.classification import multi_crop

SCALES, SIZE = (40, 44, 48, 56), 37


def coordinates(height: int, width: int) -> np.ndarray:
    """(H, W, 3) uint8: red is x, green is y."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x, y, np.zeros_like(x)], 2).astype(np.uint8)


def protocol(height: int, width: int):
    """(scale, side of the source, left, top) of the 72 views, in pixels of the resized image, one by one."""
    for scale in SCALES:
        ratio = scale / min(height, width)
        long = round(max(height, width) * ratio)
        for offset in (0, (long - scale) // 2, long - scale):
            left, top = (offset, 0) if width >= height else (0, offset)
            far, middle = scale - SIZE, (scale - SIZE) // 2
            for x, y in ((0, 0), (far, 0), (0, far), (far, far), (middle, middle)):
                yield scale, SIZE, left + x, top + y
            yield scale, scale, left, top


@pytest.mark.parametrize(("height", "width"), [(90, 200), (200, 90), (120, 120), (61, 60), (50, 250)])
def test_every_crop_shows_the_part_that_the_protocol_says(height, width):
    """A coordinate in the crop, followed back to the image, is the colour there."""
    found = [
        crop for crop, weight in crops.crops(coordinates(height, width), SCALES, SIZE) for _ in range(weight)
    ]
    wanted = list(protocol(height, width))
    assert len(found) == len(wanted) == 72
    centres = [position(crop) for crop in found]
    for scale, side, left, top in wanted:
        h, w = (
            (scale, round(width * scale / height))
            if height <= width
            else (round(height * scale / width), scale)
        )
        middle = (left + side / 2) * width / w - 0.5, (top + side / 2) * height / h - 0.5
        step = side / SIZE * width / w, side / SIZE * height / h
        match = [c for c in centres if np.allclose(c, [*middle, *step], atol=0.6, rtol=0.03)]
        assert match, (scale, side, left, top)
        centres.remove(match[0])


def position(crop: np.ndarray) -> list[float]:
    """x and y at the middle of a crop, and how much they grow per pixel, from its inner pixels."""
    assert crop.shape == (SIZE, SIZE, 3)
    inner = crop[4:-4, 4:-4].astype(float)
    x, y = inner[..., 0], inner[..., 1]
    return [x.mean(), y.mean(), (x[:, -1] - x[:, 0]).mean() / (SIZE - 9), (y[-1] - y[0]).mean() / (SIZE - 9)]


def test_equal_squares_are_computed_once():
    assert [weight for _, weight in crops.crops(coordinates(60, 60), SCALES, SIZE)] == [3] * 24
    assert sorted({weight for _, weight in crops.crops(coordinates(60, 62), (60,), SIZE)}) == [1]
    assert crops.square_offsets(61, 60) == {0: 2, 1: 1}
    assert crops.views_of((320, 352, 384, 448)) == 144


class Few:
    """Two images, one of them square, as samples."""

    skipped = 0

    def paths_of(self, index: int) -> tuple[str, ...]:
        return ()

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.images = [rng.integers(0, 255, shape, np.uint8) for shape in ((50, 70, 3), (64, 64, 3))]

    def pixels(self, index: int) -> np.ndarray:
        return self.images[index]


def by_the_text(image: np.ndarray) -> list[np.ndarray]:
    """The views of two scales, mirrors included, each (12, 12, 3), written down as the protocol says them."""
    views: list[np.ndarray] = []
    height, width = image.shape[:2]
    for scale in (14, 17):
        ratio = scale / min(height, width)
        size = (round(width * ratio), round(height * ratio))
        small = Image.fromarray(image).resize(size, Image.Resampling.BILINEAR)
        for offset in (0, (max(size) - scale) // 2, max(size) - scale):
            left, top = (offset, 0) if width >= height else (0, offset)
            square = small.crop((left, top, left + scale, top + scale))
            far, middle = scale - 12, (scale - 12) // 2
            boxes = [(0, 0), (0, far), (far, 0), (far, far), (middle, middle)]
            cut = [square.crop((x, y, x + 12, y + 12)) for x, y in boxes]
            for view in [*cut, square.resize((12, 12), Image.Resampling.BILINEAR)]:
                views += [np.asarray(view), np.asarray(view)[:, ::-1]]
    return views


@pytest.mark.parametrize("batch", [5, 72])
def test_the_mean_is_that_of_144_single_crops(batch):
    trained = config.load(["--net", "densenet22", "--image_size", "12"])
    cfg, samples = trained.replace(crop_scales=(14, 17), crop_batch=batch), Few()
    network = build.network(cfg, devices.of(devices.CPU)).set_train(False)
    mean, std = [120.0, 110.0, 100.0], [60.0, 61.0, 62.0]
    cell = multi_crop.CropProbabilities(network, mean, std).set_train(False)
    found = dict(multi_crop.averages(cell, np.arange(2), samples, cfg, 2))
    for index, image in enumerate(samples.images):
        views = by_the_text(image)
        assert len(views) == 72
        pixels = ((np.stack(views) - mean) / std).transpose(0, 3, 1, 2)
        logits = network(ms.Tensor(pixels, ms.float32)).asnumpy().astype(np.float64)
        exponentials = np.exp(logits - logits.max(1, keepdims=True))
        expected = (exponentials / exponentials.sum(1, keepdims=True)).mean(0)
        np.testing.assert_allclose(found[index], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"image_size": (12, 14)}, "square"),
        ({"crop_scales": (10, 20)}, "--crop_scales 10,20"),
        ({"dataset": "digits"}, "image files"),
        ({"drop_remainder": True}, "--drop_remainder"),
    ],
)
def test_crops_that_cannot_be_taken(options, says):
    usual = {
        "crops": 144,
        "image_size": (12, 12),
        "crop_scales": (14, 16),
        "dataset": "imagenet",
        "drop_remainder": False,
    }
    crops.check(SimpleNamespace(**usual))
    with pytest.raises(ConfigError, match=says):
        crops.check(SimpleNamespace(**{**usual, **options}))
