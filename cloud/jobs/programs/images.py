"""Writes a few small images into FOLDER/train/CLASS/ and FOLDER/val/CLASS/: `python images.py FOLDER`.

Data for the programs beside it: a class is a colour, so that a network learns it in a few steps.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = {"blue": (40, 60, 200), "green": (50, 180, 60), "red": (200, 50, 40), "yellow": (220, 210, 60)}


def main(folder: str, size: int = 32) -> None:
    random = np.random.default_rng(1)
    for part, count in (("train", 16), ("val", 4)):
        for name, colour in COLOURS.items():
            place = Path(folder, part, name)
            place.mkdir(parents=True, exist_ok=True)
            for number in range(count):
                pixels = np.array(colour) + random.normal(0, 40, (size, size, 3))
                Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(place / f"{number}.png")


if __name__ == "__main__":
    main(*sys.argv[1:])
