"""The loss over pixels, the figures of a confusion matrix, and probabilities over scales, each against plain NumPy."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import mindspore as ms
import mindspore.nn as nn
import numpy as np
import pytest

from mindlift.tasks.segmentation import task as segment
from mindlift.tasks.segmentation.objective import Overlap, PixelCrossEntropy, confusion, probabilities
from tests.support.plain_numpy import linear, naive_ious, naive_loss, naive_probabilities

RNG = np.random.default_rng(3)


def test_loss_is_the_mean_over_the_pixels_that_count():
    logits = RNG.normal(size=(2, 5, 6, 7)).astype(np.float32)
    labels = RNG.integers(0, 5, (2, 6, 7)).astype(np.int32)
    labels[0, :3] = 255
    found = PixelCrossEntropy(5, 255)(ms.Tensor(logits), ms.Tensor(labels)).asnumpy()
    assert found == pytest.approx(naive_loss(logits, labels, 255), rel=1e-5)


def test_loss_of_a_batch_without_a_pixel_that_counts_is_zero_and_so_is_its_gradient():
    logits = ms.Tensor(RNG.normal(size=(1, 3, 4, 4)), ms.float32)
    labels = ms.Tensor(np.full((1, 4, 4), 255), ms.int32)
    value, gradient = ms.value_and_grad(PixelCrossEntropy(3, 255), 0)(logits, labels)
    assert float(value.asnumpy()) == 0.0
    assert not gradient.asnumpy().any()


def test_a_class_may_be_the_one_to_ignore():
    logits = RNG.normal(size=(1, 3, 4, 4)).astype(np.float32)
    labels = RNG.integers(0, 3, (1, 4, 4)).astype(np.int32)
    found = PixelCrossEntropy(3, 0)(ms.Tensor(logits), ms.Tensor(labels)).asnumpy()
    assert found == pytest.approx(naive_loss(logits, labels, 0), rel=1e-5)


def test_miou_is_that_of_sets_of_pixels():
    sizes = [(9, 4), (5, 11), (7, 7)]
    truths = [RNG.integers(0, 4, size) for size in sizes]  # class 4 is not there
    predictions = [
        np.where(RNG.random(size) < 0.6, truth, RNG.integers(0, 4, size))
        for size, truth in zip(sizes, truths)
    ]
    truths[1][0] = 255
    matrix = sum(confusion(t, p, 5, 255) for t, p in zip(truths, predictions))
    overlap = Overlap(matrix)
    expected = naive_ious(truths, predictions, 5, 255)
    assert expected[4] is None
    assert np.isnan(overlap.ious[4])
    assert overlap.ious[:4] == pytest.approx(expected[:4])
    assert overlap.miou == pytest.approx(np.mean(expected[:4]))
    right = sum(((t == p) & (t != 255)).sum() for t, p in zip(truths, predictions))
    assert overlap.pixel_accuracy == pytest.approx(right / sum((t != 255).sum() for t in truths))
    assert overlap.lines(list("abcde"))[5].split() == ["e", "-", "0"]


def test_a_class_that_is_only_predicted_counts_as_zero():
    overlap = Overlap(confusion(np.zeros((2, 2), int), np.array([[0, 0], [0, 1]]), 2, 255))
    assert overlap.ious.tolist() == [0.75, 0.0]
    assert overlap.miou == 0.375


class Slanted(nn.Cell):
    """Logits that depend on place and direction: a lopsided 3x3 convolution of the pixels."""

    def __init__(self, weight: np.ndarray):
        super().__init__()
        self.conv = nn.Conv2d(3, len(weight), 3, pad_mode="pad", padding=1, weight_init=ms.Tensor(weight))

    def construct(self, x):
        return self.conv(x)


@pytest.mark.parametrize("flip", [False, True])
def test_probabilities_over_scales_are_those_of_plain_numpy(flip):
    weight = RNG.normal(size=(4, 3, 3, 3)).astype(np.float32) / 5
    smooth = [linear(RNG.uniform(0, 255, (5, 5, 3)), *size).astype(np.uint8) for size in ((40, 57), (61, 33))]
    with ThreadPoolExecutor(2) as pool:
        shares = probabilities(Slanted(weight), flip)
        segmenter = segment.Segmenter(shares, 49, [0.5, 1.0, 1.75], 3, pool)
        by_scale, labels = list(segmenter.by_scale(smooth)), list(segmenter.labels(smooth))
    for number, (image, label) in enumerate(zip(smooth, labels)):
        size = image.shape[:2]
        sums = sum(linear(found[number].transpose(1, 2, 0), *size) for found in by_scale)
        expected = sum(naive_probabilities(weight, image, side) for side in (25, 49, 85))
        if flip:  # filled up and then mirrored, so that the filling lies on the left
            mirrored = weight[:, :, :, ::-1]
            expected = expected + sum(naive_probabilities(mirrored, image, side) for side in (25, 49, 85))
        assert np.abs(sums - expected).max() < 0.05
        assert np.abs(sums - expected).mean() < 0.005
        assert label.dtype == np.uint8
        assert (label == sums.argmax(2)).mean() > 0.999
        assert (label == expected.argmax(2)).mean() > 0.99


def test_progress_is_told_as_the_original_does():
    at = SimpleNamespace(
        epoch=0, step_in_epoch=41, steps_per_epoch=41, loss=0.8319, epoch_seconds=2.05, epoch_steps=41
    )
    assert segment.original_lines(at) == [
        "epoch: 1 step: 41, loss is 0.8319",
        "Epoch time: 2050.000, per step time: 50.000",
    ]
    at.step_in_epoch = 40
    assert segment.original_lines(at) == ["epoch: 1 step: 40, loss is 0.8319"]
