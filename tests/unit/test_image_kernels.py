"""The compiled functions on images, beside Pillow's and OpenCV's own, and what happens where there are none."""

from __future__ import annotations

import functools
import io
import sys
import threading
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from mindlift.data import decoding, kernels, pillow
from mindlift.data.classification import crops, pipeline, rand_augment, split
from mindlift.data.draws import Draws, uniforms
from mindlift.data.kernels import KERNELS, Window
from mindlift.data.order import BatchRange
from mindlift.model_utils import compiler
from mindlift.model_utils.compiler import NotCompiled
from tests.support.batches import FOLDER_OPTIONS, collect
from tests.unit.test_rand_augment import RECIPE as BIT

KINDS = {
    "420": {"subsampling": "4:2:0"},
    "422": {"subsampling": "4:2:2"},
    "444": {"subsampling": "4:4:4"},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_rows": 2},
    "grey": {},
}
WAYS = (pillow.NEAREST, pillow.BILINEAR, pillow.BICUBIC)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("kernels")


@pytest.fixture
def compiled(folder):
    """In use for the test."""
    said: list[Exception] = []
    KERNELS.use(folder, said.append)
    found = KERNELS.get()
    assert found is not None, said
    assert found.jpeg_size, "Pillow's wheels bring a libjpeg-turbo with the interface 62"
    yield found
    KERNELS.found = None


def images(count, most=70):
    """Photographs and noise of many sizes, 1 x 1 among them."""
    rng, photographs = np.random.default_rng(3), load_sample_images().images
    for number in range(count):
        height, width = rng.integers(1, most, 2) if number else (1, 1)
        if number % 3:
            yield photographs[number % 2][number : number + height, : 2 * width : 2], rng
        else:
            yield rng.integers(0, 256, (height, width, 3), np.uint8), rng


def jpeg(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    (image.convert("L") if kind == "grey" else image).save(buffer, "JPEG", quality=90, **KINDS[kind])
    return buffer.getvalue()


@pytest.mark.parametrize("way", [pillow.BILINEAR, pillow.BICUBIC])
def test_resizing_is_pillows(compiled, way):
    for image, rng in images(60):
        height, width = (int(side) for side in rng.integers(1, 120, 2))
        wanted = np.asarray(Image.fromarray(image).resize((width, height), way))
        np.testing.assert_array_equal(pillow.resized(image, (height, width), way), wanted)
        top, left = int(rng.integers(height)), int(rng.integers(width))
        part = Window(
            top, left, int(rng.integers(1, height - top + 1)), int(rng.integers(1, width - left + 1))
        )
        np.testing.assert_array_equal(pillow.resized(image, (height, width), way, part), part.of(wanted))


@pytest.mark.parametrize("way", WAYS)
def test_transforming_is_pillows(compiled, way):
    """Shears, whose one direction is computed by itself, translations, any matrix, and one beyond 16 bits before the point."""
    for image, rng in images(40):
        slope, far = float(rng.normal(0, 0.5)), tuple(rng.normal(0, 40_000, 6).tolist())
        shears = (1, slope, 0, 0, 1, 0), (1, 0, 0, slope, 1, 0), (1, 0.3, 0, 0, 1, 0), (1, 0, 5.5, 0, 1, 0)
        for matrix in (*shears, tuple(rng.normal(0, 1, 6).tolist()), far):
            picture = Image.fromarray(image)
            wanted = picture.transform(
                picture.size, Image.Transform.AFFINE, matrix, way, fillcolor=(128, 3, 7)
            )
            found = pillow.affine(image, matrix, way, (128, 3, 7))
            np.testing.assert_array_equal(found, np.asarray(wanted))


@pytest.mark.parametrize("way", WAYS)
def test_rotating_is_pillows(compiled, way):
    for number, (image, rng) in enumerate(images(40)):
        degrees = (0.0, 90.0, -90.0, 180.0, 270.0, 360.0)[number] if number < 6 else float(rng.normal(0, 90))
        wanted = Image.fromarray(image).rotate(degrees, way, fillcolor=(9, 8, 7))
        found = pillow.rotated(image, degrees, way, (9, 8, 7))
        np.testing.assert_array_equal(found, np.asarray(wanted))


def test_grey_values_are_pillows(compiled):
    """Of all values of green and blue, and of some of red."""
    green, blue = np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8))
    for red in (0, 1, 77, 254, 255):
        image = np.stack([np.full_like(green, red), green, blue], 2)
        np.testing.assert_array_equal(pillow.luma(image), np.asarray(Image.fromarray(image).convert("L")))


@pytest.mark.parametrize("factor", [1, 2, 4, 8])
@pytest.mark.parametrize("kind", KINDS)
def test_a_part_of_a_jpeg_is_that_of_the_whole(compiled, kind, factor):
    """As OpenCV decodes it, which test_input_pixels.py holds against Pillow and MindSpore."""
    for image, rng in images(25, most=200):
        data = jpeg(Image.fromarray(image), kind)
        header = decoding.frame(data)
        whole = decoding.decode_reduced(data, "a.jpg", header, factor)
        height, width = whole.shape[:2]
        top, left = int(rng.integers(height)), int(rng.integers(width))
        part = Window(
            top, left, int(rng.integers(1, height - top + 1)), int(rng.integers(1, width - left + 1))
        )
        found = compiled.jpeg_part(data, (height, width), factor, part)
        np.testing.assert_array_equal(found, part.of(whole))
        np.testing.assert_array_equal(decoding.decode_part(data, "a.jpg", header, factor, part), found)


def test_little_more_than_a_part_is_made(compiled):
    data = jpeg(Image.fromarray(load_sample_images().images[0]), "420")
    found = compiled.jpeg_part(data, (427, 640), 1, Window(100, 200, 50, 60))
    assert found.base.nbytes <= (50 + 3 * 16) * (60 + 2 * 16 + 32) * 3


@pytest.mark.parametrize("harm", ["cut", "changed", "no JPEG", "other size"])
def test_damaged_data_are_left_to_the_decoder_of_whole_images(compiled, harm):
    data = bytearray(jpeg(Image.fromarray(load_sample_images().images[0]), "420"))
    size, part = (427, 640), Window(300, 0, 100, 640)
    middle = len(data) // 2
    if harm == "cut":
        data = data[:middle] + data[-2:]
    if harm == "changed":
        data[middle : middle + 40] = b"\xff\xd0" * 20
    if harm == "no JPEG":
        data = bytearray(b"BM" + data)
    if harm == "other size":
        size, part = (900, 640), Window(700, 0, 100, 640)
    assert compiled.jpeg_part(bytes(data), size, 1, part) is None


def lets_others_run(call) -> bool:
    """With the interval between switches set to an hour another thread runs only while somebody gives the lock back."""
    gate, has_run, before = threading.Lock(), threading.Event(), sys.getswitchinterval()

    def other() -> None:
        with gate:
            has_run.set()

    gate.acquire()
    thread = threading.Thread(target=other)
    thread.start()
    try:
        sys.setswitchinterval(3600)
        gate.release()
        return any(call() is not None and has_run.is_set() for _ in range(3000))
    finally:
        sys.setswitchinterval(before)
        thread.join()


def test_while_they_compute_other_threads_run(compiled):
    image = np.ascontiguousarray(load_sample_images().images[0])
    data = jpeg(Image.fromarray(image), "420")
    assert lets_others_run(lambda: pillow.resized(image, (300, 300), pillow.BICUBIC))
    assert lets_others_run(lambda: pillow.affine(image, (1, 0.3, 0, 0, 1, 0), pillow.BICUBIC))
    assert lets_others_run(lambda: pillow.luma(image))
    assert lets_others_run(lambda: compiled.jpeg_part(data, (427, 640), 1, Window(9, 9, 400, 600)))
    assert not lets_others_run(lambda: 1), "nor does anything without them"


def of_both(make, folder):
    """What `make` gives without them and with them."""
    without = make()
    KERNELS.use(folder, lambda why: pytest.fail(str(why)))
    try:
        return without, make()
    finally:
        KERNELS.found = None


def test_rand_augment_does_not_change(folder):
    image = np.ascontiguousarray(load_sample_images().images[1][:60, :80])

    def make():
        rows = uniforms(0, 0, np.arange(150), [rand_augment.numbers_of(2)])[0].tolist()
        return np.stack([rand_augment.rand_augment(image, Draws(row), 2, 12.0) for row in rows])

    np.testing.assert_array_equal(*of_both(make, folder))


def test_crops_do_not_change(folder):
    image = load_sample_images().images[0][:200, :300]
    without, found = of_both(lambda: list(crops.crops(image, [80, 91], 75)), folder)
    assert len(found) == len(without) > 20
    for (one, weight), (other, its_weight) in zip(without, found):
        np.testing.assert_array_equal(one, other)
        assert weight == its_weight


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_batches_do_not_change(folder, tmp_path, interpolation):
    for number, (image, _) in enumerate(images(8, most=300)):
        file = tmp_path / f"{'ab'[number % 2]}/{number}.jpg"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(jpeg(Image.fromarray(image), "420"))
    options = replace(FOLDER_OPTIONS, num_classes=2, per_batch_size=8, interpolation=interpolation)

    def make():
        samples = split.open_split(options, tmp_path, train=True)
        return collect(pipeline.train_batches(samples, options, BatchRange(0, 3)))[0]

    np.testing.assert_array_equal(*of_both(make, folder))


def test_with_them_images_are_not_copied_into_pillows(compiled, monkeypatch, digits):
    """A recipe that resizes as Pillow does and augments by RandAugment."""
    samples = split.open_split(BIT, digits, train=True)
    monkeypatch.setattr(Image, "fromarray", lambda *given: pytest.fail("a copy"))
    assert len(collect(pipeline.train_batches(samples, BIT, BatchRange(0, 2)))[0])


def test_without_a_compiler_it_is_said_once(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    said: list[Exception] = []
    KERNELS.use(tmp_path, said.append)
    image = np.zeros((4, 4, 3), np.uint8)
    for _ in range(2):
        assert pillow.resized(image, (2, 3), pillow.BILINEAR).shape == (2, 3, 3)
    assert ["there is no C++ compiler here" in str(each) for each in said] == [True]


def test_a_library_that_computes_other_pixels_is_not_used(tmp_path):
    sources = []
    for source in kernels.SOURCES:
        sources.append(tmp_path / source.name)
        sources[-1].write_text(
            source.read_text().replace("const double a = -0.5;", "const double a = -0.75;")
        )
    path = compiler.library(tmp_path, "pixels", sources, [kernels.EXACT])
    with pytest.raises(NotCompiled, match="other pixels than Pillow"):
        kernels.load(path)


def test_a_damaged_library_is_not_used(tmp_path):
    (tmp_path / "pixels.so").write_bytes(b"no library")
    with pytest.raises(NotCompiled, match="does not load"):
        kernels.load(tmp_path / "pixels.so")


def test_another_libjpeg_is_not_called(folder, compiled, monkeypatch):
    """Where there is none with the interface 62, OpenCV decodes the whole image."""
    monkeypatch.setattr(kernels, "loaded", lambda name: [])
    found = kernels.load(compiler.library(folder, "pixels", kernels.SOURCES, [kernels.EXACT]))
    assert (
        found.jpeg_part(
            jpeg(Image.fromarray(np.zeros((20, 20, 3), np.uint8)), "420"), (20, 20), 1, Window(0, 0, 9, 9)
        )
        is None
    )


def calls_of(work) -> int:
    """Of Python's functions and of C's, each of which holds the lock at its beginning and its end."""
    made = Counter()
    sys.setprofile(lambda frame, event, argument: made.update([event]))
    try:
        work()
    finally:
        sys.setprofile(None)
    return made["call"] + made["c_call"]


def median_calls(options, path) -> float:
    samples = split.open_split(options, path, train=True)
    source = pipeline.train_batches(samples, options, BatchRange(0, 9)).source
    batches = [source.batch(number) for number in range(9)]
    rows = range(options.per_batch_size)
    return float(
        np.median([calls_of(functools.partial(batch.fill, row)) for batch in batches for row in rows])
    )


def test_an_image_takes_few_calls(compiled, tmp_path, digits):
    """By the steps of ResNet-50's recipe 113 when this was written, by those of BiT's 86 (before: 138 and 290)."""
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / f"{name}/0.jpg").write_bytes(jpeg(Image.fromarray(load_sample_images().images[0]), "420"))
    photographs = replace(FOLDER_OPTIONS, num_classes=2, per_batch_size=2, color_jitter=0.0, as_pixels=True)
    assert median_calls(photographs, tmp_path) < 130
    assert median_calls(replace(BIT, as_pixels=True), digits) < 110


def test_normalised_planes_are_the_tables_values(compiled):
    """By numpy's indexing; of an image of which rows are apart."""
    image = load_sample_images().images[0][3:40, 5:60]
    table, found = np.random.default_rng(0).random((3, 256), np.float32), np.empty((3, 37, 55), np.float32)
    compiled.write_planes(image, table, found)
    np.testing.assert_array_equal(found, [table[channel][image[..., channel]] for channel in range(3)])
