"""CIFAR-10 in its binary layout: files of 10,000 or any other whole number of 3,073-byte records.

A record is one label byte and 3 x 32 x 32 pixel bytes, channel by channel
(https://www.cs.toronto.edu/~kriz/cifar.html, "binary version").
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from src.model_utils.errors import DataError

SIDE = 32
RECORD_BYTES = 1 + 3 * SIDE * SIDE
FOLDER = "cifar-10-batches-bin"


def find_folder(path: Path) -> Path:
    """The folder with the batch files: `path` itself or `path`/cifar-10-batches-bin."""
    if not path.is_dir():
        raise DataError(f"no such folder: {path}; --data_dir must hold {FOLDER} or its *.bin files")
    folder = path / FOLDER if (path / FOLDER).is_dir() else path
    if not list(folder.glob("*.bin")):
        raise DataError(
            f"no *.bin files in {folder}; need the binary version of CIFAR-10 (data_batch_*.bin, test_batch.bin)"
        )
    return folder


def split_files(folder: Path, train: bool) -> list[Path]:
    pattern = "data_batch_*.bin" if train else "test_batch.bin"
    files = sorted(folder.glob(pattern))
    if not files:
        raise DataError(f"no {pattern} in {folder}; it is needed to {'train' if train else 'evaluate'}")
    return files


def load(path: Path, train: bool, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 32, 32, 3) uint8 and labels (N,) int32 of the training or the test files only.

    Raises DataError for a missing folder or file, a file cut short and a label >= num_classes.
    """
    images, labels = [], []
    for file in split_files(find_folder(path), train):
        image, label = read_batch(file)
        bad = np.flatnonzero(label >= num_classes)
        if len(bad):
            raise DataError(
                f"{file}: record {bad[0]} has label {label[bad[0]]}, but num_classes is {num_classes}"
            )
        images.append(image)
        labels.append(label)
    return np.concatenate(images), np.concatenate(labels)


def read_batch(file: Path) -> tuple[np.ndarray, np.ndarray]:
    data = np.fromfile(file, np.uint8)
    if len(data) == 0 or len(data) % RECORD_BYTES:
        raise DataError(
            f"{file}: {len(data)} bytes is not a whole number of {RECORD_BYTES}-byte records; cut short? fetch it again"
        )
    records = data.reshape(-1, RECORD_BYTES)
    return records[:, 1:].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1), records[:, 0].astype(np.int32)


def write_batch(file: Path, images: np.ndarray, labels: np.ndarray) -> None:
    """Write images (N, 32, 32, 3) uint8 and labels (N,) below 256 as one batch file."""
    pixels = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
    np.concatenate([labels.astype(np.uint8)[:, None], pixels], axis=1).tofile(file)
