"""Letters of two columns. Widths are those of Unicode's EastAsianWidth.txt; line ends those of GB/T 15834."""

from __future__ import annotations

import textwrap

import pytest

from mindlift.columns import columns, cut, padded, wrapped

CHINESE = (
    "图片的缩放方式；bicubic 是 Pillow 的；bilinear 对图片文件是 OpenCV 的，不做抗锯齿（见文档）[bilinear]"
)
ENGLISH = (
    "how images are resized; bicubic is Pillow's; bilinear is OpenCV's for image files, without antialiasing"
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("abc", 3),
        ("训练", 4),
        ("a训", 3),
        ("，", 2),
        ("ｱ", 1),
        ("Ａ", 2),
        ("e\u0301", 1),
        ("한국", 4),
        ("…", 1),
        ("", 0),
    ],
)
def test_columns(text, expected):
    assert columns(text) == expected


def test_padding_and_cutting_count_columns():
    assert padded("训练", 6) == "训练  "
    assert cut("训练 abc", 5) == "训练 "
    assert cut("训练", 3) == "训"
    assert cut("abc", 2) == "ab"


@pytest.mark.parametrize("width", [20, 33, 40, 79])
def test_english_is_wrapped_as_textwrap_does_it(width):
    theirs = textwrap.wrap(
        ENGLISH, width, initial_indent="  --x  ", subsequent_indent="       ", break_on_hyphens=False
    )
    assert wrapped(ENGLISH, width, "  --x  ", "       ") == theirs


@pytest.mark.parametrize("width", range(24, 81))
def test_chinese_fills_its_lines(width):
    lines = wrapped(CHINESE, width, "  --x  ", "       ")
    assert max(map(columns, lines)) <= width
    assert "".join("".join(lines).split()) == "".join(f"--x{CHINESE}".split())
    assert all(line.strip()[0] not in "，；）" for line in lines)
    assert all(columns(line) > width - 16 for line in lines[:-1])  # the longest word has ten letters
