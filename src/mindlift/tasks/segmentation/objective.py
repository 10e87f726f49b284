"""Semantic segmentation: the loss over pixels, probabilities, and the confusion matrix that every figure is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable

import mindspore as ms
import mindspore.nn as nn
import mindspore.ops as ops
import numpy as np

from mindlift.columns import columns, padded
from mindlift.tasks.classification.objective import at_labels


class PixelCrossEntropy(nn.Cell):
    """Mean cross entropy of (N, K, H, W) logits and (N, H, W) int32 labels over the pixels that count, in float32.

    Pixels with the label `ignore` don't count; a batch of nothing else has the loss 0 and no gradient.
    """

    def __init__(self, num_classes: int, ignore: int):
        super().__init__()
        self.classes, self.ignore = num_classes, ignore
        self.last, self.one = ms.Tensor(num_classes - 1, ms.int32), ms.Tensor(1.0, ms.float32)

    def construct(self, logits, labels):
        labels = labels.reshape(-1)
        counts = (labels != self.ignore).astype(ms.float32)
        # with the classes last, softmax and its gradient are twelve times faster on a CPU
        rows = logits.astype(ms.float32).transpose(0, 2, 3, 1).reshape(-1, self.classes)
        picked = at_labels(ops.log_softmax(rows, -1), ops.minimum(labels, self.last))
        return -(picked * counts).sum() / ops.maximum(counts.sum(), self.one)


class Probabilities(nn.Cell):
    """(N, 3, H, W) images -> (N, K, H, W) float32 softmax of the logits; with `flip` plus that of the mirrored images."""

    def __init__(self, network: nn.Cell, flip: bool):
        super().__init__(auto_prefix=False)
        self.network, self.flip = network, flip
        self.mirror = ops.ReverseV2([3])

    def construct(self, images):
        found = self.of(images)
        return found + self.mirror(self.of(self.mirror(images))) if self.flip else found

    def of(self, images):
        return ops.softmax(self.network(images).astype(ms.float32), 1)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Over the classes of (N, K, H, W)."""
    found = np.exp(logits - logits.max(1, keepdims=True))
    return found / found.sum(1, keepdims=True)


Shares = Callable[[np.ndarray], np.ndarray]  # (N, 3, H, W) images -> (N, K, H, W) probabilities


def probabilities(network: Callable, flip: bool) -> Shares:
    """What `Probabilities` computes, from array to array, of a network or of an exported model, which is no part of a graph."""
    if isinstance(network, nn.Cell):
        cell = Probabilities(network, flip).set_train(False)
        return lambda images: cell(ms.Tensor(images)).asnumpy()

    def of_model(images: np.ndarray) -> np.ndarray:
        found = softmax(network(ms.Tensor(images)).asnumpy())
        if flip:
            mirrored = ms.Tensor(np.ascontiguousarray(images[..., ::-1]))
            found += softmax(network(mirrored).asnumpy())[..., ::-1]
        return found

    return of_model


def confusion(truth: np.ndarray, predicted: np.ndarray, num_classes: int, ignore: int) -> np.ndarray:
    """(K, K) int64: how many pixels of class row were taken for class column. Both arguments (H, W)."""
    counts = truth != ignore
    pairs = truth[counts].astype(np.int64) * num_classes + predicted[counts]
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


@dataclass(frozen=True)
class Overlap:
    """The figures of a confusion matrix (K, K): rows are the truth."""

    matrix: np.ndarray

    @property
    def ious(self) -> np.ndarray:
        """(K,) intersection over union (Everingham et al., The Pascal VOC Challenge (2015), section 3.5), NaN for a
        class that is neither in the truth nor predicted."""
        hits = np.diag(self.matrix).astype(np.float64)
        union = self.matrix.sum(0) + self.matrix.sum(1) - hits
        return np.divide(hits, union, out=np.full(len(hits), np.nan), where=union > 0)

    @property
    def miou(self) -> float:
        """Mean over the classes that there are, background included; 0 without any pixel."""
        ious = self.ious
        return 0.0 if np.isnan(ious).all() else float(np.nanmean(ious))

    @property
    def pixel_accuracy(self) -> float:
        return float(np.diag(self.matrix).sum() / max(1, self.matrix.sum()))

    def by_name(self, names: list[str]) -> dict[str, float | None]:
        """Class -> IoU, None for a class that is not there."""
        return {name: None if np.isnan(iou) else round(float(iou), 6) for name, iou in zip(names, self.ious)}

    def lines(self, names: list[str], style: str = "plain") -> list[str]:
        """A table of the classes, and the means in `--log_style`."""
        width = max(map(columns, names))
        ious, truth = self.ious, self.matrix.sum(1)
        rows = [
            f"{padded(name, width)}  {'-' if np.isnan(iou) else f'{iou:.4f}':>6}  {pixels:>13,}"
            for name, iou, pixels in zip(names, ious, truth)
        ]
        title = f"{'class':<{width}}  {'IoU':>6}  {'pixels':>13}"
        means = (
            f"mean IoU {self.miou:.4f}, pixel accuracy {self.pixel_accuracy:.4f}"
            if style == "original"
            else f"validation: mean IoU {100 * self.miou:.2f} %, pixel accuracy {100 * self.pixel_accuracy:.2f} %"
        )
        return [title, *rows, means]
