"""What drawn sheets share: fonts that have the letters, words cut to a width, images at a size, files that appear whole."""

from __future__ import annotations

import inspect
import subprocess
from pathlib import Path

import numpy as np
from PIL import Image, ImageFont

from mindlift.files import atomic_file
from mindlift.tasks.prediction_files import shortened

MISSING = "\uffff"  # no letter: every font draws its box for it
BACKGROUND, FRAME, TEXT, FAINT = "#ffffff", "#d5d9de", "#1b1f24", "#667079"


def open_font(file: str, size: int) -> ImageFont.FreeTypeFont:
    """A font file; '' is Pillow's own, which looks the same everywhere. Before Pillow 10.1 that is a bitmap."""
    if file:
        return ImageFont.truetype(file, size)
    return ImageFont.load_default(size) if has_scalable_font() else ImageFont.load_default()  # type: ignore[return-value]


def has_scalable_font() -> bool:
    """Whether Pillow brings a font that can be drawn at any size, as 10.1 and later do."""
    return bool(inspect.signature(ImageFont.load_default).parameters)


def font_for(text: str) -> str | None:
    """The first of Pillow's own font and the one that fontconfig proposes that has all letters of `text`."""
    if has_scalable_font() and has_letters(open_font("", 12), text):
        return ""
    letters = " ".join(sorted(f"{ord(letter):x}" for letter in set(text) if not letter.isspace()))
    try:
        command = ["fc-match", "-f", "%{file}", f"sans-serif:charset={letters}"]
        file = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return file if has_letters(open_font(file, 12), text) else None
    except (OSError, subprocess.CalledProcessError):  # no fontconfig, or nothing that Pillow can open
        return None


def has_letters(face: ImageFont.FreeTypeFont, text: str) -> bool:
    """Whether no letter is drawn as the box that stands for missing ones."""
    box = bytes(face.getmask(MISSING))
    return all(bytes(face.getmask(letter)) != box for letter in set(text) if not letter.isspace())


def fitted(words: str, face: ImageFont.FreeTypeFont, width: int, keep_end: bool) -> str:
    """`words` cut to `width` pixels."""
    if face.getlength(words) <= width:
        return words
    for length in range(len(words) - 1, 0, -1):
        cut = shortened(words, length) if keep_end else words[: length - 1].rstrip() + "…"
        if face.getlength(cut) <= width:
            return cut
    return ""


def picture_in(pixels: np.ndarray, side: int) -> Image.Image:
    """(H, W, 3) uint8 in at most side x side; small ones are enlarged sharply."""
    picture = Image.fromarray(pixels)
    factor = min(side / picture.width, side / picture.height)
    size = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
    return picture.resize(size, Image.Resampling.NEAREST if factor >= 3 else Image.Resampling.LANCZOS)


def save(sheet: Image.Image, path: Path) -> None:
    """PNG or, by any other ending, JPEG; whole or not at all. Raises StorageError."""
    with atomic_file(path) as file:
        if path.suffix.lower() == ".png":
            sheet.save(file, "PNG")
        else:
            sheet.save(file, "JPEG", quality=92, subsampling=0)
