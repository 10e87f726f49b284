"""MixUp and CutMix: what is drawn, by the formulas of their papers in NumPy, and what the step makes of it."""

from __future__ import annotations

from dataclasses import replace

import mindspore as ms
import numpy as np
import pytest
from mindspore import nn

from mindlift.data.classification import option_check, pipeline, split
from mindlift.data.classification.mixing import Mixer
from mindlift.data.draws import uniforms
from mindlift.data.order import BatchRange
from mindlift.errors import ConfigError
from mindlift.model_utils.config import config
from mindlift.tasks.classification.cut_mix import CutMix
from mindlift.tasks.classification.objective import MixedCrossEntropy
from mindlift.tasks.pixels import FromPixels
from tests.support.batches import OPTIONS, collect
from tests.support.programs import ROOT

BATCH, SIZE = 8, (6, 10)
BOTH = replace(OPTIONS, image_size=SIZE, mixup_alpha=0.4, cutmix_alpha=1.0, per_batch_size=BATCH)
RECIPE = str(ROOT / "src/mindlift/models/densenet/recipes/densenet22_digits.yaml")
UNITS = ("sample", "pair", "batch")


def drawn(options, number=0, epoch=0, batch=BATCH):
    mixer = Mixer(options)
    numbers = uniforms(options.seed, epoch, np.arange(batch) + batch * number, [mixer.numbers])[0]
    return numbers, mixer.arrays(epoch, number, 0, numbers)


class Kept(nn.Cell):
    """A network that gives its images, so that a loss gets them."""

    def construct(self, images):
        return images


class Whole(nn.Cell):
    def construct(self, images, labels, partner, share):
        return images


def mixed(images, partner, share, box, channels_last=False):
    """What CutMix shows its network."""
    size = images.shape[1:3] if channels_last else images.shape[2:]
    cell = CutMix(Kept(), Whole(), size, channels_last)
    arrays = images, np.zeros(len(images), np.int32), partner, share, box
    return cell(*(ms.Tensor(np.ascontiguousarray(each)) for each in arrays)).asnumpy()


@pytest.mark.parametrize("unit", UNITS)
def test_boxes_have_the_area_that_is_not_the_images_own(unit):
    """CutMix, algorithm 1: sides of sqrt(1 - share), a centre anywhere, cut at the border; then the share is that of what is
    left."""
    options = replace(BOTH, mixup_shares=unit)
    kinds = set()
    for number in range(40):
        numbers, (partner, share, box) = drawn(options, number)
        assert (partner.dtype, share.dtype, box.dtype) == (np.int32, np.float32, np.int32)
        _, before, numbers = Mixer(options).drawn(number, 0, numbers)
        for row in range(BATCH):
            top, bottom, left, right = box[row]
            is_cut = numbers[row, 3] < 0.5
            kinds.add(bool(is_cut))
            if not is_cut:
                assert box[row].tolist() == [0] * 4
                assert share[row] == np.float32(before[row])
                continue
            sides = [int(side * np.sqrt(1 - before[row])) for side in SIZE]
            ends = [(top, bottom), (left, right)]
            for (start, end), side, whole, number_ in zip(ends, sides, SIZE, numbers[row, 4:]):
                first = int(number_ * whole) - side // 2
                assert (start, end) == (max(0, first), min(whole, first + side))
            assert share[row] == np.float32(1 - (bottom - top) * (right - left) / 60)
    assert kinds == {True, False}


@pytest.mark.parametrize("last", [False, True])
def test_the_step_mixes_as_the_papers_have_it(last):
    """x * M + partner * (1 - M) where there is a box, share * x + (1 - share) * partner elsewhere."""
    rng = np.random.default_rng(0)
    images = rng.normal(size=(4, *SIZE, 3) if last else (4, 3, *SIZE)).astype(np.float32)
    partner, share = np.array([3, 0, 1, 2], np.int32), np.array([0.7, 0.25, 1.0, 0.4], np.float32)
    box = np.array([[1, 4, 2, 9], [0, 0, 0, 0], [2, 2, 0, 10], [0, 6, 0, 1]], np.int32)
    wanted = images.copy()
    for row in range(4):
        top, bottom, left, right = box[row]
        inside = np.s_[top:bottom, left:right] if last else np.s_[:, top:bottom, left:right]
        if (bottom - top) * (right - left):
            wanted[row][inside] = images[partner[row]][inside]
        else:
            wanted[row] = share[row] * images[row] + (1 - share[row]) * images[partner[row]]
    np.testing.assert_allclose(mixed(images, partner, share, box, last), wanted, atol=1e-6)


def test_the_loss_is_that_of_the_labels_mixed_by_area():
    """Cross entropy against share * y + (1 - share) * y of the partner; of bytes normalised in the graph, too."""
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (4, *SIZE, 3)).astype(np.uint8)
    labels, partner = np.array([1, 0, 2, 1], np.int32), np.array([1, 2, 3, 0], np.int32)
    box = np.array([[0, 3, 0, 5], [0, 0, 0, 0], [1, 6, 1, 10], [0, 1, 0, 1]], np.int32)
    area = (box[:, 1] - box[:, 0]) * (box[:, 3] - box[:, 2])
    share = np.where(area > 0, 1 - area / 60, 0.3).astype(np.float32)
    weights = rng.normal(size=(3, 3)).astype(np.float32)

    class Means(nn.Cell):
        def construct(self, images):
            return ms.ops.matmul(images.mean((2, 3)), ms.Tensor(weights))

    cell = CutMix(FromPixels(Means(), [127.5] * 3, [60.0] * 3), MixedCrossEntropy(3), SIZE, True)
    found = cell(*map(ms.Tensor, (pixels, labels, partner, share, box))).asnumpy()
    shown = (mixed(pixels, partner, share, box, True) - 127.5) / 60.0
    logits = shown.mean((1, 2)) @ weights
    targets = share[:, None] * np.eye(3)[labels] + (1 - share[:, None]) * np.eye(3)[labels[partner]]
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    assert found == pytest.approx(-(targets * log_p).sum(1).mean(), rel=1e-5)


def test_two_images_of_a_pair_are_mixed_with_each_other():
    for batch in (8, 7):
        _, (partner, share, box) = drawn(replace(BOTH, mixup_shares="pair"), batch=batch)
        assert partner.tolist() == [*range(batch)][::-1]
        np.testing.assert_array_equal(share, share[::-1])
        np.testing.assert_array_equal(box, box[::-1])
        assert len(set(share.tolist())) == (batch + 1) // 2


def test_a_batch_has_one_share_and_one_of_both():
    options = replace(BOTH, mixup_shares="batch")
    kinds = []
    for number in range(60):
        _, (partner, share, box) = drawn(options, number)
        assert len(set(share.tolist())) == len({tuple(each) for each in box.tolist()}) == 1
        assert sorted(partner.tolist()) == [*range(BATCH)]
        kinds.append(bool(box.any()))
    assert 15 < sum(kinds) < 45


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize(
    ("changes", "mixup", "cutmix"),
    [
        ({"cutmix_alpha": 0.0}, 1, 0),
        ({"mixup_alpha": 0.0}, 0, 1),
        ({}, 0.5, 0.5),
        ({"mixup_switch_prob": 0.2}, 0.8, 0.2),
    ],
)
def test_how_often_there_is_which(unit, changes, mixup, cutmix):
    """With mixup_prob 0.6: by an unmixed rest of 0.4. An empty box of CutMix counts as unmixed."""
    options = replace(BOTH, mixup_shares=unit, mixup_prob=0.6, image_size=(64, 64), **changes)
    counts = np.zeros(2)
    for number in range(400):
        _, (_, share, *box) = drawn(options, number)
        is_cut = box[0].any(1) if box else np.zeros(BATCH, bool)
        counts += [((share < 1) & ~is_cut).mean(), is_cut.mean()]
    np.testing.assert_allclose(counts / 400, [0.6 * mixup, 0.6 * cutmix], atol=0.09)


@pytest.mark.parametrize("unit", UNITS)
def test_after_mixup_off_epoch_nothing_is_mixed(unit):
    options = replace(BOTH, mixup_shares=unit, mixup_off_epoch=3)
    for epoch in range(6):
        _, (_, share, box) = drawn(options, epoch=epoch)
        assert (share == 1).all() == (epoch >= 3)
        assert not box.any() or epoch < 3


def test_mixup_alone_has_the_numbers_that_it_had():
    """Switching CutMix on moves neither the shares nor the partners of images that stay with MixUp."""
    for unit in UNITS:
        alone = drawn(replace(BOTH, mixup_shares=unit, cutmix_alpha=0.0))[1]
        rare = drawn(replace(BOTH, mixup_shares=unit, mixup_switch_prob=0.0))[1]
        assert (len(alone), len(rare)) == (2, 3)
        for one, other in zip(alone, rare):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("unit", ["sample", "pair"])
def test_a_share_belongs_to_the_image_on_any_number_of_ranks(unit, digits):
    """Shares and boxes of a pair belong to its first image."""
    options = replace(BOTH, mixup_shares=unit)

    def by_image(size):
        found = {}
        samples = split.open_split(options, digits, train=True)
        for rank in range(size):
            part = BatchRange(0, 4 // size, rank, size)
            order = part.order(len(samples), BATCH, options.seed)
            _, _, _, share, box = collect(pipeline.train_batches(samples, options, part))
            images = np.concatenate([order.batch(number, BATCH)[1] for number in range(4 // size)])
            first = np.arange(len(images)) % BATCH < (BATCH // 2 if unit == "pair" else BATCH)
            for image, *rest in zip(images[first].tolist(), share[first].tolist(), box[first].tolist()):
                found[image] = rest
        return found

    one, two = by_image(1), by_image(2)
    both = set(one) & set(two)
    assert len(both) >= 8
    assert all(one[image] == two[image] for image in both)


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("workers", [1, 3])
def test_it_goes_on_where_it_stopped_with_any_number_of_threads(unit, workers, digits):
    options = replace(BOTH, mixup_shares=unit)
    samples = split.open_split(options, digits, train=True)
    whole = collect(pipeline.train_batches(samples, options, BatchRange(0, 4)))
    changed = replace(options, workers=workers)
    rest = collect(pipeline.train_batches(samples, changed, BatchRange(2, 4)))
    for one, two in zip(whole, rest):
        np.testing.assert_array_equal(one[2 * BATCH :], two)


@pytest.mark.parametrize(
    ("words", "is_refused"),
    [
        ("--per_batch_size 1", True),
        ("--per_batch_size 1 --mixup_shares pair", True),
        ("--per_batch_size 4 --aug_repeats 4", True),
        ("--per_batch_size 4 --aug_repeats 4 --mixup_shares batch", False),
        ("--per_batch_size 4 --aug_repeats 3", False),
    ],
)
def test_an_image_is_not_mixed_with_itself_without_a_word(words, is_refused):
    cfg = config.load(["--config_path", RECIPE, "--cutmix_alpha", "1", *words.split()])
    if not is_refused:
        option_check.check_augmentation(cfg)
        return
    with pytest.raises(ConfigError, match="--cutmix_alpha 1 mixes .* each image would be mixed with itself"):
        option_check.check_augmentation(cfg)
