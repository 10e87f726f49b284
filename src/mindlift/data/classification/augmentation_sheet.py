"""The pictures in docs/augmentation.md: what options of augmentation make of photographs.

    mindlift data augmentation_sheets FOLDER

Images are made as in a training, from scikit-learn's sample photographs; mixed ones by the papers' formulas.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Dict, Tuple, Union

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mindlift.data.classification.mixing import Mixer
from mindlift.data.classification.options import ClassificationOptions
from mindlift.data.classification.rand_augment_sheet import TEXT
from mindlift.data.classification.sources import TrainSource
from mindlift.data.classification.split import Samples
from mindlift.data.draws import uniforms
from mindlift.data.order import TrainOrder

SIDE, GAP, MARGIN, LABEL, HEADING = (
    72,
    4,
    10,
    176,
    24,
)  # pixels: of an image, between images, around all, of names
COLUMNS = 6  # images of each row, made of one photograph
COLOURS = 128  # of the palette
SEEDS = {"views": 4, "policies": 9, "erasing": 4, "mixing": 4, "splits": 4}  # that show much in few images
SPLITS = 3  # views of each of two photographs
HEADINGS = {"splits": ("clean", "second", "third") * 2}  # of columns
Row = Tuple[str, Dict[str, Union[str, int, float, Tuple[float, ...]]]]
SHEETS: dict[str, list[Row]] = {  # by file: rows of a name and options
    "views": [
        ("resized_crop", {"augment": "resized_crop"}),
        ("crop_scale 0.5,1", {"augment": "resized_crop", "crop_scale": (0.5, 1.0)}),
        ("crop_ratio 0.3,3", {"augment": "resized_crop", "crop_ratio": (0.3, 3.0)}),
        ("hflip 0.5, vflip 0.5", {"hflip": 0.5, "vflip": 0.5}),
        ("color_jitter 0.4", {"color_jitter": 0.4}),
        ("grayscale 0.5", {"grayscale": 0.5}),
        ("gaussian_blur 0.8", {"gaussian_blur": 0.8}),
    ],
    "policies": [
        ("original-mstd0.5", {"auto_augment": "original-mstd0.5"}),
        ("v0", {"auto_augment": "v0"}),
        ("3a", {"auto_augment": "3a"}),
        ("rand-m9-mstd0.5-inc1", {"auto_augment": "rand-m9-mstd0.5-inc1"}),
        ("augmix-m3-w3", {"auto_augment": "augmix-m3-w3"}),
        ("trivialaugwide", {"auto_augment": "trivialaugwide"}),
    ],
    "erasing": [
        ("const", {}),
        ("rand", {"random_erase_mode": "rand"}),
        ("pixel", {"random_erase_mode": "pixel"}),
        ("pixel, count 4", {"random_erase_mode": "pixel", "random_erase_count": 4}),
    ],
    "mixing": [
        ("mixup_alpha 0.8", {"mixup_alpha": 0.8}),
        ("cutmix_alpha 1", {"cutmix_alpha": 1.0}),
        ("both, pair", {"mixup_alpha": 0.8, "cutmix_alpha": 1.0, "mixup_shares": "pair"}),
        ("both, batch", {"mixup_alpha": 0.8, "cutmix_alpha": 1.0, "mixup_shares": "batch"}),
    ],
    "splits": [
        ("rand-m9-mstd0.5-inc1", {"auto_augment": "rand-m9-mstd0.5-inc1"}),
        ("augmix-m9-w3", {"auto_augment": "augmix-m9-w3"}),
        ("with resized_crop", {"auto_augment": "augmix-m9-w3", "augment": "resized_crop", "hflip": 0.5}),
        ("with random_erase 1", {"auto_augment": "augmix-m9-w3", "random_erase": 1.0}),
        (
            "random_erase_resplit",
            {"auto_augment": "augmix-m9-w3", "random_erase": 1.0, "random_erase_resplit": True},
        ),
    ],
}


def plain(seed: int) -> ClassificationOptions:
    """Of images that nothing is done to."""
    return ClassificationOptions(
        dataset="imagenet",
        num_classes=2,
        image_size=(SIDE, SIDE),
        per_batch_size=COLUMNS,
        workers=1,
        seed=seed,
        hflip=0.0,
        skip_corrupt=False,
        augment="none",
        color_jitter=0.0,
        eval_resize=SIDE,
        allow_unused_classes=False,
        drop_remainder=False,
        crop_pct=None,
        normalize="auto",
        data_format="files",
        as_pixels=True,
    )


@lru_cache(maxsize=1)
def photographs() -> list[np.ndarray]:
    """A temple and a flower, (427, 427, 3) uint8."""
    from sklearn.datasets import load_sample_image

    return [
        load_sample_image(name)[:, left : left + 427]
        for name, left in (("china.jpg", 107), ("flower.jpg", 120))
    ]


def trained_on(images: Sequence[np.ndarray], options: ClassificationOptions) -> np.ndarray:
    """(COLUMNS, SIDE, SIDE, 3) uint8: the first batch of a training with `images`."""
    samples, size = Samples(np.zeros(len(images), np.int32), images=np.stack(images)), options.per_batch_size
    batch = TrainSource(samples, TrainOrder(len(images), size, 0, 1, options.seed), options).batch(0)
    for row in range(size):
        batch.fill(row)
    return batch.arrays[0]


def views_of(images: Sequence[np.ndarray], options: ClassificationOptions) -> np.ndarray:
    """(COLUMNS, SIDE, SIDE, 3) uint8: the views of one image after those of the other, from timm's order."""
    found = trained_on(images, replace(options, per_batch_size=len(images), aug_splits=SPLITS))
    return found.reshape(SPLITS, len(images), *found.shape[1:]).swapaxes(0, 1).reshape(found.shape)


def mixed(images: np.ndarray, options: ClassificationOptions) -> np.ndarray:
    """What a step makes of `images` (COLUMNS, SIDE, SIDE, 3)."""
    mixer = Mixer(options)
    numbers = uniforms(options.seed, 0, np.arange(COLUMNS), [mixer.numbers])[0]
    partner, share, *boxes = mixer.arrays(0, 0, 0, numbers)
    found = []
    for row, (top, bottom, left, right) in enumerate(boxes[0] if boxes else np.zeros((COLUMNS, 4), np.int32)):
        image, other = images[row].astype(np.float32), images[partner[row]].astype(np.float32)
        if bottom > top and right > left:
            image[top:bottom, left:right] = other[top:bottom, left:right]
        else:
            image = share[row] * image + (1 - share[row]) * other
        found.append(np.rint(image).astype(np.uint8))
    return np.stack(found)


def images_of(kind: str, changes: Row) -> np.ndarray:
    """(COLUMNS, SIDE, SIDE, 3) uint8 of one row."""
    (temple, flower), kept = photographs(), plain(SEEDS[kind])
    options = replace(kept, **changes[1])  # type: ignore[arg-type]
    if kind == "mixing":
        two = [
            trained_on([each] * COLUMNS, replace(kept, augment="resized_crop", crop_scale=(0.5, 1.0)))
            for each in (temple, flower)
        ]
        return mixed(np.stack([two[row % 2][row] for row in range(COLUMNS)]), options)
    if kind == "splits":
        return views_of([temple, flower], options)
    if kind == "erasing":
        options = replace(options, random_erase=1.0)
    return trained_on([temple] * COLUMNS, options)


def sheet(kind: str) -> Image.Image:
    """The rows of one of SHEETS, with their names."""
    rows, headings = SHEETS[kind], HEADINGS.get(kind, ())
    above = MARGIN + (HEADING if headings else 0)
    size = LABEL + COLUMNS * (SIDE + GAP) + 2 * MARGIN, above + len(rows) * (SIDE + GAP) + MARGIN
    found = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(found), ImageFont.load_default(16)
    for column, heading in enumerate(headings):
        middle = MARGIN + LABEL + column * (SIDE + GAP) + SIDE // 2
        draw.text((middle, MARGIN + HEADING // 2), heading, TEXT, font, anchor="mm")
    for number, row in enumerate(rows):
        top = above + number * (SIDE + GAP)
        draw.text((MARGIN + LABEL - 10, top + SIDE // 2), row[0], TEXT, font, anchor="rm")
        for column, image in enumerate(images_of(kind, row)):
            found.paste(Image.fromarray(image), (MARGIN + LABEL + column * (SIDE + GAP), top))
    return found
