"""The one rule for what is a data file: the same images for training, prediction and conversion."""

from __future__ import annotations

import io
import struct
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mindlift.data import image_folder, layout
from mindlift.data.classification.named_images import Pictures
from mindlift.data.classification.split import open_split
from mindlift.data.mindrecord import classification as records
from mindlift.errors import DataError
from mindlift.model_utils import image_files
from mindlift.model_utils.named_images import find_images
from mindlift.model_utils.staging.stager import Stager
from tests.support.batches import FOLDER_OPTIONS

TWO = replace(FOLDER_OPTIONS, num_classes=2)

IN = ("a.jpg", "B.JPEG", "c.jfif", "d.tif", "e.gif", "f.webp", "deep/er/g.png", "name with.dots.bmp")
OUT = {
    "._a.jpg": "hidden",
    ".x.jpg": "hidden",
    "Thumbs.db": "hidden",
    "notes.txt": ".txt",
    "photo.HEIC": ".heic",
    "README": "without a suffix",
    ".ipynb_checkpoints/a.jpg": "hidden folder(s)",
    "__MACOSX/a.jpg": "hidden folder(s)",
}


def touch(root: Path, *names: str, data: bytes = b"") -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)


@pytest.fixture
def tree(tmp_path):
    """Two classes with the same files, one image behind a link to a folder, a circle and a broken link."""
    for name in ("cat", "dog"):
        touch(tmp_path / "d" / name, *IN, *OUT)
    touch(tmp_path / "else", "linked.png")
    (tmp_path / "d/cat/more").symlink_to(tmp_path / "else")
    (tmp_path / "d/cat/round").symlink_to(tmp_path / "d")
    (tmp_path / "d/cat/gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    return tmp_path / "d"


def test_training_prediction_and_conversion_read_the_same_files(tree):
    wanted = sorted(str(tree / name / each) for name in ("cat", "dog") for each in IN)
    wanted = sorted([*wanted, str(tree / "cat/more/linked.png")])
    trained = open_split(TWO, tree, train=True)
    said: list[str] = []
    named = find_images([str(tree)], Stager(tree, said.append), "copy", ExitStack())
    classes, (split,) = records.folder_splits(tree)
    assert sorted(trained.files) == wanted == [image.name for image in named]
    assert sorted(str(tree / file) for file in split.files) == wanted
    assert classes == ["cat", "dog"]
    assert trained.note == split.note == said[0]
    assert len(said) == 1
    for part in ("6 hidden,", "2 .txt", "2 .heic", "4 hidden folder(s)", "1 broken link(s)", "1 link(s) in"):
        assert part in trained.note
    assert "\n" not in trained.note


@pytest.mark.parametrize(("name", "kind"), OUT.items())
def test_each_reason_to_leave_a_file_out_is_counted(tmp_path, name, kind):
    touch(tmp_path, name, "a.jpg")
    found = image_files.find(tmp_path)
    assert (found.files, dict(found.left_out)) == ([str(tmp_path / "a.jpg")], {kind: 1})
    assert not image_files.is_image(name)


def test_a_line_names_the_commonest_kinds_only(tmp_path):
    touch(tmp_path, *(f"{number}.x{number}" for number in range(20)), "a.x3")
    line = image_files.line(tmp_path, image_files.find(tmp_path).left_out)
    assert "2 .x3, 1 .x0" in line
    assert f"{20 - image_files.MOST_REASONS} other(s)" in line


def test_nothing_left_out_is_no_line(tmp_path):
    touch(tmp_path, "a.jpg")
    assert image_files.line(tmp_path, image_files.find(tmp_path).left_out) == ""


@pytest.mark.parametrize(
    "name", ["__MACOSX", "lost+found", ".ipynb_checkpoints", "@eaDir", ".git", "$RECYCLE.BIN"]
)
def test_folders_of_systems_are_no_classes(tmp_path, name):
    touch(tmp_path, "cat/a.jpg", f"{name}/a.jpg")
    assert layout.class_names(tmp_path) == ["cat"]


def test_a_class_without_images_is_named_unless_it_is_evaluated_or_meant(tmp_path):
    touch(tmp_path, "cat/a.jpg", "dog/a.heic", "dog/b.heic")
    with pytest.raises(DataError, match=r"no images of class dog in .*2 \.heic") as caught:
        open_split(TWO, tmp_path, train=True)
    assert "\n" not in str(caught.value)
    evaluated = open_split(TWO, tmp_path, train=False)
    assert evaluated.labels.tolist() == [0]
    assert "class folders without images: dog" in evaluated.note


FORMATS = ["GIF", "ICO", "JPEG2000", "TIFF", "WEBP", "PPM", "PNG", "BMP"]


@pytest.mark.parametrize("kind", FORMATS)
def test_whatever_a_jpg_is_mindspore_gets_what_it_decodes(tmp_path, kind):
    pixels = np.full((16, 16, 3), 255, np.uint8)
    Image.fromarray(pixels).save(tmp_path / "x.jpg", kind)
    data = image_folder.read_bytes(str(tmp_path / "x.jpg"))
    assert data.startswith(image_folder.AS_THEY_ARE)
    import mindspore.dataset.vision as vision

    np.testing.assert_array_equal(vision.Decode()(np.frombuffer(data, np.uint8)), pixels)


def cut(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), (9, 99, 200)).save(buffer, kind)
    return buffer.getvalue()[:-40]


class BrokenPlugin:
    def __init__(self, error: Exception):
        self.error = error

    def __call__(self, *args, **kwargs):
        raise self.error


@pytest.mark.parametrize(
    "error",
    [
        struct.error,
        IndexError,
        KeyError,
        EOFError,
        MemoryError,
        ZeroDivisionError,
        Image.DecompressionBombError,
    ],
)
def test_whatever_a_decoder_raises_names_the_file_and_ends_no_prediction(tmp_path, monkeypatch, error):
    touch(tmp_path, "x.jpg", data=cut("GIF"))
    monkeypatch.setattr(Image, "open", BrokenPlugin(error("bad")))
    with pytest.raises(DataError, match=r"x\.jpg"):
        image_folder.read_bytes(str(tmp_path / "x.jpg"))
    pictures = Pictures([tmp_path / "x.jpg"], TWO)
    assert pictures.decode(0) is None
    assert "bad" in pictures.failed[0]


@pytest.mark.parametrize("kind", ["PNG", "BMP"])
def test_an_image_above_the_pixel_limit_is_named_and_ends_no_prediction(tmp_path, monkeypatch, kind):
    Image.new("RGB", (64, 64)).save(tmp_path / "x.jpg", kind)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    pictures = Pictures([tmp_path / "x.jpg"], TWO)
    assert pictures.decode(0) is None
    assert "exceeds limit" in pictures.failed[0]
