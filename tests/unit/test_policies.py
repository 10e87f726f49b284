"""Policies of augmentation: operations against Pillow's own calls, words and values against what timm says of them.

tests/golden/timm_policies.json was written by timm 1.0.31; tests/unit/test_augmentation_peers.py compares whole policies
with timm and torchvision, where they are installed.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from mindlift.data.classification import policies
from mindlift.data.classification.policies.operations import OPERATIONS, WIDE, Look
from mindlift.data.classification.policies.policy import (
    AugMix,
    AutoAugment,
    RandAugment,
    TrivialAugment,
    after_all,
    weighted,
    wide_value,
)
from mindlift.data.classification.policies.text import parsed
from mindlift.data.draws import Draws, uniforms
from mindlift.errors import ConfigError
from tests.golden import timm_policies
from tests.support.batches import OPTIONS
from tests.unit.test_rand_augment import brighter, picture

GOLDEN = json.loads(timm_policies.FILE.read_text())
FILL, BICUBIC, BILINEAR = (124, 116, 104), Image.Resampling.BICUBIC, Image.Resampling.BILINEAR
LOOK = Look(FILL, BICUBIC)
AFFINE = Image.Transform.AFFINE


def streams(count, numbers):
    """Numbers of so many images."""
    return [Draws(row.tolist()) for row in uniforms(5, 0, np.arange(count), [numbers])[0]]


@pytest.mark.parametrize("name", GOLDEN["values"])
@pytest.mark.parametrize("sign", [0, 1])
def test_values_by_level_are_timms(name, sign):
    number = timm_policies.SIGNS[sign]
    for level, wanted in zip(timm_policies.LEVELS, GOLDEN["values"][name][sign]):
        if name == "GaussianBlurRand":  # there the radius is drawn afterwards, from 0.1 to twice this
            wanted = 0.1 + (2 * wanted - 0.1) * number
        assert OPERATIONS[name].value(level, LOOK, Draws([number])) == pytest.approx(wanted, abs=1e-12)


def test_all_operations_are_timms():
    assert set(OPERATIONS) == {*GOLDEN["values"], "AutoContrast", "Equalize", "Invert"}


def transformed(image, matrix, resample=BICUBIC):
    return image.transform(image.size, AFFINE, matrix, resample, fillcolor=FILL)


def posterized(image, bits):
    """Pillow up to 11 masks with no bits, too, and gives black; later ones refuse that."""
    return ImageOps.posterize(image, bits) if bits > 0 else Image.new("RGB", image.size)


# timm's functions are these calls of Pillow.
CALLS = {
    "AutoContrast": (lambda image, v: ImageOps.autocontrast(image), [0]),
    "Equalize": (lambda image, v: ImageOps.equalize(image), [0]),
    "Invert": (lambda image, v: ImageOps.invert(image), [0]),
    "Rotate": (lambda image, v: image.rotate(v, resample=BICUBIC, fillcolor=FILL), [-30, 8.1, 27]),
    "Posterize": (posterized, range(-1, 9)),
    "Solarize": (lambda image, v: ImageOps.solarize(image, v), [0, 17, 128, 256]),
    "SolarizeAdd": (brighter, [0, 55, 99, 128]),
    "Color": (lambda image, v: ImageEnhance.Color(image).enhance(v), [0.1, 0.73, 1, 1.9]),
    "Contrast": (lambda image, v: ImageEnhance.Contrast(image).enhance(v), [0.1, 0.73, 1, 1.9]),
    "Brightness": (lambda image, v: ImageEnhance.Brightness(image).enhance(v), [0.1, 0.73, 1, 1.9]),
    "Sharpness": (lambda image, v: ImageEnhance.Sharpness(image).enhance(v), [0.1, 0.73, 1, 1.9]),
    "ShearX": (lambda image, v: transformed(image, (1, v, 0, 0, 1, 0)), [-0.3, 0.27]),
    "ShearY": (lambda image, v: transformed(image, (1, 0, 0, v, 1, 0)), [-0.3, 0.27]),
    "TranslateXRel": (lambda image, v: transformed(image, (1, 0, v * 40, 0, 1, 0)), [-0.45, 0.21]),
    "TranslateYRel": (lambda image, v: transformed(image, (1, 0, 0, 0, 1, v * 30)), [-0.45, 0.21]),
    "Desaturate": (lambda image, v: ImageEnhance.Color(image).enhance(min(1.0, 1 - v)), [0.5, 0.8, 1]),
    "GaussianBlur": (lambda image, v: image.filter(ImageFilter.GaussianBlur(radius=v)), [0.1, 0.7, 2]),
}


def twin(name):
    """The operation that does the same with other values."""
    return name.replace("Increasing", "").replace("Original", "").replace("Rand", "")


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_is_pillows(name):
    call, values = CALLS[twin(name)]
    for value in values:
        for seed in range(2):
            found = OPERATIONS[name].apply(np.asarray(picture(seed)), value, LOOK)
            np.testing.assert_array_equal(found, np.asarray(call(picture(seed), value)), err_msg=f"{value}")


def test_images_are_resampled_as_they_are_resized():
    for interpolation, resample in (("bicubic", BICUBIC), ("bilinear", BILINEAR)):
        options = replace(OPTIONS, normalize="imagenet", interpolation=interpolation, auto_augment="rand")
        assert policies.of(options).look == Look(FILL, resample)
    assert policies.of(OPTIONS) is None


@pytest.mark.parametrize("words", GOLDEN["words"])
def test_words_mean_what_timm_makes_of_them(words):
    policy, wanted = parsed(words, LOOK), GOLDEN["words"][words]
    groups = policy.policies if isinstance(policy, AutoAugment) else None
    entries = (
        [[list(each) for each in group] for group in groups] if groups else list(map(list, policy.entries))
    )
    entries = json.loads(json.dumps(entries), parse_int=float)
    assert timm_policies.digest(entries) == wanted["entries"]
    assert (policy.levels.deviation, policy.levels.highest) == (wanted["deviation"], wanted["highest"])
    if isinstance(policy, RandAugment):
        weights = np.array(policy.weights) / sum(policy.weights) if policy.weights else None
        rounded = None if weights is None else [round(float(each), 9) for each in weights]
        assert policy.layers == wanted["layers"]
        assert (None if rounded is None else timm_policies.digest(rounded)) == wanted["weights"]
    if isinstance(policy, AugMix):
        assert [policy.width, policy.depth, policy.alpha, policy.blended] == wanted["mix"]
        assert policy.look.translation == 0.3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("randaug-m9", "there is no policy randaug; choose one of rand, augmix, original"),
        ("rand-m9-w0", "'w0' is not known: rand takes m, n, p, mstd, mmax, inc, each with a number"),
        ("rand-m", "'m' is not known"),
        ("rand-m1.5", "m has to be a whole number, not 1.5"),
        ("rand-mstdinf", "'mstdinf' is not known"),
        ("rand-p2", "p is a probability, not 2"),
        ("rand-n100", "n can be 20 at most"),
        ("rand-tweight", "tweight is not known; choose one of tweights, t3aw, t3a"),
        ("rand-n16-tweights", "n can be 15 at most"),
        ("original-m9", "'m9' is not known: original takes mstd"),
        ("trivialaugwide-m31", "'m31' is not known: trivialaugwide takes nothing"),
        ("augmix-w0", "w and a have to be above 0"),
        ("v0-", "'' is not known"),
    ],
)
def test_bad_words_are_one_clear_line(words, message):
    with pytest.raises(ConfigError) as caught:
        parsed(words, LOOK)
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"--auto_augment {words}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "words", [*GOLDEN["words"], "trivialaugwide", "rand-n20-p1-mstd1", "augmix-w9-d9-mstd2"]
)
def test_no_policy_takes_more_numbers_than_it_says(words):
    """Draws would raise IndexError."""
    policy, image = parsed(words, LOOK), np.asarray(picture())
    for draws in streams(60, policy.numbers):
        assert policy.applied(image, draws).shape == image.shape
        assert draws.taken <= policy.numbers


def test_operations_are_drawn_evenly_and_half_of_them_applied():
    """RandAugment with timm's p of 0.5: of 2 of 15 operations, each comes 2 / 15 times an image."""
    policy = parsed("rand-m9-n2", LOOK)
    counts = Counter(number for draws in streams(9000, policy.numbers) for number in policy.chosen(draws))
    assert set(counts) == set(range(15))
    assert all(abs(count - 1200) < 5 * math.sqrt(1200) for count in counts.values())


def test_weights_are_kept_and_an_operation_comes_once():
    policy = parsed("rand-tweights-n3", LOOK)
    drawn = [policy.chosen(draws) for draws in streams(6000, policy.numbers)]
    assert all(len(set(each)) == 3 for each in drawn)
    first = Counter(each[0] for each in drawn)
    for number, weight in enumerate(policy.weights):
        wanted = 6000 * weight / sum(policy.weights)
        assert abs(first[number] - wanted) < 5 * math.sqrt(wanted) + 1
    assert [weighted([0, 1, 0, 3, 0], Draws([u])) for u in (0, 0.2499, 0.25, 0.9999)] == [1, 1, 3, 3]


@pytest.mark.parametrize(
    ("words", "low", "high"), [("rand-m9-mstd0.5", 8.9, 9.1), ("rand-m8-mstd101", 3.8, 4.2)]
)
def test_levels_deviate(words, low, high):
    """By a normal deviation, or evenly between 0 and the level."""
    levels = parsed(words, LOOK).levels
    level = 9 if "9" in words else 8
    found = [levels.drawn(level, draws) for draws in streams(2000, 2)]
    assert low < np.mean(found) < high
    assert min(found) >= 0
    assert max(found) <= (10 if level == 9 else 8)


def test_a_level_stays_below_its_highest():
    assert parsed("rand", LOOK).levels.drawn(13, Draws([])) == 10
    assert parsed("rand-mmax30", LOOK).levels.drawn(13, Draws([])) == 13


def test_a_mix_is_the_weighted_sum_of_its_chains():
    """Hendrycks et al. 2020, algorithm 1, with the weights that Dirichlet and Beta give; to rounding down."""
    policy, image = parsed("augmix-m5-w3-mstd0", LOOK), np.asarray(picture())
    for draws in streams(20, policy.numbers):
        rng = np.random.default_rng(int(draws.numbers[0] * 2**32))
        weights, share = rng.dirichlet([1, 1, 1]), rng.beta(1, 1)
        found, again = policy.applied(image, draws), Draws(draws.numbers)
        again.random()
        chains = [policy.chain(image, again).astype(float) for _ in range(3)]
        mixed = sum(weight * chain for weight, chain in zip(weights, chains))
        wanted = (1 - share) * image + share * mixed
        assert np.abs(found - (wanted - 1)).max() <= 1.01


def test_what_is_blended_in_one_after_another_has_its_share_in_the_end():
    shares = after_all(np.array([0.2, 0.3, 0.1]))
    left = np.array([0.0, 0.0, 0.0, 1.0])  # of the chains, and of the image
    for place, share in enumerate(shares):
        left *= 1 - share
        left[place] += share
    np.testing.assert_allclose(left, [0.2, 0.3, 0.1, 0.4], atol=1e-6)


# torchvision 0.29, transforms/autoaugment.py: TrivialAugmentWide._augmentation_space and _apply_op, of Pillow's images
BLACK = {"resample": Image.Resampling.NEAREST, "fillcolor": (0, 0, 0)}
WIDE_CALLS = {
    "Identity": (0, 0, lambda image, v: image),
    "ShearX": (0, 0.99, lambda image, v: image.transform(image.size, AFFINE, (1, v, 0, 0, 1, 0), **BLACK)),
    "ShearY": (0, 0.99, lambda image, v: image.transform(image.size, AFFINE, (1, 0, 0, v, 1, 0), **BLACK)),
    "TranslateX": (
        0,
        32,
        lambda image, v: image.transform(image.size, AFFINE, (1, 0, -int(v), 0, 1, 0), **BLACK),
    ),
    "TranslateY": (
        0,
        32,
        lambda image, v: image.transform(image.size, AFFINE, (1, 0, 0, 0, 1, -int(v)), **BLACK),
    ),
    "Rotate": (0, 135, lambda image, v: image.rotate(v, **BLACK)),
    "Brightness": (0, 0.99, lambda image, v: ImageEnhance.Brightness(image).enhance(1 + v)),
    "Color": (0, 0.99, lambda image, v: ImageEnhance.Color(image).enhance(1 + v)),
    "Contrast": (0, 0.99, lambda image, v: ImageEnhance.Contrast(image).enhance(1 + v)),
    "Sharpness": (0, 0.99, lambda image, v: ImageEnhance.Sharpness(image).enhance(1 + v)),
    "Posterize": (8, 2, lambda image, v: ImageOps.posterize(image, round(v))),
    "Solarize": (255, 0, lambda image, v: ImageOps.solarize(image, v)),
    "AutoContrast": (0, 0, lambda image, v: ImageOps.autocontrast(image)),
    "Equalize": (0, 0, lambda image, v: ImageOps.equalize(image)),
}


@pytest.mark.parametrize("name", WIDE_CALLS)
def test_trivial_augment_is_one_operation_of_torchvisions_at_one_of_31_strengths(name):
    assert [*WIDE] == [*WIDE_CALLS], "in torchvision's order"
    low, high, call = WIDE_CALLS[name]
    policy, place = parsed("trivialaugwide", LOOK), ([*WIDE].index(name) + 0.5) / 14
    for strength in range(31):
        value = wide_value(low, high, strength)
        assert value == pytest.approx(low + (high - low) * strength / 30, abs=1e-5)
        for number, sign in ((0.4, 1), (0.6, -1 if WIDE[name].signed else 1)):
            found = policy.applied(np.asarray(picture()), Draws([place, (strength + 0.5) / 31, number]))
            np.testing.assert_array_equal(found, np.asarray(call(picture(), sign * value)))
    assert WIDE[name].signed == (high in (0.99, 32, 135))
    assert parsed("ta_wide", LOOK) == TrivialAugment()
