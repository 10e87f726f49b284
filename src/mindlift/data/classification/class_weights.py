"""How much each class counts in the loss: numbers that somebody gives, or those that make all classes count alike."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from mindlift.errors import ConfigError, DataError

if TYPE_CHECKING:
    from mindlift.model_utils.config.frozen import Config

BALANCED = "balanced"


def given(cfg: Config) -> tuple[float, ...]:
    """The numbers of --class_weights; none where there is no such option, or it is `balanced`. ConfigError for others."""
    text = cfg.class_weights
    if text in ("", BALANCED):
        return ()
    try:
        found = tuple(float(word) for word in text.split(","))
    except ValueError:
        found = ()
    if (
        len(found) != cfg.num_classes
        or not all(math.isfinite(each) and each >= 0 for each in found)
        or not any(found)
    ):
        raise ConfigError(
            f"--class_weights {text}: expected {BALANCED}, or a number from 0 on for each of the {cfg.num_classes} classes"
            " in the order of their labels, with commas between"
        )
    return found


def of_training(cfg: Config, labels: np.ndarray) -> tuple[float, ...]:
    """The weights of the classes for a training on images of these `labels` (N,), none where all are 1.

    `balanced` is scikit-learn's compute_class_weight: N / (classes * images of the class).
    """
    if cfg.class_weights != BALANCED:
        return given(cfg)
    counts = np.bincount(labels, minlength=cfg.num_classes)
    there = counts > 0
    if len(counts) > cfg.num_classes or not there.any():
        raise DataError(f"--class_weights {BALANCED}: labels are not from 0 to {cfg.num_classes - 1}")
    weights = len(labels) / (there.sum() * np.maximum(counts, 1))
    return tuple(np.where(there, weights, 0.0).tolist())
