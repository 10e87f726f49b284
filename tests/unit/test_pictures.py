"""Images of users go the way of the evaluation's."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import mindspore.dataset.vision as vision
import numpy as np
import pytest
from PIL import Image

from mindlift.data import image_folder
from mindlift.data.classification import cifar10, pipeline, split
from mindlift.data.classification.named_images import Pictures, batches
from tests.support.batches import FOLDER_OPTIONS, OPTIONS, collect

RNG = np.random.default_rng(0)
SMOOTH = np.asarray(
    Image.fromarray(RNG.integers(0, 256, (9, 11, 3), np.uint8)).resize((61, 43), Image.Resampling.BICUBIC)
)


def encoded(picture: Image.Image, form: str, **how) -> bytes:
    out = io.BytesIO()
    picture.save(out, form, **how)
    return out.getvalue()


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[image_folder.ORIENTATION] = 6
    return exif


COLOUR = Image.fromarray(SMOOTH)
GREY16 = Image.fromarray(np.asarray(COLOUR.convert("L")).astype(np.uint16) * 256 + 77)
ALPHA = Image.fromarray(np.dstack([SMOOTH, RNG.integers(0, 256, SMOOTH.shape[:2], np.uint8)]))
# What MindSpore's decoder, which the evaluation uses, reads as well.
ALIKE = {
    "a.jpg": encoded(COLOUR, "JPEG", quality=90),
    "progressive.jpg": encoded(COLOUR, "JPEG", progressive=True),
    "turned.jpg": encoded(COLOUR, "JPEG", exif=turned()),
    "cmyk.jpg": encoded(COLOUR.convert("CMYK"), "JPEG"),
    "grey.jpg": encoded(COLOUR.convert("L"), "JPEG"),
    "alpha.png": encoded(ALPHA, "PNG"),
    "palette.png": encoded(COLOUR.convert("P"), "PNG"),
    "grey_alpha.png": encoded(COLOUR.convert("LA"), "PNG"),
    "bit.png": encoded(COLOUR.convert("1"), "PNG"),
    "grey16.png": encoded(GREY16, "PNG"),
    "grey16.tif": encoded(GREY16, "TIFF"),
    "a.bmp": encoded(COLOUR, "BMP"),
}


@pytest.mark.parametrize("name", ALIKE)
def test_pixels_are_those_of_the_evaluations_decoder(name):
    theirs = vision.Decode()(np.frombuffer(ALIKE[name], np.uint8))
    np.testing.assert_array_equal(image_folder.decode(ALIKE[name], name), theirs)


def test_other_formats_by_pillow(tmp_path):
    webp = encoded(COLOUR, "WEBP", lossless=True)
    np.testing.assert_array_equal(image_folder.decode(webp, "a.webp"), SMOOTH)
    frames = [COLOUR, Image.new("RGB", COLOUR.size)]
    gif = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert np.abs(image_folder.decode(gif, "a.gif").mean() - SMOOTH.mean()) < 3, "the first frame"


def test_a_turned_image_is_noticed():
    assert [name for name, data in ALIKE.items() if image_folder.is_rotated(data)] == ["turned.jpg"]
    assert not image_folder.is_rotated(b"no image")


@pytest.fixture
def tree(tmp_path) -> Path:
    for label in "ab":
        (tmp_path / label).mkdir()
    for i, (name, data) in enumerate(ALIKE.items()):
        if not name.endswith(".tif"):
            (tmp_path / "ab"[i % 2] / name).write_bytes(data)
    return tmp_path


def test_files_become_the_tensors_of_the_evaluation(tree):
    options = replace(FOLDER_OPTIONS, num_classes=2, image_size=(24, 32), eval_resize=40)
    samples = split.open_split(options, tree, train=False)
    theirs = collect(pipeline.eval_batches(samples, options, 0, 1))
    pictures = Pictures([Path(file) for file in samples.files], options)
    ours = collect(batches(pictures))
    np.testing.assert_array_equal(ours[0][: len(samples)], theirs[0][: len(samples)])
    np.testing.assert_array_equal(ours[1][: len(samples)], np.arange(len(samples)))
    assert ours[0].shape == (12, 3, 24, 32), "11 images in batches of 4"
    assert pictures.rotated == 1
    assert not pictures.failed


@pytest.mark.parametrize("size", [(32, 32), (8, 12)])
def test_digits_as_files_become_the_tensors_of_the_evaluation(digits, tmp_path, size):
    options = replace(OPTIONS, image_size=size)
    images, _ = cifar10.read_batch(digits / cifar10.FOLDER / "test_batch.bin")
    for i in range(20):
        Image.fromarray(images[i]).save(tmp_path / f"{i:02d}.png")
    samples = split.open_split(options, digits, train=False)
    theirs = next(iter(pipeline.eval_batches(samples, options, 0, 1)))[0].asnumpy()
    ours = next(iter(batches(Pictures(sorted(tmp_path.iterdir()), options))))[0].asnumpy()
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("options", [OPTIONS, FOLDER_OPTIONS], ids=["arrays", "files"])
def test_what_can_not_be_read_does_not_stop_the_rest(options, tmp_path):
    files = {
        "0.png": ALIKE["alpha.png"],
        "1.jpg": ALIKE["a.jpg"][:300],
        "2.png": ALIKE["alpha.png"][:300],
        "3.png": b"",
        "4.txt": b"some text",
        "5.jpg": ALIKE["a.jpg"],
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    pictures = Pictures([*sorted(tmp_path.iterdir()), tmp_path / "gone.png"], options)
    images = collect(batches(pictures))[0]
    assert sorted(pictures.failed) == [1, 2, 3, 4, 6]
    assert "truncated" in pictures.failed[1].lower()
    assert pictures.failed[4] == "not an image of a known format"
    assert pictures.failed[6] == "No such file or directory"
    assert len(images) >= 7
    assert images[0].std() > 0.1
    assert images[5].std() > 0.1
    assert images[1].std(axis=(1, 2)).max() < 1e-6, "black"
