"""Losses beside the usual cross entropy, each of logits (N, K) and targets (N, K), computed in float32.

A target is the share of a class in an image, 0 to 1: 1 and 0 of a single image, between them with MixUp. Smoothed, it is
gain * target + off.
"""

from __future__ import annotations

from collections.abc import Sequence

import mindspore as ms
import mindspore.nn as nn
import mindspore.ops as ops
import numpy as np

from mindlift.data.multilabel import rules
from mindlift.model_utils.config.frozen import Config

LEAST = 1e-8  # below it no probability is taken a logarithm of


class OneLabel(nn.Cell):
    """(N,) int32 labels, and of mixed images partners (N,) int32 and own shares (N,), -> (N, K) targets."""

    def __init__(self, num_classes: int):
        super().__init__()
        self.num_classes = num_classes
        self.on, self.off = ms.Tensor(1.0, ms.float32), ms.Tensor(0.0, ms.float32)

    def construct(self, labels, *mixing):
        return mixed(ops.one_hot(labels, self.num_classes, self.on, self.off), *mixing)


class ManyLabels(nn.Cell):
    """The same of (N, K) labels that are 1 or 0."""

    def construct(self, labels, *mixing):
        return mixed(labels.astype(ms.float32), *mixing)


def mixed(targets, *mixing):
    """The targets of images that are `share` of themselves and the rest of their `partner`."""
    if len(mixing) == 0:
        return targets
    partner, share = mixing
    column = share.reshape((-1, 1))
    return column * targets + (1 - column) * ops.gather(targets, partner, 0)


class CrossEntropy(nn.Cell):
    """(N,): of softmax."""

    def __init__(self, gain: float = 1.0, off: float = 0.0):
        super().__init__()
        self.gain, self.off = gain, off

    def construct(self, logits, targets):
        return -((self.gain * targets + self.off) * ops.log_softmax(logits, -1)).sum(1)


class BinaryCrossEntropy(nn.Cell):
    """(N, K): of the sigmoid of each class by itself. Targets above `threshold`, if there is one, count as 1, others as
    0: Wightman et al., ResNet strikes back (2021), section 2.

    What is there counts as much as `there` (K,), or one number for all, says: pos_weight of PyTorch's BCEWithLogitsLoss.
    """

    def __init__(
        self,
        gain: float = 1.0,
        off: float = 0.0,
        threshold: float | None = None,
        there: Sequence[float] = (),
    ):
        super().__init__()
        self.gain, self.off, self.threshold = gain, off, threshold
        self.there = as_row(there)
        self.softplus = ops.Softplus()

    def construct(self, logits, targets):
        targets = self.gain * targets + self.off
        if self.threshold is not None:
            targets = ops.less(self.threshold, targets).astype(ms.float32)
        if self.there is None:
            return self.softplus(logits) - logits * targets
        return (1 - targets) * logits + (1 + (self.there - 1) * targets) * self.softplus(-logits)


class Focal(nn.Cell):
    """(N, K): Lin et al., Focal Loss for Dense Object Detection (ICCV 2017), equation 5, of the sigmoid of each class.

    `alpha` is the weight of what is there, 1 - alpha of what is not; None: both 1.
    """

    def __init__(self, gamma: float, alpha: float | None, gain: float = 1.0, off: float = 0.0):
        super().__init__()
        self.gamma, self.alpha = gamma, alpha
        self.gain, self.off = gain, off
        self.softplus, self.sigmoid = ops.Softplus(), ops.Sigmoid()

    def construct(self, logits, targets):
        targets = self.gain * targets + self.off
        share = self.sigmoid(logits)
        missing = share * (1 - targets) + (1 - share) * targets
        losses = power(missing, self.gamma) * (self.softplus(logits) - logits * targets)
        if self.alpha is not None:
            losses = losses * (self.alpha * targets + (1 - self.alpha) * (1 - targets))
        return losses


class Asymmetric(nn.Cell):
    """(N, K): Ridnik et al., Asymmetric Loss For Multi-Label Classification (ICCV 2021), equations 4 to 7.

    `clip` is the margin by which the probability of what is not there is made smaller.
    """

    def __init__(self, gamma_neg: float, gamma_pos: float, clip: float, gain: float = 1.0, off: float = 0.0):
        super().__init__()
        self.gamma_neg, self.gamma_pos, self.clip = gamma_neg, gamma_pos, clip
        self.gain, self.off = gain, off
        self.sigmoid = ops.Sigmoid()

    def construct(self, logits, targets):
        targets = self.gain * targets + self.off
        there = self.sigmoid(logits)
        shifted = ops.maximum(there - self.clip, 0.0)
        positive = power(1 - there, self.gamma_pos) * ops.log(ops.maximum(there, LEAST))
        negative = power(shifted, self.gamma_neg) * ops.log(ops.maximum(1 - shifted, LEAST))
        return -(targets * positive + (1 - targets) * negative)


class AsymmetricOfOne(nn.Cell):
    """(N,): the same authors' for images with one label each, of softmax (ASLSingleLabel of their
    repository): of smoothed targets, whose logarithms are focused by the targets as they are.
    """

    def __init__(self, gamma_neg: float, gamma_pos: float, gain: float = 1.0, off: float = 0.0):
        super().__init__()
        self.gamma_neg, self.gamma_pos = gamma_neg, gamma_pos
        self.gain, self.off = gain, off

    def construct(self, logits, targets):
        log_p = ops.log_softmax(logits, -1)
        p = ops.exp(log_p)
        focus = targets * power(1 - p, self.gamma_pos) + (1 - targets) * power(p, self.gamma_neg)
        return -((self.gain * targets + self.off) * focus * log_p).sum(1)


def power(base, exponent):
    """base ** exponent of numbers from 0 to 1, with a finite gradient at 0 too.

    By way of the logarithm, because the gradient of ops.pow has operators whose platforms are not documented.
    """
    if exponent == 0:
        return ops.ones_like(base)
    return ops.exp(exponent * ops.log(ops.maximum(base, LEAST)))


class OfImages(nn.Cell):
    """The mean loss of images; each counts as much as `weights` (K,) say of its classes, where there are any.

    Not divided by the sum of the weights in a batch, so that several ranks compute what one does: Keras's class_weight.
    """

    def __init__(self, targets: nn.Cell, loss: nn.Cell, weights: Sequence[float] = (), sums: bool = False):
        super().__init__()
        self.targets, self.loss, self.sums = targets, loss, sums
        self.weights = as_row(weights)

    def construct(self, logits, labels, *mixing):
        targets = self.targets(labels, *mixing)
        losses = self.loss(logits.astype(ms.float32), targets)
        if losses.ndim == 2:
            losses = losses.sum(1) if self.sums else losses.mean(1)
        if self.weights is not None:
            losses = losses * (targets * self.weights).sum(1)
        return ops.mean(losses)


class OfClasses(nn.Cell):
    """The mean over images of the mean or, if `sums`, the sum of the losses of all classes, each times its weight."""

    def __init__(self, targets: nn.Cell, loss: nn.Cell, weights: Sequence[float] = (), sums: bool = False):
        super().__init__()
        self.targets, self.loss, self.sums = targets, loss, sums
        self.weights = as_row(weights)

    def construct(self, logits, labels, *mixing):
        losses = self.loss(logits.astype(ms.float32), self.targets(labels, *mixing))
        if self.weights is not None:
            losses = losses * self.weights
        return ops.mean(losses.sum(1) if self.sums else losses.mean(1))


def alpha(cfg: Config) -> float | None:
    """Focal's weight of what is there; none below 0."""
    return None if cfg.focal_alpha < 0 else cfg.focal_alpha


def sums(cfg: Config) -> bool:
    """Whether the losses of an image's classes are added up, or their mean is taken."""
    if cfg.loss in ("focal", "asl"):
        return True
    return cfg.dataset == rules.NAME if cfg.bce_sum is None else cfg.bce_sum


def as_row(weights: Sequence[float]) -> ms.Tensor | None:
    return ms.Tensor(np.array([weights], np.float32)) if len(weights) else None
