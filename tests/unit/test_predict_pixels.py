"""What predict.py makes of images to segment: labels as an evaluation's, shares, masks; and exported networks."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from PIL import Image

from mindlift.data.segmentation import voc
from mindlift.data.segmentation.named_images import Pictures
from mindlift.errors import CheckpointError, ConfigError, StorageError
from mindlift.inference import export as exporter
from mindlift.model_utils import devices
from mindlift.model_utils.config import config
from mindlift.model_utils.named_images import Image as Named
from mindlift.runs import provenance
from mindlift.runs.log import RunLog
from mindlift.tasks import base as task
from mindlift.tasks import network as build
from mindlift.tasks.prediction_files import Class, Prediction, Segments
from mindlift.tasks.segmentation import pictures as segment_pictures
from mindlift.tasks.segmentation import predict as predict_pixels
from mindlift.tasks.segmentation.objective import probabilities
from mindlift.tasks.segmentation.task import likeliest
from tests.support import segments
from tests.unit.test_pictures import ALIKE

RNG = np.random.default_rng(5)
NAMES = list(voc.DIGITS)


def test_of_equal_classes_the_first():
    assert not likeliest([np.full((3, 2, 2), 1 / 3, np.float32)], (4, 4)).any()


def test_shares_are_of_the_pixels_and_only_of_classes_that_are_there():
    label = np.array([[0, 0, 0, 2], [2, 5, 1, 1]], np.uint8)
    assert predict_pixels.present(label, NAMES) == [
        Class(0, "background", 0.375),
        Class(1, "digit 0", 0.25),
        Class(2, "digit 1", 0.25),
        Class(5, "digit 4", 0.125),
    ]


# --- reading


def test_pictures_come_in_order_with_what_can_not_be_read(tmp_path):
    good = {name: data for name, data in ALIKE.items() if name not in ("cmyk.jpg",)}
    files = []
    for name, data in {**good, "cut.png": ALIKE["alpha.png"][:300], "text.txt": b"text"}.items():
        files.append(tmp_path / name)
        files[-1].write_bytes(data)
    pictures = Pictures([*files, tmp_path / "gone.png"], 2)
    with ThreadPoolExecutor(2) as pool:
        batches = list(pictures.batches(pool, 4))
    found = [one for batch in batches for one in batch]
    assert [index for index, _ in found] == list(range(len(good) + 3))
    assert {len(batch) for batch in batches[:-1]} == {4}
    assert all(image.shape == (43, 61, 3) for _, image in found[: len(good)])
    assert [image for _, image in found[len(good) :]] == [None] * 3
    assert sorted(pictures.failed) == [len(good), len(good) + 1, len(good) + 2]
    assert pictures.failed[len(good) + 2] == "No such file or directory"
    assert pictures.rotated == 1


def test_small_images_go_in_larger_batches():
    def most(*words: object) -> int:
        argv = ["--net", "deeplab_v3_s16", "--ckpt_file", "x", *map(str, words), "a.png"]
        return predict_pixels.max_batch_size(config.load(argv, prog="predict.py"))

    assert most() == 4
    assert most("--scales", 0.5, "--scales", 1.75) == 1
    assert most("--image_size", 65) > 100


# --- files


def named(*files: str) -> list[Named]:
    return [Named(file, Path(file)) for file in files]


def test_masks_have_the_names_of_the_images_and_none_twice():
    images = named("x/a.jpg", "y/a.png", "a_overlay.jpg", "b.tif", "a-2.png")
    masks = segment_pictures.mask_files(Path("out"), images)
    assert [mask.name for mask in masks] == ["a.png", "a-2.png", "a_overlay-2.png", "b.png", "a-2-2.png"]
    every = [*masks, *(segment_pictures.overlay_file(mask) for mask in masks)]
    assert len(set(every)) == 10


@pytest.mark.parametrize("name", ["a.png", "a_overlay.png"])
def test_images_are_not_replaced(tmp_path, name):
    others = named(str(tmp_path / "a.jpg"), str(tmp_path / name))
    with pytest.raises(ConfigError, match=r"a.*\.png is one of the images"):
        segment_pictures.mask_files(tmp_path, others)
    assert len(segment_pictures.mask_files(tmp_path / "new", others)) == 2


def segmented(name: str, mask: Path | None) -> Prediction:
    image = RNG.integers(0, 256, (20, 30, 3), dtype=np.uint8)
    label = np.zeros((20, 30), np.uint8)
    label[5:15, 5:25] = 4
    return Prediction(
        name, Path(name), predict_pixels.present(label, NAMES), segments=Segments(image, label, mask)
    )


BAD = Prediction("bad.png", Path("bad.png"), [], "cut short")


def test_a_mask_holds_the_classes_and_the_overlay_their_colours(tmp_path):
    one = segmented("a.png", tmp_path / "out/a.png")
    with RunLog(None, 0, False) as log, segment_pictures.MaskFolder(tmp_path / "out", log) as folder:
        folder.add(one)
        folder.add(BAD)
    assert sorted(os.listdir(tmp_path / "out")) == ["a.png", "a_overlay.png"]
    mask = (tmp_path / "out/a.png").read_bytes()
    np.testing.assert_array_equal(voc.decode_label(mask, "a.png"), one.segments.label)
    assert Image.open(tmp_path / "out/a.png").convert("RGB").getpixel((10, 10)) == (0, 0, 128)
    shown = np.asarray(Image.open(tmp_path / "out/a_overlay.png")).astype(float)
    np.testing.assert_array_equal(shown[:4], one.segments.image[:4])
    expected = 0.4 * one.segments.image[10, 10] + 0.6 * np.array([0, 0, 128])
    np.testing.assert_allclose(shown[10, 10], expected, atol=0.51)


def test_a_folder_that_can_not_be_made_is_one_line(tmp_path):
    with (
        RunLog(None, 0, False) as log,
        pytest.raises(StorageError, match="can't make .*gone/out: No such file"),
        segment_pictures.MaskFolder(tmp_path / "gone/out", log),
    ):
        pass


def test_the_sheet_shows_images_and_classes(tmp_path, capsys):
    with RunLog(None, 0, False) as log, segment_pictures.Sheet(tmp_path / "x.png", NAMES, log) as sheet:
        for prediction in (segmented("a.png", None), BAD, segmented("b.png", None)):
            sheet.add(prediction)
    shown = np.asarray(Image.open(tmp_path / "x.png").convert("RGB")).astype(int)
    assert shown.shape[1] == 2 * 256 + 3 * 12, "images and predictions"
    assert (np.abs(shown - [0, 0, 128]).max(-1) == 0).sum() > 100, "the colour in the legend"
    assert "shows the first" not in capsys.readouterr().out


# --- exported models


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> tuple[Path, list[Path]]:
    root = tmp_path_factory.mktemp("segments")
    images = segments.write_images(root, 3)
    return segments.save_weights(root / "net.ckpt", images), images


def options(*words: object) -> config.Config:
    return config.load([str(word) for word in (*segments.NET, *words)], prog="export.py")


def exported(weights: Path, folder: Path, *words: object) -> provenance.Model:
    cfg = options("--ckpt_file", weights, "--file_name", folder / "net", "--device_id", 3, *words)
    return provenance.read_model(exporter.run(cfg, weights, NAMES))


@pytest.mark.heavy
def test_a_model_of_either_layout_is_the_network(weights, tmp_path):
    checkpoint, _ = weights
    (tmp_path / "last").mkdir()
    first = exported(checkpoint, tmp_path, "--batch_size", 2)
    last = exported(checkpoint, tmp_path / "last", "--batch_size", 2, "--input_format", "NHWC")
    assert first.facts["input"]["shape"] == [2, 3, 65, 65]
    assert last.facts["input"]["shape"] == [2, 65, 65, 3]
    assert last.facts["input"]["layout"] == "NHWC"
    assert first.shape == last.shape == (2, 3, 65, 65)
    assert first.facts["output"]["shape"] == [2, 11, 65, 65]
    assert "long side to 65" in first.facts["preprocessing"]["resize"]
    assert first.facts["preprocessing"]["mean"] == [123.675, 116.28, 103.53]
    images = RNG.normal(size=(2, 3, 65, 65)).astype(np.float32)
    network = exporter.loaded(options("--ckpt_file", checkpoint), checkpoint)
    for flip in (False, True):
        expected = probabilities(network, flip)(images)
        for model in (first, last):
            found = probabilities(exporter.Exported(model), flip)(images)
            np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.abs(expected - probabilities(network, False)(images)).max() > 0.1, "mirrored ones were added"


def test_a_model_that_this_mindspore_can_not_read_is_one_line(tmp_path):
    (tmp_path / "x.mindir").write_bytes(b"no model")
    with pytest.raises(CheckpointError, match=r"can't load .*x.mindir: .*; export again"):
        exporter.Exported(provenance.Model(tmp_path / "x.mindir", {}))


def test_the_layout_is_an_option_of_every_network(tmp_path):
    argv = ["--net", "densenet22", "--dataset", "digits", "--ckpt_file", "x", "--input_format", "NHWC"]
    cfg = config.load(argv, prog="export.py")
    assert exporter.input_shape(cfg) == (1, 8, 8, 3)
    network = build.network(cfg, devices.of(devices.ANY)).set_train(False)
    images = RNG.normal(size=(1, 3, 8, 8)).astype(np.float32)
    last = exporter.ChannelsLast(network).set_train(False)
    expected = network(ms.Tensor(images)).asnumpy()
    turned = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
    np.testing.assert_allclose(last(ms.Tensor(turned)).asnumpy(), expected, rtol=1e-5, atol=1e-6)
    for file_format in ("MINDIR", "ONNX"):
        path = exporter.write(last, turned, tmp_path / f"net{exporter.SUFFIX[file_format]}", file_format)
        exporter.compared(path, file_format, turned, expected)


def test_a_model_to_segment_is_square(weights):
    kind = task.of(options("--ckpt_file", "x"))
    assert kind.input_size(options("--ckpt_file", "x").replace(image_size="33,65")) == (65, 65), "of a run"
    with pytest.raises(ConfigError, match="filled up to a square"):
        kind.input_size(config.load([*map(str, segments.NET[:4]), "--image_size", "33,65"]))


def test_onnx_of_a_network_to_segment(weights, tmp_path, capsys):
    checkpoint, _ = weights
    cfg = options("--ckpt_file", checkpoint, "--file_name", tmp_path / "net", "--file_format", "ONNX")
    path = exporter.run(cfg, checkpoint, NAMES)
    facts = json.loads(provenance.side_file_of(path).read_text())
    assert facts["format"] == "ONNX"
    has_runtime = exporter.importlib.util.find_spec("onnxruntime") is not None
    assert ("largest difference" if has_runtime else "not compared") in capsys.readouterr().out
