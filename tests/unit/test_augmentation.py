"""Flips, grey, blur, crops, erasing, repeats and statistics by formulas of NumPy and Pillow, and what draws them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from mindlift.cli import augmentation_sheets
from mindlift.data.classification import augment, augmentation_sheet, pipeline, split
from mindlift.data.classification.erasing import Eraser
from mindlift.data.classification.options import statistics
from mindlift.data.draws import Draws, uniforms
from mindlift.data.order import BatchRange, TrainOrder, epoch_order, reading_order, repeated, shuffled
from mindlift.errors import ConfigError
from mindlift.model_utils.config import config
from mindlift.tasks.classification import task
from tests.support.batches import OPTIONS, collect
from tests.support.programs import ROOT
from tests.unit.test_rand_augment import picture

PLAIN = replace(OPTIONS, augment="none", hflip=0.0, color_jitter=0.0)
EVERYTHING = replace(
    OPTIONS,
    vflip=0.5,
    grayscale=0.3,
    gaussian_blur=0.5,
    auto_augment="rand-m9-mstd0.5-inc1",
    random_erase=0.5,
    random_erase_mode="pixel",
    random_erase_count=2,
    cutmix_alpha=1.0,
    mixup_alpha=0.3,
)


def streams(count, numbers, seed=3):
    return [Draws(row.tolist()) for row in uniforms(seed, 0, np.arange(count), [numbers])[0]]


def batches(options, digits, first=0, last=4, rank=0, size=1):
    samples = split.open_split(options, digits, train=True)
    return collect(pipeline.train_batches(samples, options, BatchRange(first, last, rank, size)))


def pixels(options, digits, **part):
    """Images as bytes."""
    return batches(replace(options, as_pixels=True), digits, **part)[0]


def test_a_flip_turns_rows_round(digits):
    np.testing.assert_array_equal(pixels(replace(PLAIN, vflip=1.0), digits), pixels(PLAIN, digits)[:, ::-1])
    half = pixels(replace(PLAIN, vflip=0.5), digits)
    flipped = [not np.array_equal(*pair) for pair in zip(half, pixels(PLAIN, digits))]
    assert 16 < sum(flipped) < 48, "of 64"


def test_grey_is_pillows_mode_l():
    image = picture()
    wanted = np.asarray(image.convert("L"))
    found = augment.grey(np.asarray(image))
    np.testing.assert_array_equal(found, np.stack([wanted] * 3, 2))


@pytest.mark.parametrize("sigma", [0.1, 0.6, 1.0, 2.0])
def test_blur_is_a_gaussian(sigma):
    """23 x 23 samples of exp(-x^2 / 2 sigma^2) that add up to 1, mirrored without the border; to a grey value."""
    image = np.asarray(picture()).astype(float)
    at = np.arange(-11, 12)
    weights = np.exp(-(at**2) / (2 * sigma**2))
    weights /= weights.sum()
    padded = np.pad(image, ((11, 11), (11, 11), (0, 0)), mode="reflect")
    rows = sum(weight * padded[k : k + 30] for k, weight in enumerate(weights))
    wanted = sum(weight * rows[:, k : k + 40] for k, weight in enumerate(weights))
    assert np.abs(augment.blur(np.asarray(picture()), sigma) - wanted).max() <= 1


def test_probabilities_of_grey_and_blur():
    image = np.asarray(picture())
    found = [augment.grey_and_blur(image, draws, 0.2, 0.5) for draws in streams(1000, 4)]
    is_grey = [np.ptp(each, 2).max() == 0 for each in found]
    is_blurred = [np.abs(np.diff(each.astype(int), axis=0)).sum() for each in found]
    assert 0.15 < np.mean(is_grey) < 0.25
    plain = {np.abs(np.diff(each.astype(int), axis=0)).sum() for each in (image, augment.grey(image))}
    assert (
        0.4 < np.mean([each not in plain for each in is_blurred]) < 0.6
    ), "the smallest deviations change nothing"
    assert np.array_equal(augment.grey_and_blur(image, Draws([0.0] * 4), 0.0, 0.0), image)


@pytest.mark.parametrize("size", [(30, 40), (200, 11), (7, 300), (1, 1)])
def test_crops_by_default_are_those_of_the_paper(size):
    """The numbers of versions without crop_scale and crop_ratio: 8 - 100 % of the area, aspect 3/4 - 4/3."""

    def published(height, width, draws):
        for _ in range(10):
            area = height * width * draws.uniform(0.08, 1.0)
            ratio = math.exp(draws.uniform(math.log(3 / 4), math.log(4 / 3)))
            w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < w <= width and 0 < h <= height:
                return draws.integer(height - h + 1), draws.integer(width - w + 1), h, w
        w, h = min(width, round(height * 4 / 3)), min(height, round(width * 4 / 3))
        return (height - h) // 2, (width - w) // 2, h, w

    cfg = config.load([])
    for draws in streams(200, augment.REGION_NUMBERS):
        found = augment.crop_box(*size, draws, cfg.crop_scale, cfg.crop_ratio)
        assert found == published(*size, Draws(draws.numbers))


def test_crops_have_the_scale_and_ratio_that_are_asked_for():
    for draws in streams(200, augment.REGION_NUMBERS):
        _, _, height, width = augment.crop_box(1000, 1000, draws, (0.2, 0.3), (0.5, 0.8))
        assert 0.199 < height * width / 1e6 < 0.301
        assert 0.499 < width / height < 0.801


def erased(mode="const", count=1, share=1.0, **more):
    return Eraser(
        replace(
            OPTIONS,
            normalize="imagenet",
            random_erase=share,
            random_erase_mode=mode,
            random_erase_count=count,
            **more,
        )
    )


def test_a_rectangle_has_the_area_and_aspect_of_the_paper():
    """Zhong et al., algorithm 1: S_e = U(s_l, s_h) * S, H_e = sqrt(S_e * r_e), W_e = sqrt(S_e / r_e); inside of the image."""
    eraser, image = erased(), np.full((200, 100, 3), 255, np.uint8)
    for draws in streams(300, eraser.numbers):
        rows, columns = np.nonzero((eraser.erased(image, draws) != 255).any(2))
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert len(rows) == height * width
        assert 0.0195 < height * width / 20000 < 0.34
        assert 0.27 < height / width < 3.6


def test_modes_fill_with_the_mean_one_colour_or_noise():
    image = np.full((64, 64, 3), 255, np.uint8)
    for mode in ("const", "rand", "pixel"):
        eraser, fills = erased(mode, random_erase_scale=(0.3, 0.3), random_erase_ratio=(1.0, 1.0)), []
        for draws in streams(60, eraser.numbers):
            found = eraser.erased(image, draws)
            inside = found[~(found == 255).all(2)]
            if mode == "const":
                assert (inside == [124, 116, 104]).all(), "ImageNet's mean, rounded"
            if mode == "rand":
                assert len(np.unique(inside, axis=0)) <= 1
            fills.append(inside)
        values = np.concatenate(fills).astype(float)
        if mode == "pixel":
            assert np.abs(values.mean(0) - [124, 116, 104]).max() < 6, "cut at 0 and 255"
            assert np.abs(values.std(0) - [58, 57, 57]).max() < 8


def test_rectangles_share_the_area_and_an_image_has_some_of_them():
    eraser, image = (
        erased(count=4, random_erase_scale=(0.2, 0.2), share=0.6),
        np.full((128, 128, 3), 255, np.uint8),
    )
    shares = np.array(
        [(eraser.erased(image, draws) != 255).any(2).mean() for draws in streams(500, eraser.numbers)]
    )
    assert 0.33 < (shares == 0).mean() < 0.47
    assert shares.max() < 0.21
    assert 0.12 < shares[shares > 0].mean() < 0.2, "they may overlap"
    assert eraser.numbers < 120


def test_one_option_does_not_move_the_numbers_of_another(digits):
    """Where nothing is erased, flipped, or grey, an image is what it is without these options."""
    plain, some = (
        pixels(OPTIONS, digits),
        pixels(replace(OPTIONS, random_erase=0.5, vflip=0.0, grayscale=1e-9), digits),
    )
    same = [np.array_equal(*pair) for pair in zip(plain, some)]
    assert 16 < sum(same) < 48


@pytest.mark.parametrize(
    "changes", [{}, {"auto_augment": "augmix-m3-w3"}, {"auto_augment": "trivialaugwide"}]
)
def test_images_are_the_same_on_any_threads_and_ranks_and_after_a_resume(digits, changes):
    options = replace(EVERYTHING, **changes)
    whole = batches(options, digits)
    for one, two in zip(whole, batches(replace(options, workers=1), digits)):
        np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(whole[0][32:], batches(options, digits, first=2)[0])
    ranks = [batches(replace(options, per_batch_size=8), digits, rank=rank, size=2)[0] for rank in range(2)]
    together = np.stack(ranks, 1).reshape(whole[0].shape)
    np.testing.assert_array_equal(together, whole[0])
    other = batches(replace(options, seed=2), digits)
    assert (other[0] != whole[0]).any()


@pytest.mark.parametrize(("repeats", "size"), [(1, 1), (3, 1), (3, 2), (2, 4), (5, 3)])
def test_each_image_comes_so_often_in_a_row_over_all_ranks(repeats, size):
    count, batch = 60, 5
    orders = [
        TrainOrder(count, batch, rank, size, 1, repeated(shuffled(count, 1), count, repeats))
        for rank in range(size)
    ]
    for epoch in range(2):
        first = epoch * (count // (batch * size))
        rows = [
            [order.batch(first + n, batch)[1] for order in orders] for n in range(count // (batch * size))
        ]
        together = np.concatenate([np.stack(row, 1).ravel() for row in rows])
        wanted = np.repeat(epoch_order(count, 1, epoch), repeats)[: len(together)]
        np.testing.assert_array_equal(together, wanted)
        times = [
            [order.repetitions(first + n, batch) for order in orders] for n in range(count // (batch * size))
        ]
        np.testing.assert_array_equal(
            np.concatenate([np.stack(row, 1).ravel() for row in times]), np.arange(len(together)) % repeats
        )
    assert orders[0](7) == (0, int(orders[0].batch(1, 5)[1][2]))


def test_files_are_streamed_in_the_order_of_the_repeats():
    epochs = repeated(shuffled(40, 3), 40, 3)
    order = TrainOrder(40, 4, 0, 1, 3, epochs)
    read = np.concatenate([order.batch(number, 4)[1] for number in range(20)])
    firsts = list(dict.fromkeys(read[8:].tolist()))
    assert reading_order(40, 4, epochs, 8).tolist()[: len(firsts)] == firsts


def test_a_repeated_image_looks_different_each_time(digits):
    options = replace(OPTIONS, aug_repeats=3, per_batch_size=12)
    found = pixels(options, digits, last=2)
    once = pixels(replace(options, aug_repeats=1), digits, last=2)
    groups = found.reshape(8, 3, 32, 32, 3)
    assert all(len({image.tobytes() for image in group}) == 3 for group in groups)
    np.testing.assert_array_equal(groups[:, 0], once[:8], err_msg="the first time as without repeats")
    labels = batches(options, digits, last=2)[1].reshape(8, 3)
    assert (labels == labels[:, :1]).all()
    halves = [
        pixels(replace(options, per_batch_size=6), digits, last=2, rank=rank, size=2) for rank in range(2)
    ]
    np.testing.assert_array_equal(np.stack(halves, 1).reshape(found.shape), found)


def test_a_repeated_image_is_not_mixed_with_itself(digits):
    options = replace(OPTIONS, aug_repeats=3, per_batch_size=12, mixup_alpha=0.5, cutmix_alpha=1.0)
    count = len(split.open_split(options, digits, train=True))
    order = TrainOrder(count, 12, 0, 1, 1, repeated(shuffled(count, 1), count, 3))
    partner = batches(options, digits, last=1)[2]
    images = order.batch(0, 12)[1]
    assert (images != images[partner]).all()


@pytest.mark.parametrize(
    ("changes", "mean", "std"),
    [
        ({"normalize": "half"}, [0.5] * 3, [0.5] * 3),
        ({"normalize": "auto", "dataset": "cifar10"}, [0.5] * 3, [0.5] * 3),
        ({"normalize": "auto", "dataset": "imagenet"}, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ({"normalize": "cifar10"}, [0.4914, 0.4822, 0.4465], [0.247, 0.2435, 0.2616]),
        ({"normalize": "cifar100"}, [0.5071, 0.4865, 0.4409], [0.2673, 0.2564, 0.2762]),
        ({"normalize": "clip"}, [0.4815, 0.4578, 0.4082], [0.2686, 0.2613, 0.2758]),
        ({"normalize": "dpn"}, [124 / 255, 117 / 255, 104 / 255], [0.23483] * 3),
        ({"mean": (0.1, 0.2, 0.3)}, [0.1, 0.2, 0.3], [0.5] * 3),
        ({"normalize": "imagenet", "mean": (0.3,), "std": (0.6,)}, [0.3] * 3, [0.6] * 3),
    ],
)
def test_training_and_evaluation_are_normalised_as_asked_for(digits, changes, mean, std):
    """By timm's constants, and the data sets' own published ones; (value / 255 - mean) / std."""
    options = replace(PLAIN, **{**changes, "dataset": "digits"}) if "dataset" not in changes else None
    found = statistics(replace(PLAIN, **changes))
    np.testing.assert_allclose(np.array(found) / 255, [mean, std], atol=1e-4)
    if options is None:
        return
    samples = split.open_split(options, digits, train=False)
    for part, plain in (
        (batches(options, digits)[0], pixels(PLAIN, digits)),
        (
            collect(pipeline.eval_batches(samples, options, 0, 1))[0],
            collect(pipeline.eval_batches(samples, replace(PLAIN, as_pixels=True), 0, 1))[0],
        ),
    ):
        wanted = (plain / 255 - np.array(found[0]) / 255) / (np.array(found[1]) / 255)
        np.testing.assert_allclose(part, wanted.transpose(0, 3, 1, 2), atol=1e-4)


def test_what_describes_an_exported_model_has_the_statistics():
    cfg = config.load(["--net", "densenet22", "--dataset", "digits", "--mean", "0.1,0.2,0.3", "--std", "0.5"])
    found = task.describe(cfg, 1)["preprocessing"]
    assert found["mean"] == pytest.approx([25.5, 51, 76.5])
    assert found["std"] == [127.5] * 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--mean", "0.1,0.2"], "--mean 0.1,0.2 has 2 numbers; pass one, or three"),
        (["--std", "0.1,0.2,0.3,0.4"], "--std 0.1,0.2,0.3,0.4 has 4 numbers"),
        (["--mean", "123.675,116.28,103.53"], "mean is .*123.675,116.28,103.53.*, but must be at most 1"),
        (["--crop_scale", "0.5,1"], "--crop_scale 0.5,1 has no effect with --augment "),
        (
            ["--augment", "resized_crop", "--crop_scale", "0.5"],
            "--crop_scale 0.5 is no range; .*such as 0.08,1",
        ),
        (["--augment", "resized_crop", "--crop_ratio", "2,1"], "--crop_ratio 2,1 is no range"),
        (["--random_erase_scale", "0.5,0.1"], "--random_erase_scale 0.5,0.1 is no range"),
        (["--aa", "rand-x9"], "--auto_augment rand-x9: 'x9' is not known"),
        (["--aa", "v0", "--rand_augment_num_layers", "2"], "are two policies; choose one"),
        (["--mixup_mode", "both"], "choose one of sample, pair, batch"),
        (["--remode", "noise"], "choose one of const, rand, pixel"),
    ],
)
def test_what_can_not_be_meant_is_one_clear_line(words, message):
    def begin():
        cfg = config.load(["--net", "densenet22", "--dataset", "digits", *words])
        task.augmented(cfg, task.options(cfg, 1), 1000)

    with pytest.raises(ConfigError, match=message) as caught:
        begin()
    assert "\n" not in str(caught.value)


def test_the_words_of_timm_and_mindcv_are_understood():
    words = "--aa rand-m9 --reprob 0.25 --remode pixel --recount 2 --mixup 0.8 --cutmix 1 --mixup_mode elem --scale 0.1,1"
    cfg = config.load(["--augment", "resized_crop", "--normalize", "inception", *words.split()])
    assert (cfg.auto_augment, cfg.random_erase, cfg.random_erase_mode) == ("rand-m9", 0.25, "pixel")
    assert (cfg.random_erase_count, cfg.mixup_alpha, cfg.cutmix_alpha) == (2, 0.8, 1.0)
    assert (cfg.mixup_shares, cfg.crop_scale, cfg.normalize) == ("sample", (0.1, 1.0), "half")


@pytest.mark.heavy
def test_the_pictures_in_the_documentation_are_made_by_this_program(tmp_path):
    """And show what each option does: a row is not six times the photograph."""
    assert augmentation_sheets.main([str(tmp_path / "new")]) == 0
    for kind, rows in augmentation_sheet.SHEETS.items():
        name = f"augmentation_{kind}.png"
        files = (ROOT / "docs/images" / name, tmp_path / "new" / name)
        shown, made = (np.asarray(Image.open(file).convert("RGB"), float) for file in files)
        assert np.abs(shown - made).mean() < 5
        for row in rows:
            images = augmentation_sheet.images_of(kind, row)
            assert len({image.tobytes() for image in images}) > 1
