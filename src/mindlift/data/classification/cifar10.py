"""CIFAR-10 in its binary layout: files of 10,000 or any other whole number of 3,073-byte records.

A record is one label byte and 3 x 32 x 32 pixel bytes, channel by channel
(https://www.cs.toronto.edu/~kriz/cifar.html, "binary version").
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mindlift.data import layout
from mindlift.errors import DataError
from mindlift.model_utils.streaming import arrivals

FOLDER, SIDE, RECORD_BYTES = layout.CIFAR_FOLDER, layout.SIDE, layout.RECORD_BYTES
CLASSES = 10


def load(
    path: Path, train: bool, num_classes: int, allow_unused: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 32, 32, 3) uint8 and labels (N,) int32 of the training or the test files only.

    Raises DataError for a missing folder or file, a file cut short, a label >= num_classes, and training
    data of fewer classes (ten, or as many as the labels show) unless `allow_unused`.
    """
    images, labels = [], []
    for file in layout.batch_files(path, train):
        image, label = read_batch(file)
        bad = np.flatnonzero(label >= num_classes)
        if len(bad):
            raise DataError(
                f"{file}: record {bad[0]} has label {label[bad[0]]}, but num_classes is {num_classes};"
                f" mend the file, or pass --num_classes {label.max() + 1}"
            )
        images.append(image)
        labels.append(label)
    classes = max(CLASSES, *(int(label.max()) + 1 for label in labels))
    if train and classes < num_classes:
        layout.check_classes(f"{path} has {classes} classes", classes, num_classes, allow_unused)
    return np.concatenate(images), np.concatenate(labels)


def read_batch(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Waits for a file that is still arriving."""
    arrivals.await_file(str(file))
    data = np.fromfile(file, np.uint8)
    layout.check_size(file, len(data))
    records = data.reshape(-1, RECORD_BYTES)
    return records[:, 1:].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1), records[:, 0].astype(np.int32)


def write_batch(file: Path, images: np.ndarray, labels: np.ndarray) -> None:
    """Write images (N, 32, 32, 3) uint8 and labels (N,) below 256 as one batch file."""
    pixels = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
    np.concatenate([labels.astype(np.uint8)[:, None], pixels], axis=1).tofile(file)
