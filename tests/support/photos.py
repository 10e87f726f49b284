"""Folders of small pictures in class folders: scikit-learn's handwritten digits, 8 x 8, as PNG files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def write(root: Path, classes: Sequence[int] = (0, 1, 2), count: int = 30, first: int = 0) -> Path:
    """`count` pictures of each class from the number `first` on, as <root>/<name>/<number>.png."""
    found = load_digits()
    for digit in classes:
        folder = root / NAMES[digit]
        folder.mkdir(parents=True, exist_ok=True)
        for index in np.flatnonzero(found.target == digit)[first : first + count]:
            pixels = (found.images[index] * 15.9375).astype(np.uint8)  # 0 - 16 to 0 - 255
            Image.fromarray(pixels).convert("RGB").save(folder / f"{index}.png")
    return root


def write_one(path: Path, digit: int, number: int) -> None:
    """Picture `number` of a digit, 48 pixels wide, in the format that the suffix names."""
    found = load_digits()
    pixels = (found.images[np.flatnonzero(found.target == digit)[number]] * 15.9375).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).resize((48, 64)).convert("RGB").save(path)
