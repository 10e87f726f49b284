"""Segmentations to look at: a label laid over its image, and a sheet of images, truths and predictions."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from mindlift.data.segmentation import voc
from mindlift.runs.log import RunLog
from mindlift.tasks.drawing import (
    BACKGROUND,
    FAINT,
    FRAME,
    TEXT,
    fitted,
    font_for,
    open_font,
    picture_in,
    save,
)

MOST = 20  # images on a sheet
SIDE, PAD, LINE, SWATCH = (
    256,
    12,
    19,
    14,
)  # pixels: of a picture, around it, of a line of text, of a colour in the legend
ALPHA = 0.6
IGNORED = "does not count"


def overlay(image: np.ndarray, label: np.ndarray, alpha: float = ALPHA) -> np.ndarray:
    """(H, W, 3) uint8: VOC's colours of `label` (H, W) with share `alpha` over `image`, which class 0 leaves as it is."""
    shares = np.where(label > 0, np.float32(alpha), np.float32(0))[..., None]
    return np.round(image * (1 - shares) + voc.palette()[label] * shares).astype(np.uint8)


class Row(NamedTuple):
    pictures: list[Image.Image]
    words: str

    @property
    def height(self) -> int:
        return max(picture.height for picture in self.pictures) + LINE + PAD


class SegmentationSheet:
    """The first MOST of `count` images, written when the `with` block ends well: input, truth and prediction in a row.

    Without `with_truth` it is input and prediction. The legend has the classes of `names` that are on the sheet.
    """

    def __init__(
        self,
        path: Path,
        count: int,
        names: list[str],
        log: RunLog,
        ignore_label: int = voc.IGNORED,
        with_truth: bool = True,
    ):
        self.path, self.count, self.names, self.log = path, count, names, log
        self.ignore_label, self.with_truth = ignore_label, with_truth
        self.heads = ["image", "truth", "prediction"] if with_truth else ["image", "prediction"]
        self.rows: list[Row] = []
        self.seen: set[int] = set()
        found = font_for("".join(names))
        self.has_names = found is not None
        self.small, self.large = (open_font(found or "", size) for size in (12, 15))

    def __enter__(self) -> SegmentationSheet:
        return self

    def add(
        self, name: str, image: np.ndarray, truth: np.ndarray | None, prediction: np.ndarray, note: str = ""
    ) -> None:
        """One image (H, W, 3) uint8 with labels (H, W) uint8; `note`, such as its mIoU, is written beside `name`."""
        if len(self.rows) == MOST:
            return
        labels = [label for label in (truth, prediction) if label is not None]
        assert len(labels) == len(self.heads) - 1, "a sheet has truths for all images or for none"
        pictures = [image, *(overlay(image, label) for label in labels)]
        self.rows.append(
            Row([picture_in(picture, SIDE) for picture in pictures], f"{name}    {note}" if note else name)
        )
        self.seen.update(*(np.unique(label).tolist() for label in labels))

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None or not self.rows:
            return
        save(self.drawn(), self.path)
        if not self.has_names:
            self.log.info(f"{self.path} shows numbers: no installed font has all letters of the class names")
        if self.count > len(self.rows):
            self.log.info(f"{self.path} shows the first {len(self.rows)} of {self.count} images")

    def drawn(self) -> Image.Image:
        width = len(self.heads) * (SIDE + PAD) + PAD
        legend = self.legend(width)
        height = 2 * PAD + LINE + sum(row.height for row in self.rows) + legend.height
        sheet = Image.new("RGB", (width, height), BACKGROUND)
        draw = ImageDraw.Draw(sheet)
        for column, head in enumerate(self.heads):
            draw.text((PAD + column * (SIDE + PAD), PAD), head, TEXT, self.large)
        top = 2 * PAD + LINE
        for row in self.rows:
            for column, picture in enumerate(row.pictures):
                left = PAD + column * (SIDE + PAD)
                sheet.paste(picture, (left, top))
                draw.rectangle((left - 1, top - 1, left + picture.width, top + picture.height), outline=FRAME)
            words = fitted(row.words, self.small, width - 2 * PAD, keep_end=True)
            draw.text((PAD, top + row.height - LINE - PAD + 3), words, FAINT, self.small)
            top += row.height
        sheet.paste(legend, (0, top))
        return sheet

    def legend(self, width: int) -> Image.Image:
        """Colours and names of the classes on the sheet, in lines of `width` pixels."""
        entries = [(number, self.name(number)) for number in sorted(self.seen)]
        places, x, y = [], PAD, 0
        for number, name in entries:
            needed = SWATCH + 6 + int(self.small.getlength(name)) + 2 * PAD
            if x > PAD and x + needed > width:
                x, y = PAD, y + LINE
            places.append((x, y, number, name))
            x += needed
        found = Image.new("RGB", (width, y + LINE + PAD), BACKGROUND)
        draw = ImageDraw.Draw(found)
        for x, y, number, name in places:
            colour = tuple(voc.palette()[number].tolist()) if number else BACKGROUND
            draw.rectangle((x, y + 2, x + SWATCH, y + 2 + SWATCH), fill=colour, outline=FRAME)
            draw.text((x + SWATCH + 6, y + 2), name, TEXT, self.small)
        return found

    def name(self, number: int) -> str:
        if number == self.ignore_label:
            return IGNORED
        return self.names[number] if self.has_names and number < len(self.names) else f"class {number}"
