"""--aug_splits: several views of each image in a batch, in the order and by the rules of timm's AugMixDataset."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from mindlift.api import job
from mindlift.data.classification import augment, option_check, pipeline, split
from mindlift.data.classification.sources import TrainSource
from mindlift.data.order import BatchRange, TrainOrder
from mindlift.errors import ConfigError
from mindlift.model_utils.config import config
from tests.support.batches import FOLDER_OPTIONS, OPTIONS, collect, made
from tests.support.programs import ROOT

RECIPE = str(ROOT / "src/mindlift/models/densenet/recipes/densenet22_digits.yaml")
TIMM = json.loads((ROOT / "tests/golden/losses/losses.json").read_text(encoding="utf-8"))["views"]
COUNT, BATCH = 24, 4
THREE = replace(OPTIONS, per_batch_size=BATCH, aug_splits=3, auto_augment="augmix-m3-w3", color_jitter=0)
AS_PIXELS = replace(THREE, as_pixels=True)


@pytest.fixture(scope="module")
def images() -> split.Samples:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (COUNT, 32, 32, 3)).astype(np.uint8)
    return split.Samples(np.arange(COUNT, dtype=np.int32) % 10, images=pixels)


def source(samples, options, batch=1) -> TrainSource:
    return TrainSource(samples, TrainOrder(len(samples), batch, 0, 1, options.seed), options)


def batches(samples, options, part):
    return [[each.asnumpy() for each in batch] for batch in pipeline.train_batches(samples, options, part)]


def test_rows_are_in_timms_order(images):
    """All clean views, then all second ones: recorded from timm's own loader."""
    options = replace(AS_PIXELS, grayscale=1.0, per_batch_size=TIMM["images"])
    ((rows, labels),) = batches(images, options, BatchRange(0, 1))
    _, indices = TrainOrder(COUNT, TIMM["images"], 0, 1, 1).batch(0, TIMM["images"])
    assert labels.tolist() == images.labels[indices][TIMM["label"]].tolist()
    for row, image, view in zip(rows, TIMM["image"], TIMM["view"]):
        own = made(source(images, options), int(indices[image]), 0)
        np.testing.assert_array_equal(row, own[view])
        is_grey = (row[..., 0] == row[..., 1]).all()
        assert is_grey == (view > 0), "the first is clean"


def test_views_show_one_region_and_differ_in_what_changes_them(images):
    """With nothing but grey all later views are the first one in grey: cut and mirrored in the same way."""
    options = replace(AS_PIXELS, auto_augment="", grayscale=1.0, hflip=0.5, vflip=0.5)
    for epoch in range(5):
        clean, *others = made(source(images, options), 3, epoch)
        for other in others:
            np.testing.assert_array_equal(other, augment.grey(clean))
    jittered = replace(options, grayscale=0.0, color_jitter=0.4)
    assert len({view.tobytes() for view in made(source(images, jittered), 3, 0)}) == 3


def test_the_clean_view_is_the_image_without_any_of_it(images):
    plain = replace(THREE, aug_splits=1, auto_augment="")
    for index in range(5):
        clean = made(source(images, THREE), index, 2)[0]
        np.testing.assert_array_equal(clean, made(source(images, plain), index, 2)[0])


def test_seed_epoch_and_image_decide_alone(images):
    """Whatever the batch, the rank, and where a training goes on."""
    whole = batches(images, AS_PIXELS, BatchRange(0, 6))
    again = batches(images, AS_PIXELS, BatchRange(4, 6))
    for one, other in zip(whole[4:], again):
        for left, right in zip(one, other):
            np.testing.assert_array_equal(left, right)
    half = replace(AS_PIXELS, per_batch_size=BATCH // 2)
    ranks = [batches(images, half, BatchRange(0, 6, rank, 2)) for rank in (0, 1)]
    for step, (rows, labels) in enumerate(whole):
        for view in range(3):
            for rank in (0, 1):
                own = slice(view * BATCH + rank, (view + 1) * BATCH, 2)
                its = slice(view * BATCH // 2, (view + 1) * BATCH // 2)
                np.testing.assert_array_equal(rows[own], ranks[rank][step][0][its])
                np.testing.assert_array_equal(labels[own], ranks[rank][step][1][its])


def test_repeated_images_have_views_of_their_own(images):
    options = replace(AS_PIXELS, auto_augment="", color_jitter=0.4, aug_repeats=2, per_batch_size=2)
    rows, labels = batches(images, options, BatchRange(0, 1))[0]
    assert len(set(labels.tolist())) == 1
    assert len({row.tobytes() for row in rows}) == 6


@pytest.mark.parametrize("is_whole", [False, True])
def test_erasing_leaves_the_clean_view_whole_where_it_is_asked_to(images, is_whole):
    """As timm's --resplit."""
    options = replace(AS_PIXELS, auto_augment="", random_erase=1.0, random_erase_resplit=is_whole)
    plain = made(source(images, replace(options, aug_splits=1, random_erase=0.0)), 7, 0)[0]
    first, *others = made(source(images, options), 7, 0)
    assert (first == plain).all() == is_whole
    assert not any((other == plain).all() for other in others)


def test_a_corrupt_image_is_replaced_in_all_of_its_views(tmp_path):
    from PIL import Image

    rng = np.random.default_rng(1)
    for kind in ("a", "b"):
        (tmp_path / kind).mkdir()
        for number in range(2):
            pixels = rng.integers(0, 256, (40, 40, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / kind / f"{number}.png")
    (tmp_path / "a/0.png").write_bytes(b"no image")
    options = replace(
        *(FOLDER_OPTIONS,), num_classes=2, aug_splits=2, grayscale=1.0, color_jitter=0, skip_corrupt=True
    )
    samples = split.open_split(options, tmp_path, train=True)
    rows, labels = collect(
        pipeline.train_batches(samples, replace(options, as_pixels=True), BatchRange(0, 1))
    )
    np.testing.assert_array_equal(labels[:4], labels[4:])
    for clean, other in zip(rows[:4], rows[4:]):
        np.testing.assert_array_equal(other, augment.grey(clean))


def test_labels_of_several_are_those_of_each_view():
    samples = split.Samples(
        np.eye(4, dtype=np.uint8), images=np.zeros((4, 32, 32, 3), np.uint8) + 9, classes=list("abcd")
    )
    rows, labels = batches(samples, AS_PIXELS, BatchRange(0, 1))[0]
    assert (len(rows), labels.shape) == (12, (12, 4))
    np.testing.assert_array_equal(labels, np.tile(labels[:4], (3, 1)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mixup_alpha": "0.2"}, "--mixup_alpha 0.2 and --aug_splits 3 exclude each other"),
        ({"cutmix_alpha": "1"}, "--cutmix_alpha 1 and --aug_splits 3 exclude each other"),
        ({"color_jitter": "0"}, "--aug_splits 3 makes equal views .* pass --auto_augment augmix-m3-w3"),
        (
            {"aug_splits": "1", "random_erase_resplit": "true"},
            "--random_erase_resplit true .* --aug_splits is 1",
        ),
    ],
)
def test_what_does_not_go_together_is_said_in_a_line(options, message):
    given = {"aug_splits": "3", "color_jitter": "0.4", **options}
    words = [word for name, value in given.items() for word in (f"--{name}", value)]
    with pytest.raises(ConfigError, match=message) as caught:
        option_check.check_augmentation(config.load(["--config_path", RECIPE, *words]))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--aug_splits", "0"], "aug_splits is '0', but must be at least 1"),
        (
            ["--split_bn", "true"],
            "--split_bn true: not supported, because batch norms have one statistic of all views",
        ),
        (["--jsd_loss"], "unknown option '--jsd_loss'; did you mean '--loss'?"),
    ],
)
def test_timms_other_words_are_answered_in_a_line(words, message):
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        job.check_refused(config.load(["--config_path", RECIPE, *words]))
    assert "\n" not in str(caught.value)
