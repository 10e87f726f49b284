"""Options of small data sets, and what a pipeline of theirs gives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mindlift.data.classification.options import ClassificationOptions
from mindlift.data.classification.sources import TrainSource, as_lists

OPTIONS = ClassificationOptions(
    dataset="digits",
    num_classes=10,
    image_size=(32, 32),
    per_batch_size=16,
    workers=2,
    seed=1,
    augment="pad_crop",
    hflip=0.5,
    color_jitter=0.4,
    eval_resize=40,
    skip_corrupt=False,
    allow_unused_classes=False,
    drop_remainder=False,
    crop_pct=None,
    normalize="auto",
    data_format="files",
)
FOLDER_OPTIONS = replace(OPTIONS, dataset="imagenet", num_classes=3, per_batch_size=4, augment="resized_crop")


def made(source: TrainSource, index: int, epoch: int, repetition: int = 0) -> list[np.ndarray]:
    """(h, w, 3) uint8 each: the views of an image in an epoch."""
    numbers = as_lists(source.numbers(epoch, np.array([index]), repetition))
    return source.views(index, [[stage[0] for stage in view] for view in numbers])


def collect(batches) -> list[np.ndarray]:
    rows = list(batches)
    return [np.concatenate([row[i].asnumpy() for row in rows]) for i in range(len(rows[0]))]
