"""What a run keeps of its newest evaluation, for people to look at: evaluation.json and the pictures that it names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from mindlift.files import as_json, atomic_file, make_folder, write_atomic
from mindlift.json_text import Record
from mindlift.runs.paths import RunPaths

MOST_CLASSES = 200  # of a confusion matrix: larger ones can't be looked at
MOST_MISTAKES = 12
BINS = 15
MOST_SIDE = 256  # pixels of a kept picture


def write(paths: RunPaths, content: Mapping[str, object], pictures: Mapping[str, np.ndarray]) -> None:
    """`pictures` (H, W, 3) uint8 by file name go to the folder that evaluation.json is beside; StorageError."""
    for name, pixels in pictures.items():
        make_folder(paths.pictures)
        save(pixels, paths.pictures / name)
    write_atomic(paths.evaluation, as_json(content) + "\n")


def save(pixels: np.ndarray, path: Path) -> None:
    picture = Image.fromarray(pixels)
    picture.thumbnail((MOST_SIDE, MOST_SIDE))
    with atomic_file(path) as file:
        picture.save(file, "PNG")


def calibration(confidences: np.ndarray, is_right: np.ndarray) -> Record:
    """How often images of a confidence are right, in BINS bins, and the expected calibration error.

    Guo et al., On Calibration of Modern Neural Networks (ICML 2017), section 2. Both arguments (N,).
    """
    numbers = np.minimum((confidences * BINS).astype(int), BINS - 1)
    counts = np.bincount(numbers, minlength=BINS)
    filled = np.maximum(counts, 1)
    mean = np.bincount(numbers, confidences, BINS) / filled
    right = np.bincount(numbers, is_right, BINS) / filled
    bins = [
        {
            "low": i / BINS,
            "high": (i + 1) / BINS,
            "count": int(count),
            "confidence": round(m, 4),
            "accuracy": round(r, 4),
        }
        for i, (count, m, r) in enumerate(zip(counts, mean.tolist(), right.tolist()))
    ]
    error = float((np.abs(mean - right) * counts).sum() / max(1, counts.sum()))
    return {"bins": bins, "ece": round(error, 4)}


def confusion(labels: np.ndarray, predicted: np.ndarray, num_classes: int) -> list[list[int]]:
    """Rows are the truth."""
    pairs = labels.astype(np.int64) * num_classes + predicted
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes).tolist()


def worst(labels: np.ndarray, predicted: np.ndarray, confidences: np.ndarray) -> list[int]:
    """The numbers of the images that are wrong with the greatest confidence, the greatest first. Arguments (N,)."""
    wrong = np.flatnonzero(labels != predicted)
    return wrong[np.argsort(-confidences[wrong], kind="stable")][:MOST_MISTAKES].tolist()
