"""One picture of many: each image with its likeliest classes as bars."""

from __future__ import annotations

import math
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from mindlift.data import image_folder
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
from mindlift.tasks.prediction_files import NONE, Class, Prediction

MOST = 120  # images on a sheet
COLUMNS = 6
SIDE, PAD, LINE = 224, 12, 19  # pixels: of a thumbnail, around it, of a line of text
BARS = 5
LABEL_WIDTH, BAR_WIDTH = 126, 54
WIDTH = SIDE + 2 * PAD
HEIGHT = SIDE + 3 * PAD + LINE * (BARS + 2) + 6
TRACK, BAR, FIRST, BAD = "#e8ebee", "#9fb3c8", "#2f6fb0", "#b3261e"


class ContactSheet:
    """The first MOST images on a sheet, which is written at the end."""

    def __init__(self, path: Path, count: int, names: list[str], log: RunLog):
        self.path, self.log, self.count, self.done = path, log, count, 0
        self.columns = min(COLUMNS, count)
        rows = math.ceil(min(count, MOST) / self.columns)
        self.sheet = Image.new("RGB", (self.columns * WIDTH, rows * HEIGHT), BACKGROUND)
        self.draw = ImageDraw.Draw(self.sheet)
        found = font_for("".join(names))
        self.has_names = found is not None
        self.small, self.large = (open_font(found or "", size) for size in (12, 15))

    def __enter__(self) -> ContactSheet:
        return self

    def add(self, prediction: Prediction) -> None:
        if self.done < MOST:
            row, column = divmod(self.done, self.columns)
            self.cell(column * WIDTH, row * HEIGHT, prediction)
        self.done += 1

    def cell(self, left: int, top: int, prediction: Prediction) -> None:
        self.draw.rectangle((left + 3, top + 3, left + WIDTH - 4, top + HEIGHT - 4), outline=FRAME)
        x, y = left + PAD, top + PAD
        if not prediction.error:
            picture = thumbnail(prediction.path)
            self.sheet.paste(picture, (x + (SIDE - picture.width) // 2, y + (SIDE - picture.height) // 2))
        y += SIDE + PAD // 2
        if prediction.error:
            self.text((x, y), "can't be read", self.large, BAD)
        else:
            first = self.label(prediction.top[0]) if prediction.top else NONE
            self.text((x, y), first, self.large, TEXT)
        name = fitted(Path(prediction.name).name, self.small, SIDE, keep_end=True)
        self.draw.text((x, y + LINE + 3), name, FAINT, self.small)
        y += 2 * LINE + 6
        for rank, each in enumerate(prediction.top[:BARS]):
            self.bar(x, y + rank * LINE, self.label(each), each.share, FIRST if rank == 0 else BAR)

    def label(self, each: Class) -> str:
        return each.name if self.has_names else f"class {each.number}"

    def bar(self, x: int, y: int, name: str, share: float, colour: str) -> None:
        """Name, a bar of `share` of its track, and the percentage."""
        self.draw.text((x, y), fitted(name, self.small, LABEL_WIDTH - 6, keep_end=False), TEXT, self.small)
        start, middle = x + LABEL_WIDTH, y + 8
        self.draw.rectangle((start, middle - 5, start + BAR_WIDTH, middle + 5), fill=TRACK)
        if round(share * BAR_WIDTH):
            self.draw.rectangle(
                (start, middle - 5, start + round(share * BAR_WIDTH), middle + 5), fill=colour
            )
        percent = f"{100 * share:.1f}%"
        self.draw.text((x + SIDE - self.small.getlength(percent), y), percent, TEXT, self.small)

    def text(self, at: tuple[int, int], words: str, face: ImageFont.FreeTypeFont, colour: str) -> None:
        self.draw.text(at, fitted(words, face, SIDE, keep_end=False), colour, face)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            return
        save(self.sheet, self.path)
        if not self.has_names:
            self.log.info(f"{self.path} shows numbers: no installed font has all letters of the class names")
        if self.count > MOST:
            self.log.info(f"{self.path} shows the first {MOST} of {self.count} images")


def thumbnail(path: Path) -> Image.Image:
    """The image as the network's preparation reads it."""
    return picture_in(image_folder.decode(image_folder.read_bytes(str(path)), str(path)), SIDE)
