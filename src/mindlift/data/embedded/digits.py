"""The embedded data set: scikit-learn's 1,797 handwritten digits in the layout of CIFAR-10.

Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI (1998). The 8 x 8
images are enlarged to 32 x 32 (bicubic) and made RGB; 1,440 train and 357 test images, disjoint,
every class split in the same proportion.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from mindlift.data import class_names
from mindlift.data.classification import cifar10
from mindlift.errors import StorageError

TRAIN_COUNT = 1440
BATCH_FILES = 5


def enlarge(digit: np.ndarray) -> np.ndarray:
    """(8, 8) values 0..16 -> (32, 32, 3) uint8."""
    grey = Image.fromarray(np.round(digit * (255 / 16)).astype(np.uint8))
    return np.asarray(grey.resize((cifar10.SIDE, cifar10.SIDE), Image.Resampling.BICUBIC).convert("RGB"))


def build(root: Path) -> Path:
    """Write `root`/cifar-10-batches-bin unless it is there, and return `root`."""
    place(root / cifar10.FOLDER, write)
    return root


def place(target: Path, write: Callable[[Path], None]) -> Path:
    """Have `write` fill a folder beside `target`, which then gets that name, unless `target` is there; returns it.

    Several processes may call it at once: the first rename wins.
    """
    if is_filled(target):
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f"{target.name}.", suffix=".part", dir=target.parent))
    except OSError as err:
        raise unwritable(target, err) from err
    try:
        write(part)
        os.rename(part, target)
    except OSError as err:
        if not is_filled(target):
            raise unwritable(target, err) from err
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return target


def is_filled(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def unwritable(target: Path, err: OSError) -> StorageError:
    return StorageError(
        f"can't write the embedded data set to {target.parent} ({err.strerror}); name a writable folder with --data_dir"
    )


class Digits(NamedTuple):
    """Images (N, 8, 8), values 0 - 16, and their classes (N,)."""

    images: np.ndarray
    classes: np.ndarray


def split_digits() -> tuple[Digits, Digits]:
    """The digits to train and to test with: disjoint, with every class in the same proportion."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    train_images, test_images, train_classes, test_classes = train_test_split(
        digits.images, digits.target, train_size=TRAIN_COUNT, stratify=digits.target, random_state=0
    )
    return Digits(train_images, train_classes), Digits(test_images, test_classes)


def write(folder: Path) -> None:
    train, test = split_digits()
    images = np.stack([enlarge(image) for image in train.images])
    for i, part in enumerate(np.array_split(np.arange(TRAIN_COUNT), BATCH_FILES), 1):
        cifar10.write_batch(folder / f"data_batch_{i}.bin", images[part], train.classes[part])
    cifar10.write_batch(
        folder / "test_batch.bin", np.stack([enlarge(image) for image in test.images]), test.classes
    )
    (folder / "batches.meta.txt").write_text("\n".join(class_names.DIGITS) + "\n", encoding="ascii")
