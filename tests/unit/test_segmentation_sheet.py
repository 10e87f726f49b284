"""The picture of images, truths and predictions."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from mindlift.data.segmentation import voc
from mindlift.errors import StorageError
from mindlift.runs.log import RunLog
from mindlift.tasks.drawing import BACKGROUND
from mindlift.tasks.segmentation import sheet as segmentation_sheet
from mindlift.tasks.segmentation.sheet import LINE, PAD, SIDE, SegmentationSheet, overlay

NAMES = list(voc.CLASSES)


def image_and_label(height=32, width=64, number=15):
    """Grey, the right half of class `number`."""
    label = np.zeros((height, width), np.uint8)
    label[:, width // 2 :] = number
    return np.full((height, width, 3), 90, np.uint8), label


def test_an_overlay_leaves_the_background_and_mixes_the_rest():
    image, label = image_and_label()
    label[0, -1] = 255
    found = overlay(image, label, 0.25)
    assert (found[:, :32] == 90).all()
    assert found[5, 40].tolist() == [round(0.75 * 90 + 0.25 * c) for c in (192, 128, 128)]
    assert found[0, -1].tolist() == [round(0.75 * 90 + 0.25 * c) for c in (224, 224, 192)]
    assert (overlay(image, label, 1.0)[:, 32:].reshape(-1, 3)[1] == voc.palette()[15]).all()


def drawn(path, rows, names=NAMES, count=None, with_truth=True):
    with (
        RunLog(None, 0, False) as log,
        SegmentationSheet(path, count or len(rows), names, log, with_truth=with_truth) as sheet,
    ):
        for row in rows:
            sheet.add(*row)
    return np.asarray(Image.open(path))


def colours(pixels):
    return {tuple(colour) for colour in pixels.reshape(-1, 3).tolist()}


def test_a_sheet_has_a_row_for_each_image_and_the_classes_that_are_seen(tmp_path):
    image, truth = image_and_label()
    rows = [
        ("a.jpg", image, truth, truth * 0 + 8, "mIoU 0.1"),
        ("b.jpg", *image_and_label(64, 32, 20), image_and_label(64, 32, 0)[1]),
    ]
    pixels = drawn(tmp_path / "sheet.png", rows)
    assert pixels.shape[1] == 3 * (SIDE + PAD) + PAD
    top = 2 * PAD + LINE
    panels = [pixels[top : top + SIDE // 2, PAD + i * (SIDE + PAD) :][:, :SIDE] for i in range(3)]
    assert colours(panels[0]) == {(90, 90, 90)}
    assert colours(panels[1]) == {(90, 90, 90), tuple(overlay(image, truth)[0, -1].tolist())}
    assert colours(panels[2]) == {tuple(overlay(image, truth * 0 + 8)[0, 0].tolist())}
    legend = colours(pixels[-(LINE + PAD) :])
    seen = {tuple(voc.palette()[number].tolist()) for number in (8, 15, 20)}
    assert seen <= legend
    assert not {tuple(voc.palette()[number].tolist()) for number in (1, 2, 3, 255)} & legend


def test_a_sheet_without_truths(tmp_path):
    image, label = image_and_label()
    pixels = drawn(tmp_path / "sheet.png", [("a", image, None, label)], with_truth=False)
    assert pixels.shape[1] == 2 * (SIDE + PAD) + PAD


def test_a_sheet_has_an_end(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(segmentation_sheet, "MOST", 2)
    image, label = image_and_label()
    three = drawn(tmp_path / "three.png", [("a", image, label, label)] * 3)
    assert "three.png shows the first 2 of 3 images" in capsys.readouterr().out
    two = drawn(tmp_path / "two.png", [("a", image, label, label)] * 2)
    np.testing.assert_array_equal(three, two)
    assert capsys.readouterr().out == ""


def test_legends_break_lines_and_names_without_a_font_become_numbers(tmp_path, capsys, monkeypatch):
    image, _ = image_and_label(40, 210)
    label = (np.arange(210) // 10 % 21).astype(np.uint8)[None].repeat(40, 0)
    short = drawn(tmp_path / "one.png", [("a", image, label % 2, label % 2)])
    long = drawn(tmp_path / "all.png", [("a", image, label, label)])
    assert len(long) >= len(short) + 2 * LINE
    monkeypatch.setattr(segmentation_sheet, "font_for", lambda text: None)
    drawn(tmp_path / "none.png", [("a", image, label, label)], names=["七"] * 21)
    assert "none.png shows numbers" in capsys.readouterr().out


def test_nothing_is_written_after_an_error_or_to_a_folder_that_is_not_there(tmp_path):
    image, label = image_and_label()
    with pytest.raises(TypeError):
        drawn(tmp_path / "a.png", [("a", image, label, label), ("b", None, label, label)])
    assert not list(tmp_path.iterdir())
    with pytest.raises(StorageError, match="can't write .*none/a.png"):
        drawn(tmp_path / "none/a.png", [("a", image, label, label)])


def test_the_sheet_is_white_around(tmp_path):
    image, label = image_and_label()
    pixels = drawn(tmp_path / "a.png", [("a", image, label, label)])
    assert colours(pixels[:, : PAD - 1]) == {tuple(int(BACKGROUND[i : i + 2], 16) for i in (1, 3, 5))}
