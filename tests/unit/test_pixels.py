"""Images that the graph normalises are those that the pipeline normalises, and a quarter of the bytes."""

from __future__ import annotations

from dataclasses import replace

import mindspore as ms
import mindspore.nn as nn
import numpy as np
import pytest

from mindlift.data.classification import pipeline, split
from mindlift.data.classification.options import ClassificationOptions, statistics
from mindlift.data.order import BatchRange, sample_rng
from mindlift.model_utils.config import config
from mindlift.tasks.classification import task as classify
from mindlift.tasks.classification.objective import MixedCrossEntropy, MixUp
from mindlift.tasks.pixels import FromMaskedPixels, FromPixels
from mindlift.tasks.segmentation import task as segment
from tests.support.pairs import train_pair

RNG = np.random.default_rng(2)
BATCH = 4


class Same(nn.Cell):
    def construct(self, x):
        return x


def digits(**changes) -> tuple[ClassificationOptions, split.Samples]:
    cfg = config.load(["--net", "densenet22", "--dataset", "digits", "--per_batch_size", str(BATCH)])
    images, labels = RNG.integers(0, 256, (9, 8, 8, 3), np.uint8), np.arange(9, dtype=np.int32)
    return replace(classify.options(cfg, 1), **changes), split.Samples(labels, images)


@pytest.mark.parametrize("normalize", ["imagenet", "half"])
@pytest.mark.parametrize("train", [True, False])
def test_images_to_classify(train, normalize):
    options, samples = digits(normalize=normalize)
    found = []
    for as_pixels in (False, True):
        wanted = replace(options, as_pixels=as_pixels)
        if train:
            batches = list(pipeline.train_batches(samples, wanted, BatchRange(0, 2)))
        else:
            batches = list(pipeline.eval_batches(samples, wanted, 0, 1))
        found.append([batch[0] for batch in batches])
    cell = FromPixels(Same(), *statistics(options))
    for host, pixels in zip(*found):
        assert (pixels.dtype, pixels.shape[-1]) == (ms.uint8, 3)
        np.testing.assert_allclose(cell(pixels).asnumpy(), host.asnumpy(), rtol=1e-5, atol=1e-6)
        assert pixels.nbytes * 4 == host.nbytes


def test_mixing_pixels_is_mixing_what_they_are_normalised_to():
    """Both are affine; Zhang et al. 2018, equation 1."""
    pixels = ms.Tensor(RNG.integers(0, 256, (BATCH, 8, 8, 3), np.uint8))
    partner, share = ms.Tensor([1, 2, 3, 0], ms.int32), ms.Tensor([0.1, 0.5, 0.9, 1.0], ms.float32)
    labels = ms.Tensor([0, 1, 2, 3], ms.int32)
    network = nn.SequentialCell(nn.Flatten(), nn.Dense(3 * 64, 5))
    statistics = [127.5] * 3, [60.0] * 3
    loss = MixedCrossEntropy(5)
    host = ms.Tensor((pixels.asnumpy().transpose(0, 3, 1, 2).astype(np.float32) - 127.5) / 60)
    expected = MixUp(network, loss)(host, labels, partner, share)
    found = MixUp(FromPixels(network, *statistics), loss)(pixels, labels, partner, share)
    assert float(found.asnumpy()) == pytest.approx(float(expected.asnumpy()), rel=1e-5)


@pytest.mark.parametrize("size", [(20, 60), (90, 30), (200, 200)])
def test_images_to_segment_with_nothing_beside_them(size):
    cfg = config.load(["--net", "deeplab_v3_r26_s16", "--dataset", "vocdigits", "--image_size", "65"])
    options = segment.options(cfg, 1)
    image, label = RNG.integers(0, 256, (*size, 3), np.uint8), RNG.integers(0, 11, size).astype(np.uint8)
    host, classes = train_pair(image, label, sample_rng(0, 0, 1), options)
    pixels, same = train_pair(image, label, sample_rng(0, 0, 1), replace(options, as_pixels=True))
    np.testing.assert_array_equal(classes, same)
    assert (pixels.dtype, pixels.shape) == (np.uint8, (65, 65, 4))
    cell = FromMaskedPixels(Same(), *segment.STATISTICS["imagenet"])
    np.testing.assert_allclose(cell(ms.Tensor(pixels[None])).asnumpy()[0], host, rtol=1e-5, atol=1e-6)


def test_parameters_keep_their_names():
    network = nn.Dense(3, 2)
    assert list(FromPixels(network, [0.0] * 3, [1.0] * 3).parameters_dict()) == list(
        network.parameters_dict()
    )
