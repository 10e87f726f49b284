"""Pixels of the input pipeline, beside Pillow's and the operators of mindspore.dataset.vision that the originals have."""

from __future__ import annotations

import io
from dataclasses import replace

import cv2
import mindspore.dataset.vision as vision
import numpy as np
import pytest
from PIL import Image, ImageEnhance
from sklearn.datasets import load_sample_images

from mindlift.data import decoding
from mindlift.data.classification import augment, pipeline, sources, split
from mindlift.data.classification.options import statistics
from mindlift.data.draws import Draws
from mindlift.data.order import TrainOrder
from tests.support.batches import FOLDER_OPTIONS, collect, made

SHAPES = ((375, 500), (500, 333), (427, 640), (61, 90), (64, 64), (33, 17))
KINDS = {
    "420": {"subsampling": "4:2:0"},
    "422": {"subsampling": "4:2:2"},
    "444": {"subsampling": "4:4:4"},
    "progressive": {"progressive": True},
    "exif": {"exif": b"Exif\0\0" + b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"},
}


def photograph(number: int, height: int, width: int) -> Image.Image:
    whole = Image.fromarray(load_sample_images().images[number % 2])
    return whole.resize((width, height), Image.Resampling.LANCZOS)


def jpeg(image: Image.Image, **how: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90, **how)
    return buffer.getvalue()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", [*KINDS, "grey"])
def test_a_jpeg_decodes_to_pillows_values_and_mindspores(shape, kind):
    image = photograph(0, *shape)
    data = jpeg(image.convert("L")) if kind == "grey" else jpeg(image, **KINDS[kind])
    found = decoding.decode(data, "a.jpg")
    np.testing.assert_array_equal(found, np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))
    np.testing.assert_array_equal(found, vision.Decode()(np.frombuffer(data, np.uint8)))
    assert decoding.frame(data) == (*shape, 1 if kind == "grey" else 3)


@pytest.mark.parametrize("factor", [2, 4, 8])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_reduced_jpeg_is_pillows_draft(shape, factor):
    data = jpeg(photograph(1, *shape))
    picture = Image.open(io.BytesIO(data))
    picture.draft("RGB", tuple(side // factor for side in picture.size))
    found = decoding.decode_reduced(data, "a.jpg", decoding.frame(data), factor)
    assert found.shape[:2] == tuple(-(-side // factor) for side in shape)
    np.testing.assert_array_equal(found, np.asarray(picture))


@pytest.mark.parametrize("mode", ["CMYK", "PNG", "cut", "short"])
def test_what_opencv_does_otherwise_is_left_to_pillow(mode):
    image = photograph(0, 40, 30)
    data = jpeg(image.convert("CMYK")) if mode == "CMYK" else jpeg(image)
    data = {"PNG": b"\x89PNG" + data, "cut": data[:-2], "short": data[:12] + data[-2:]}.get(mode, data)
    assert decoding.frame(data) is None


@pytest.mark.parametrize(
    ("have", "wanted", "factor"),
    [
        ((375, 500), (224, 224), 1),
        ((447, 900), (224, 224), 1),
        ((448, 448), (224, 224), 2),
        ((3000, 4000), (224, 224), 8),
        ((100, 100), (224, 224), 1),
        ((1000, 10000), (224, 224), 4),
    ],
)
def test_as_much_is_left_as_is_wanted(have, wanted, factor):
    assert decoding.reduction(have, wanted) == factor


ADJUSTED = {
    augment.brightness: (vision.AdjustBrightness, ImageEnhance.Brightness),
    augment.contrast: (vision.AdjustContrast, ImageEnhance.Contrast),
    augment.saturation: (vision.AdjustSaturation, ImageEnhance.Color),
}


@pytest.mark.parametrize("adjust", ADJUSTED, ids=lambda each: each.__name__)
@pytest.mark.parametrize("factor", [0.0, 0.6, 0.83, 1.0, 1.17, 1.4, 2.0])
def test_an_adjustment_is_mindspores_and_pillows(adjust, factor):
    """Both differ by one grey value at most: MindSpore's rounds halves otherwise, Pillow's cuts fractions off."""
    for number in range(2):
        image = np.asarray(photograph(number, 224, 224))
        of_mindspore, of_pillow = ADJUSTED[adjust]
        found = adjust(image, factor).astype(int)
        theirs = np.asarray(of_mindspore(factor)(image)).astype(int)
        assert np.abs(found - theirs).mean() < 0.2
        assert np.abs(found - theirs).max() <= 1
        theirs = np.asarray(of_pillow(Image.fromarray(image)).enhance(factor)).astype(int)
        assert np.abs(found - theirs).mean() < 0.55
        assert np.abs(found - theirs).max() <= 1


def test_jitter_is_its_steps_in_the_drawn_order():
    """Beside Pillow's: three times a fraction that is cut off, which later steps enlarge."""
    image = np.asarray(photograph(0, 60, 80))
    for order in (0.1, 0.9):
        numbers = [0.3, 0.8, 0.6, order]
        found = augment.jitter(image, Draws(numbers), 0.4)
        picture = Image.fromarray(image)
        enhancers = ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color
        for which in augment.ORDERS[int(order * 6)]:
            picture = enhancers[which](picture).enhance(0.6 + 0.8 * numbers[which])
        assert np.abs(found.astype(int) - np.asarray(picture)).mean() < 1.5


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """Photographs of all shapes and kinds in one class."""
    tmp_path = tmp_path_factory.mktemp("tree")
    (tmp_path / "only").mkdir()
    for i, shape in enumerate(SHAPES):
        for kind, how in KINDS.items():
            (tmp_path / f"only/{i}_{kind}.jpg").write_bytes(jpeg(photograph(i, *shape), **how))
        photograph(i, *shape).convert("RGBA").save(tmp_path / f"only/{i}_alpha.png")
        (tmp_path / f"only/{i}_grey.jpg").write_bytes(jpeg(photograph(i, *shape).convert("L")))
        (tmp_path / f"only/{i}_cmyk.jpg").write_bytes(jpeg(photograph(i, *shape).convert("CMYK")))
    return tmp_path


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("normalize", ["imagenet", "half"])
@pytest.mark.parametrize("sizes", [(64, None), (48, None), (256, 0.875), (256, 0.61)])
def test_an_evaluation_has_the_values_of_mindspores_operators(tree, sizes, normalize, interpolation):
    """Bit for bit, so that published figures stay: Decode, Resize, CenterCrop, Normalize, HWC2CHW."""
    eval_resize, crop_pct = sizes
    options = replace(
        FOLDER_OPTIONS,
        num_classes=1,
        image_size=(64, 64) if crop_pct is None else (96, 96),
        eval_resize=eval_resize,
        crop_pct=crop_pct,
        interpolation=interpolation,
        normalize=normalize,
    )
    samples = split.open_split(options, tree, train=False)
    images, _, weights = collect(pipeline.eval_batches(samples, options, 0, 1))
    method = vision.Inter.PILCUBIC if interpolation == "bicubic" else vision.Inter.LINEAR
    size = (eval_resize, eval_resize) if crop_pct is None else int(96 / crop_pct)
    steps = (
        vision.Decode(),
        vision.Resize(size, method),
        vision.CenterCrop(options.image_size),
        vision.Normalize(*statistics(options)),
        vision.HWC2CHW(),
    )
    for found, file in zip(images[weights == 1], samples.files):
        wanted = np.fromfile(file, np.uint8)
        for step in steps:
            wanted = step(wanted)
        np.testing.assert_array_equal(found, wanted, err_msg=file)


def cropped(folder, shape: tuple[int, int], count: int):
    """Random crops of a photograph at 64 x 64: by the pipeline; by Decode, Crop and Resize; and the whole crop.

    Where the pipeline decodes at a fraction of the size the crop is compared where that begins at a whole pixel.
    """
    folder.mkdir()
    (folder / "only").mkdir()
    (folder / "only/a.jpg").write_bytes(jpeg(photograph(0, *shape)))
    options = replace(FOLDER_OPTIONS, num_classes=1, image_size=(64, 64), hflip=0, color_jitter=0)
    samples = split.open_split(options, folder, train=True)
    source = sources.TrainSource(samples, TrainOrder(1, 1, 0, 1, 1), options)
    whole = vision.Decode()(np.fromfile(samples.files[0], np.uint8))
    for epoch in range(count):
        region = source.numbers(epoch, np.array([0]))[0][sources.REGION][0]
        top, left, h, w = augment.crop_box(*shape, Draws(region.tolist()))
        factor = decoding.reduction((h, w), (64, 64))
        top, left, h, w = (each // factor * factor for each in (top, left, h, w))
        crop = vision.Crop((top, left), (h, w))(whole)
        (found,), wanted = made(source, 0, epoch), vision.Resize((64, 64))(crop)
        yield found.astype(int), wanted.astype(int), crop


def test_a_crop_is_mindspores_where_no_pixels_can_be_saved(tmp_path):
    for found, wanted, crop in cropped(tmp_path / "small", (100, 127), 20):
        assert min(crop.shape[:2]) < 2 * 64
        np.testing.assert_array_equal(found, wanted)


def test_a_crop_of_a_reduced_image_is_nearer_to_one_that_averages(tmp_path):
    """Averaged: cv2.INTER_AREA. MindSpore's Resize reads four pixels for each new one, however much an image shrinks."""
    found_off, theirs_off, apart = [], [], []
    for found, wanted, crop in cropped(tmp_path / "large", (400, 600), 40):
        if min(crop.shape[:2]) < 2 * 64:
            np.testing.assert_array_equal(found, wanted)
            continue
        averaged = cv2.resize(crop, (64, 64), interpolation=cv2.INTER_AREA)
        found_off.append(np.abs(found - averaged).mean())
        theirs_off.append(np.abs(wanted - averaged).mean())
        apart.append(np.abs(found - wanted).mean())
    assert len(apart) > 10
    assert np.mean(found_off) < 0.5 * np.mean(theirs_off)
    assert np.mean(apart) < 12
