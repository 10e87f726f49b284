"""Masks as tools write them: what is read, and advice that does not go round."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from mindlift.data.segmentation import labels, voc
from mindlift.errors import DataError
from tests.support.pairs import grey_png

MASK = np.array([[0, 1, 1, 0, 0, 1, 0], [1, 0, 0, 1, 1, 1, 0]], np.uint8)
CHECKS = labels.Checks(21, 255)


def png(picture: Image.Image, form: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, form)
    return buffer.getvalue()


# The depths and the colour types of PNG: ISO/IEC 15948, table 11.1; samples are numbers, whatever viewers make of them.
READ = {
    "8 bits": (png(Image.fromarray(MASK)), MASK),
    "1 bit": (png(Image.fromarray(MASK.astype(bool))), MASK),
    "1 bit, by hand": (grey_png(MASK, 1), MASK),
    "16 bits": (png(Image.fromarray(MASK.astype(np.uint16) * 20)), MASK * 20),
    "palette": (voc.as_png(MASK, True), MASK),
}


@pytest.mark.parametrize("kind", READ)
def test_the_numbers_of_a_mask_are_read(kind, tmp_path):
    data, expected = READ[kind]
    found = voc.decode_label(data, kind)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, expected)
    (tmp_path / "a.png").write_bytes(data)
    labels.convert(tmp_path / "a.png", tmp_path / "out.png", CHECKS)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out.png")), expected)


def test_shards_hold_grey_labels_of_8_bits_as_other_readers_take_them():
    assert [voc.is_plain(data) for data, _ in READ.values()] == [True, False, False, False, False]


# kind: (file, what the line says); none of them sends to voc_labels but for colours, which voc_labels converts
REFUSED = {
    "16 bits, a large value": (
        png(Image.fromarray(np.full((2, 2), 300, np.uint16))),
        "16 bits with the value 300, and classes are numbers up to 255; save the number",
    ),
    "4 bits": (grey_png(MASK, 4), "4 bits, whose values readers stretch; save its numbers with 8 bits"),
    "grey with alpha": (
        png(Image.fromarray(MASK).convert("LA")),
        "mode LA, .*; save the number of each pixel",
    ),
    "JPEG": (png(Image.fromarray(MASK), "JPEG"), "JPEG of mode L, .* of 8 bits, for JPEG changes them"),
    "BMP": (png(Image.fromarray(MASK), "BMP"), "BMP of mode L, .*; save the number of each pixel"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused_has_advice_that_helps(kind, tmp_path):
    data, message = REFUSED[kind]
    (tmp_path / "a.png").write_bytes(data)
    for read in (
        lambda: voc.decode_label(data, "a.png"),
        lambda: labels.convert(tmp_path / "a.png", tmp_path / "out.png", CHECKS),
    ):
        with pytest.raises(DataError, match=message) as caught:
            read()
        assert "voc_labels" not in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_number_that_is_no_class_is_not_sent_to_where_it_comes_from(tmp_path):
    (tmp_path / "a.png").write_bytes(voc.as_png(MASK * 21, True))
    with pytest.raises(DataError, match=r"value 21 is neither a class .*; see --num_classes$"):
        labels.convert(tmp_path / "a.png", tmp_path / "out.png", CHECKS)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_colours_are_what_voc_labels_converts(mode, tmp_path):
    data = png(Image.fromarray(voc.palette()[MASK]).convert(mode))
    with pytest.raises(
        DataError, match="if its colours are VOC's, convert labels with mindlift data voc_labels"
    ):
        voc.decode_label(data, "a.png")
    (tmp_path / "a.png").write_bytes(data)
    labels.convert(tmp_path / "a.png", tmp_path / "out.png", CHECKS)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out.png")), MASK)
