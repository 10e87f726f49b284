"""How much each class counts in the loss: numbers that somebody gives, or those that make all classes count alike."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mindlift.errors import ConfigError, DataError

if TYPE_CHECKING:
    from mindlift.model_utils.config.frozen import Config

BALANCED = "balanced"


def given(cfg: Config) -> tuple[float, ...]:
    """The numbers of --class_weights; none where there is no such option, or it is `balanced`. ConfigError for others."""
    found = numbers(cfg.class_weights, (cfg.num_classes,))
    if found is None:
        raise ConfigError(
            f"--class_weights {cfg.class_weights}: expected {BALANCED}, or a number from 0 on for each of the {cfg.num_classes}"
            " classes in the order of their labels, with commas between"
        )
    return found


def pos_weight(cfg: Config) -> tuple[float, ...]:
    """The same of --bce_pos_weight, which may be one number for all classes."""
    found = numbers(cfg.bce_pos_weight, (1, cfg.num_classes))
    if found is None:
        raise ConfigError(
            f"--bce_pos_weight {cfg.bce_pos_weight}: expected {BALANCED}, one number from 0 on, or one for each of the"
            f" {cfg.num_classes} classes in the order of their labels, with commas between"
        )
    return found


def numbers(text: str, counts: Sequence[int]) -> tuple[float, ...] | None:
    """As many as one of `counts`; none for '' and `balanced`, and None for anything else."""
    if text in ("", BALANCED):
        return ()
    try:
        found = tuple(float(word) for word in text.split(","))
    except ValueError:
        return None
    is_sound = all(math.isfinite(each) and each >= 0 for each in found) and any(found)
    return found if len(found) in counts and is_sound else None


def of_training(cfg: Config, labels: np.ndarray) -> tuple[float, ...]:
    """The weights of the classes for a training on images of these `labels` (N,), none where all are 1.

    `balanced` is scikit-learn's compute_class_weight: N / (classes * images of the class).
    """
    if cfg.class_weights != BALANCED:
        return given(cfg)
    counts = images_of(cfg, labels, "class_weights")
    there = counts > 0
    weights = len(labels) / (there.sum() * np.maximum(counts, 1))
    return tuple(np.where(there, weights, 0.0).tolist())


def of_what_is_there(cfg: Config, labels: np.ndarray, names: Sequence[str] = ()) -> tuple[float, ...]:
    """The weights of the classes where they are there, for a training on images of these `labels` (N,) or (N, K); none
    where all are 1. `names` are those of the classes, as far as they have some.

    `balanced` is what the page of PyTorch's BCEWithLogitsLoss advises for its pos_weight: images without the class / images
    with it. A class without images has 1, which then weighs nothing.
    """
    if cfg.bce_pos_weight != BALANCED:
        return pos_weight(cfg)
    counts = images_of(cfg, labels, "bce_pos_weight")
    everywhere = np.flatnonzero(counts == len(labels))
    if len(everywhere):
        first = int(everywhere[0])
        raise DataError(
            f"--bce_pos_weight {BALANCED}: all {len(labels)} images have class {names[first] if names else first}, so that nothing"
            " tells what it is; take it out, or give numbers"
        )
    return tuple(np.where(counts > 0, (len(labels) - counts) / np.maximum(counts, 1), 1.0).tolist())


def images_of(cfg: Config, labels: np.ndarray, option: str) -> np.ndarray:
    """(num_classes,): the images of each class; DataError for labels of others."""
    counts = (
        labels.sum(0, dtype=np.int64) if labels.ndim == 2 else np.bincount(labels, minlength=cfg.num_classes)
    )
    if len(counts) > cfg.num_classes or not counts.any():
        raise DataError(f"--{option} {BALANCED}: labels are not from 0 to {cfg.num_classes - 1}")
    return counts
