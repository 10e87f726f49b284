"""The picture in docs/augmentation.md: each operation of RandAugment at several magnitudes.

    mindlift data rand_augment_sheet FILE.png

The photograph is scikit-learn's sample image of a temple. Signed operations are shown in their positive direction.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mindlift.data.classification.rand_augment import NAMES, applied

MAGNITUDES = (0, 5, 10, 15, 20)
SEED = 52  # of each cell's stream: not negated, and Cutout near the middle
SIDE, GAP, MARGIN = 96, 4, 10  # pixels: of an image, between images, around all
LABEL, HEADER, BLOCK_GAP = 116, 28, 26  # width of names, height of magnitudes, between the two halves
BLOCKS = 2
COLOURS = 256  # of the palette: a third of the bytes
TEXT = "#1b1f24"


def photograph() -> Image.Image:
    """SIDE x SIDE."""
    from sklearn.datasets import load_sample_image

    whole = Image.fromarray(load_sample_image("china.jpg"))
    return whole.crop((107, 0, 534, 427)).resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def rows_per_block() -> int:
    return -(-len(NAMES) // BLOCKS)


def corner(row: int, column: int) -> tuple[int, int]:
    """(left, top) of an operation's image; the second half of the rows is beside the first."""
    block, row = divmod(row, rows_per_block())
    width = LABEL + len(MAGNITUDES) * (SIDE + GAP) + BLOCK_GAP
    return MARGIN + block * width + LABEL + column * (SIDE + GAP), MARGIN + HEADER + row * (SIDE + GAP)


def sheet() -> Image.Image:
    """A row per operation and a column per magnitude, with their names."""
    right, bottom = corner(len(NAMES) - 1, len(MAGNITUDES) - 1)
    found = Image.new("RGB", (right + SIDE + MARGIN, bottom + SIDE + MARGIN), "white")
    draw, font, image = ImageDraw.Draw(found), ImageFont.load_default(16), np.asarray(photograph())
    for row, name in enumerate(NAMES):
        left, top = corner(row, 0)
        draw.text((left - 10, top + SIDE // 2), name, TEXT, font, anchor="rm")
        for column, magnitude in enumerate(MAGNITUDES):
            left, top = corner(row, column)
            cell = applied(image, name, magnitude, np.random.default_rng(SEED))
            found.paste(Image.fromarray(cell), (left, top))
            if row % rows_per_block() == 0:
                draw.text((left + SIDE // 2, top - HEADER // 2), str(magnitude), TEXT, font, anchor="mm")
    return found
