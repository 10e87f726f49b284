"""The embedded data set: scikit-learn's 1,797 handwritten digits in the layout of CIFAR-10.

Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI (1998). The 8 x 8
images are enlarged to 32 x 32 (bicubic) and made RGB; 1,440 train and 357 test images, disjoint,
every class split in the same proportion.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from src.data import cifar10, class_names
from src.model_utils.errors import StorageError

TRAIN_COUNT = 1440
BATCH_FILES = 5


def enlarge(digit: np.ndarray) -> np.ndarray:
    """(8, 8) values 0..16 -> (32, 32, 3) uint8."""
    grey = Image.fromarray(np.round(digit * (255 / 16)).astype(np.uint8))
    return np.asarray(grey.resize((cifar10.SIDE, cifar10.SIDE), Image.Resampling.BICUBIC).convert("RGB"))


def build(root: Path) -> Path:
    """Write `root`/cifar-10-batches-bin unless it is there, and return `root`.

    Several processes may call it at once: each writes beside the target, the first rename wins.
    """
    target = root / cifar10.FOLDER
    if target.is_dir():
        return root
    try:
        root.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f"{cifar10.FOLDER}.", suffix=".part", dir=root))
    except OSError as err:
        raise StorageError(
            f"can't write the embedded data set to {root} ({err.strerror}); name a writable folder with --data_dir"
        ) from err
    try:
        write(part)
        os.rename(part, target)
    except OSError as err:
        if not target.is_dir():
            raise StorageError(
                f"can't write the embedded data set to {root} ({err.strerror}); name a writable folder with --data_dir"
            ) from err
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return root


def write(folder: Path) -> None:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    images = np.stack([enlarge(image) for image in digits.images])
    split = train_test_split(
        images, digits.target, train_size=TRAIN_COUNT, stratify=digits.target, random_state=0
    )
    train_images, test_images, train_labels, test_labels = split
    for i, part in enumerate(np.array_split(np.arange(TRAIN_COUNT), BATCH_FILES), 1):
        cifar10.write_batch(folder / f"data_batch_{i}.bin", train_images[part], train_labels[part])
    cifar10.write_batch(folder / "test_batch.bin", test_images, test_labels)
    (folder / "batches.meta.txt").write_text("\n".join(class_names.DIGITS) + "\n", encoding="ascii")
