"""Pairs to train and evaluate a segmentation with: values, order, and bad data."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image

from mindlift.data.order import BatchRange, sample_rng
from mindlift.data.segmentation import lists as seg_lists
from mindlift.data.segmentation import pairs as segmentation
from mindlift.data.segmentation import transform, voc
from mindlift.errors import DataError
from tests.support.pairs import OPTIONS, grey_png, noise, rows, train_pair

BGR_MEAN, BGR_STD = [103.53, 116.28, 123.675], [57.375, 57.12, 58.395]


def naive(image, label, rng, options):
    """The original's steps one by one, on BGR: scale, normalise, pad, crop, mirror, CHW."""
    scale = rng.uniform(options.min_scale, options.max_scale)
    height, width = int(scale * image.shape[0]), int(scale * image.shape[1])
    bgr = cv2.resize(image[..., ::-1], (width, height), interpolation=cv2.INTER_CUBIC)
    label = cv2.resize(label, (width, height), interpolation=cv2.INTER_NEAREST)
    bgr = (bgr - np.array(BGR_MEAN)) / np.array(BGR_STD)
    h, w = options.image_size
    low, right = max(h - height, 0), max(w - width, 0)
    bgr = cv2.copyMakeBorder(bgr, 0, low, 0, right, cv2.BORDER_CONSTANT, value=0)
    label = cv2.copyMakeBorder(label, 0, low, 0, right, cv2.BORDER_CONSTANT, value=options.ignore_label)
    top, left = int(rng.integers(bgr.shape[0] - h + 1)), int(rng.integers(bgr.shape[1] - w + 1))
    bgr, label = bgr[top : top + h, left : left + w], label[top : top + h, left : left + w]
    if rng.random() < options.hflip:
        bgr, label = bgr[:, ::-1], label[:, ::-1]
    return bgr.transpose(2, 0, 1)[::-1], label


@pytest.mark.parametrize("size", [(60, 90), (90, 60), (65, 65), (20, 200), (1, 1)])
@pytest.mark.parametrize("crop", [(65, 65), (33, 97)])
def test_pairs_are_those_of_the_originals_steps(size, crop):
    image, label = noise(size)
    options = replace(OPTIONS, image_size=crop, min_scale=1.0 if size == (1, 1) else 0.5)
    for index in range(25):
        expected, expected_label = naive(image, label, sample_rng(1, 0, index), options)
        pixels, classes = train_pair(image, label, sample_rng(1, 0, index), options)
        assert (pixels.shape, pixels.dtype, classes.dtype) == ((3, *crop), np.float32, np.int32)
        np.testing.assert_allclose(pixels, expected, rtol=0, atol=1e-6)
        np.testing.assert_array_equal(classes, expected_label)


def test_the_scale_mirroring_and_ignored_label_are_options():
    image, label = noise((40, 40))
    options = replace(OPTIONS, min_scale=1, max_scale=1, hflip=0, image_size=(50, 40), ignore_label=77)
    plain = train_pair(image, label, sample_rng(1, 0, 0), options)
    mirrored = train_pair(image, label, sample_rng(1, 0, 0), replace(options, hflip=1))
    np.testing.assert_array_equal(plain[1][:40], label)
    assert (plain[1][40:] == 77).all()
    assert (plain[0][:, 40:] == 0).all()
    np.testing.assert_array_equal(mirrored[0], plain[0][..., ::-1])
    np.testing.assert_array_equal(mirrored[1], plain[1][:, ::-1])


@pytest.mark.parametrize(
    ("size", "fits"), [((375, 500), (384, 513)), ((500, 333), (513, 341)), ((7, 7), (513, 513))]
)
def test_evaluation_resizes_the_long_side_and_pads_with_the_mean(size, fits):
    image, _ = noise(size)
    pixels, valid = transform.scaled(image, 513)
    assert (valid, pixels.shape, pixels.dtype) == (fits, (513, 513, 3), np.float32)
    expected = cv2.resize(image[..., ::-1], fits[::-1])
    expected = (expected - np.array(BGR_MEAN)) / np.array(BGR_STD)
    np.testing.assert_allclose(pixels[: fits[0], : fits[1], ::-1], expected, rtol=0, atol=1e-6)
    assert not pixels[fits[0] :].any()
    assert not pixels[:, fits[1] :].any()


def test_sides_of_the_scales():
    assert [transform.side_of(s, 513) for s in (0.5, 0.75, 1.0, 1.25, 1.75)] == [257, 385, 513, 641, 897]


@pytest.fixture
def folder(tmp_path):
    """Nine pairs of different sizes and a list, grey labels."""
    pairs = []
    for i in range(9):
        image, label = noise((40 + 9 * i, 120 - 7 * i), i)
        Image.fromarray(image).save(tmp_path / f"{i}.jpg", quality=90)
        (tmp_path / f"{i}.png").write_bytes(voc.as_png(label, coloured=i % 2 == 0))
        pairs.append(seg_lists.Pair(f"{i}.jpg", f"{i}.png"))
    seg_lists.write(tmp_path / seg_lists.TRAIN_LIST, pairs)
    return tmp_path


def test_palette_and_grey_labels_are_their_numbers(folder):
    samples = segmentation.open_split(OPTIONS, folder, train=True)
    assert samples.names == [f"{i}.jpg" for i in range(9)]
    for i in range(9):
        np.testing.assert_array_equal(samples.label(i), noise((40 + 9 * i, 120 - 7 * i), i)[1])
        np.testing.assert_array_equal(samples.image(i), np.asarray(Image.open(folder / f"{i}.jpg")))


def test_epochs_differ(folder):
    samples = segmentation.open_split(OPTIONS, folder, train=True)
    pair, shown = samples.pair(5), []
    for epoch in range(2):
        images, labels = transform.empty(1, OPTIONS)
        transform.train_pair(pair, sample_rng(1, epoch, 5), OPTIONS, (images[0], labels[0]))
        shown.append(labels)
    assert (shown[0] != shown[1]).any()
    batches = rows(samples, OPTIONS, BatchRange(0, 4))
    assert (batches[1][:8] != batches[1][8:]).any()


def damage(folder, kind):
    if kind == "no image":
        (folder / "5.jpg").unlink()
    elif kind == "cut image":
        (folder / "5.jpg").write_bytes((folder / "5.jpg").read_bytes()[:900])
    elif kind == "text":
        (folder / "5.jpg").write_text("no image")
    elif kind == "cut label":
        (folder / "5.png").write_bytes((folder / "5.png").read_bytes()[:300])
    elif kind == "no label":
        (folder / "5.png").unlink()
    elif kind == "size":
        (folder / "5.png").write_bytes(voc.as_png(noise((85, 86))[1], False))
    elif kind == "value":
        (folder / "5.png").write_bytes(voc.as_png(np.full((85, 85), 11, np.uint8), True))
    elif kind == "colours":
        Image.fromarray(np.zeros((85, 85, 3), np.uint8)).save(folder / "5.png")
    elif kind == "lossy":
        Image.fromarray(np.zeros((85, 85), np.uint8)).save(folder / "5.png", "JPEG")
    elif kind == "four bits":
        (folder / "5.png").write_bytes(grey_png(np.full((85, 85), 1, np.uint8), 4))


CORRUPT = {
    "no image": r"can't read image .*/5\.jpg",
    "cut image": r"corrupt image .*/5\.jpg",
    "text": r"corrupt image .*/5\.jpg",
    "cut label": r"corrupt label .*/5\.png: .*--skip_corrupt",
    "no label": r"can't read label .*/5\.png",
}
WRONG = {
    "size": r"/5\.png has 85 x 86 pixels .* image .*/5\.jpg has 85 x 85",
    "value": r"/5\.png: value 11 is neither a class \(0 - 10\) nor --ignore_label 255; .*mindlift data voc_labels",
    "colours": r"/5\.png is PNG of mode RGB, .*mindlift data voc_labels",
    "four bits": r"/5\.png is a grey PNG of 4 bits",
    "lossy": r"/5\.png is JPEG of mode L",
}


@pytest.mark.parametrize("kind", [*CORRUPT, *WRONG])
def test_a_bad_pair_is_named(folder, kind):
    samples = segmentation.open_split(OPTIONS, folder, train=True)
    damage(folder, kind)  # later, because what is missing is found when the list is opened
    with pytest.raises(DataError, match={**CORRUPT, **WRONG}[kind]) as caught:
        rows(samples, replace(OPTIONS, per_batch_size=9), BatchRange(0, 1))
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match=r"/5\.(png|jpg)"):
        (samples.image(5), samples.label(5))


@pytest.mark.parametrize("kind", [*CORRUPT, *WRONG])
def test_a_corrupt_pair_is_skipped_on_demand_but_wrong_labels_are_not(folder, kind):
    damage(folder, kind)
    options = replace(OPTIONS, skip_corrupt=True, per_batch_size=9)
    samples = segmentation.open_split(options, folder, train=True)
    if kind in WRONG:
        with pytest.raises(DataError, match=WRONG[kind]):
            rows(samples, options, BatchRange(0, 1))
        return
    first = rows(samples, options, BatchRange(0, 2))
    assert samples.skipped == 2
    np.testing.assert_array_equal(first[0], rows(samples, replace(options, workers=1), BatchRange(0, 2))[0])


def test_all_corrupt_is_one_line(folder):
    for i in range(9):
        (folder / f"{i}.jpg").write_bytes(b"none")
    options = replace(OPTIONS, skip_corrupt=True)
    with pytest.raises(DataError, match="none of the 9 images can be decoded"):
        rows(segmentation.open_split(options, folder, train=True), options, BatchRange(0, 1))
