"""--sampler balanced: each class as often as any other, the same on any number of ranks and wherever a training goes on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mindlift.data.classification import pipeline, split
from mindlift.data.order import Balanced, BatchRange, shuffled
from tests.support.batches import OPTIONS, collect

COUNTS = (100, 7, 1, 31)
LABELS = np.random.default_rng(0).permutation(np.repeat(np.arange(4), COUNTS)).astype(np.int32)
COUNT = len(LABELS)


def draws(part: BatchRange, batch: int) -> list[list[int]]:
    order = part.order(COUNT, batch, 3, Balanced(LABELS, 3))
    return [order.draws(number, batch)[1].tolist() for number in range(part.first, part.last)]


@pytest.mark.parametrize("epoch", [0, 1, 7])
def test_an_epoch_has_as_many_of_each_class(epoch):
    """139 draws of 4 classes: 35, 35, 35 and 34; within a class the images differ by one at most."""
    images = Balanced(LABELS, 3)(epoch) % COUNT
    assert len(images) == COUNT
    assert sorted(np.bincount(LABELS[images])) == [34, 35, 35, 35]
    for label in range(4):
        times = np.bincount(images, minlength=COUNT)[label == LABELS]
        assert times.max() - times.min() <= 1


def test_the_classes_that_get_more_change():
    """Else the first classes would have more of all epochs."""
    most = {tuple(np.bincount(LABELS[Balanced(LABELS, 3)(epoch) % COUNT])) for epoch in range(20)}
    assert len(most) == 4


def test_each_draw_of_an_image_has_a_number_of_its_own():
    found = Balanced(LABELS, 3)(0)
    assert len(set(found.tolist())) == COUNT
    rare = found[LABELS[found % COUNT] == 2]
    assert sorted(rare // COUNT) == list(range(len(rare)))


def test_seed_and_epoch_decide_alone():
    one = Balanced(LABELS, 3)
    later = [one(epoch) for epoch in (5, 2, 0)]
    for epoch, drawn in zip((5, 2, 0), later):
        np.testing.assert_array_equal(drawn, Balanced(LABELS, 3)(epoch))
    assert (one(0) != one(1)).any()
    assert (one(0) != Balanced(LABELS, 4)(0)).any()


def test_ranks_draw_together_what_one_draws():
    """Over two epochs, in batches of 6: of one rank, of 2 with 3, of 3 with 2."""
    steps = 2 * (COUNT // 6)
    whole = draws(BatchRange(0, steps), 6)
    for size in (2, 3):
        parts = [draws(BatchRange(0, steps, rank, size), 6 // size) for rank in range(size)]
        together = [[draw for draws_ in zip(*step) for draw in draws_] for step in zip(*parts)]
        assert together == whole


def test_a_training_that_goes_on_draws_what_is_left():
    whole = draws(BatchRange(0, 50), 6)
    assert draws(BatchRange(31, 50), 6) == whole[31:]


MANY = np.array([[1, 0, 0], [1, 1, 0], [1, 0, 0], [1, 0, 0], [0, 0, 0], [1, 1, 0], [0, 0, 0], [1, 0, 0]])


@pytest.mark.parametrize("epoch", [0, 1, 5])
def test_labels_of_several_are_drawn_alike(epoch):
    """Class-aware sampling: 8 draws of 3 groups, the label 0, the label 1, and no label; of the label 2 there is no image."""
    found = Balanced(MANY.astype(np.uint8), 3)(epoch)
    assert len(set(found.tolist())) == len(found) == 8
    images = found % 8
    without = np.isin(images, (4, 6)).sum()
    rare = np.isin(images, (1, 5)).sum()
    assert without in (2, 3)
    assert rare >= 2, "drawn for their rare label, and perhaps for the other one"
    again = np.bincount(images, minlength=8)
    times = {image: sorted((found[images == image] // 8).tolist()) for image in set(images.tolist())}
    assert all(numbers == list(range(again[image])) for image, numbers in times.items())


def test_rare_labels_come_as_often_as_frequent_ones():
    """Of 1000 images 10 have the label 1, and all the label 0: half of the draws are for each."""
    labels = np.zeros((1000, 2), np.uint8)
    labels[:, 0], labels[:10, 1] = 1, 1
    images = Balanced(labels, 3)(0) % 1000
    times = np.bincount(images, minlength=1000)[:10]
    assert times.sum() in range(500, 511)
    assert times.max() - times.min() <= 2


def test_shuffling_draws_each_once():
    assert sorted(shuffled(COUNT, 3)(1).tolist()) == list(range(COUNT))


def test_an_image_that_is_drawn_again_looks_otherwise():
    """Of the same epoch; and the first draw looks as it does without a sampler."""
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (20, 32, 32, 3)).astype(np.uint8)
    labels = np.array([0] * 19 + [1], np.int32)
    samples = split.Samples(labels, images=images)
    options = replace(OPTIONS, per_batch_size=4, sampler="balanced")
    pixels, found = collect(pipeline.train_batches(samples, options, BatchRange(0, 5)))[:2]
    rare = pixels[found == 1]
    assert len(rare) == 10
    assert len({row.tobytes() for row in rare}) > 5
    plain, plain_labels = collect(
        pipeline.train_batches(samples, replace(options, sampler="shuffle"), BatchRange(0, 5))
    )[:2]
    (once,) = plain[plain_labels == 1]
    assert once.tobytes() in {row.tobytes() for row in rare}
