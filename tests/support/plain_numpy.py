"""What segmentation computes, in plain NumPy."""

from __future__ import annotations

import numpy as np


def naive_loss(logits: np.ndarray, labels: np.ndarray, ignore: int) -> float:
    total, count = 0.0, 0
    for n, y, x in np.ndindex(labels.shape):
        if labels[n, y, x] != ignore:
            row = logits[n, :, y, x].astype(np.float64)
            total += np.log(np.exp(row).sum()) - row[labels[n, y, x]]
            count += 1
    return total / count


def naive_ious(truths: list[np.ndarray], predictions: list[np.ndarray], classes: int, ignore: int) -> list:
    found = []
    for each in range(classes):
        both = either = 0
        for truth, predicted in zip(truths, predictions):
            for t, p in zip(truth.ravel(), predicted.ravel()):
                if t != ignore:
                    both += t == each and p == each
                    either += each in (t, p)
        found.append(both / either if either else None)
    return found


def linear(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """(h, w, c) -> (height, width, c), bilinear between middles of pixels, without antialiasing."""

    def places(old: int, new: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        at = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
        low = np.floor(at).astype(int)
        return low, np.minimum(low + 1, old - 1), at - low

    low, high, share = places(image.shape[0], height)
    rows = image[low] * (1 - share)[:, None, None] + image[high] * share[:, None, None]
    low, high, share = places(image.shape[1], width)
    return rows[:, low] * (1 - share)[:, None] + rows[:, high] * share[:, None]


def naive_probabilities(weight: np.ndarray, image: np.ndarray, side: int) -> np.ndarray:
    """(H, W, K) of one scale and direction, step by step."""
    h, w = image.shape[:2]
    long, short = max(h, w), min(h, w)
    height, width = (side, int(side * short / long)) if h > w else (int(side * short / long), side)
    mean, std = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])
    square = np.zeros((side + 2, side + 2, 3))
    square[1 : height + 1, 1 : width + 1] = (
        np.round(linear(image.astype(float), height, width)) - mean
    ) / std
    logits = np.zeros((side, side, len(weight)))
    for dy, dx in np.ndindex(3, 3):
        logits += square[dy : dy + side, dx : dx + side] @ weight[:, :, dy, dx].T
    share = np.exp(logits - logits.max(-1, keepdims=True))
    return linear((share / share.sum(-1, keepdims=True))[:height, :width], h, w)
