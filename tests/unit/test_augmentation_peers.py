"""Augmentation next to timm and torchvision themselves, where they are installed: they draw the numbers that are drawn here.

pip install timm torchvision
"""

from __future__ import annotations

import json
import math
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
from PIL import Image, ImageOps

from mindlift.data.classification import augment
from mindlift.data.classification.erasing import Eraser
from mindlift.data.classification.mixing import Mixer
from mindlift.data.classification.policies.operations import Look
from mindlift.data.classification.policies.policy import weighted
from mindlift.data.classification.policies.text import parsed
from mindlift.data.draws import Draws, uniforms
from mindlift.data.order import TrainOrder, repeated, shuffled
from tests.golden import timm_policies
from tests.support.batches import OPTIONS
from tests.unit.test_mixing import mixed
from tests.unit.test_rand_augment import picture

pytestmark = pytest.mark.heavy
TRANSLATIONS = (3, 4)  # among TrivialAugment's operations
LOOK = Look(timm_policies.HYPER["img_mean"], Image.Resampling.BICUBIC)


def streams(count, numbers, seed=7):
    return [row.tolist() for row in uniforms(seed, 0, np.arange(count), [numbers])[0]]


@contextmanager
def patched(functions):
    with ExitStack() as stack:
        for name, function in functions.items():
            stack.enter_context(patch(name, function))
        yield


def drawing(draws):
    """timm's random numbers come from `draws`."""
    made: list[np.random.Generator] = []

    def choice(items, count, replace=True, p=None):
        if p is None:
            return [items[draws.integer(len(items))] for _ in range(count)]
        left, found = list(p), []
        for _ in range(count):
            at = weighted(left, draws)
            left[at] = 0.0
            found.append(items[at])
        return found

    def dirichlet(alphas):
        made.append(draws.generator())
        return made[0].dirichlet(alphas)

    return patched(
        {
            "random.random": draws.random,
            "random.uniform": draws.uniform,
            "random.gauss": draws.normal,
            "random.choice": lambda items: items[draws.integer(len(items))],
            "random.randint": lambda low, high: low + draws.integer(high - low + 1),
            "numpy.random.choice": choice,
            "numpy.random.randint": lambda low, high: low + draws.integer(high - low),
            "numpy.random.dirichlet": dirichlet,
            "numpy.random.beta": lambda a, b: made[0].beta(a, b),
        }
    )


def needs_posterize_to_nothing():
    """timm asks for it, and Pillow from 12 on refuses; here the image is black with any."""
    try:
        ImageOps.posterize(picture(), 0)
    except ValueError:
        pytest.skip("timm itself fails with this Pillow")


@pytest.mark.parametrize("words", timm_policies.WORDS)
def test_policies_are_timms_bit_for_bit(words):
    pytest.importorskip("timm")
    needs_posterize_to_nothing()
    transform, policy = timm_policies.transform(words), parsed(words, LOOK)
    for number, row in enumerate(streams(200, policy.numbers)):
        image = picture(number % 5)
        with drawing(Draws(row)):
            wanted = transform(image)
        found = policy.applied(np.asarray(image), Draws(row))
        np.testing.assert_array_equal(found, np.asarray(wanted), err_msg=f"image {number}")


def test_the_record_of_timm_is_what_it_says_today():
    pytest.importorskip("timm")
    today, kept = timm_policies.recorded(), json.loads(timm_policies.FILE.read_text())
    assert json.loads(json.dumps(today["words"])) == kept["words"]
    assert today["values"] == kept["values"]


def test_trivial_augment_is_torchvisions():
    """Bit for bit but where the last digit of a strength, which torch.linspace has differently on some CPUs, turns a grey
    value."""
    torch = pytest.importorskip("torch")
    transforms = pytest.importorskip("torchvision.transforms")
    policy, peer = parsed("trivialaugwide", LOOK), transforms.TrivialAugmentWide()
    differing = 0
    for number, row in enumerate(streams(600, policy.numbers)):
        image, draws = picture(number % 5), Draws(row)
        operation, strength = draws.integer(14), draws.integer(31)
        if operation in TRANSLATIONS and strength == 15:
            continue  # 16 pixels, of which 15.999999 makes 15
        answers = {14: operation, 31: strength, 2: int(draws.random() > 0.5)}
        with patch("torch.randint", lambda high, size, answers=answers, **_: torch.tensor(answers[high])):
            wanted = np.asarray(peer(image)).astype(int)
        found = policy.applied(np.asarray(image), Draws(row))
        if not np.array_equal(found, wanted):
            differing += 1
            assert np.abs(found - wanted).max() <= 1, f"image {number}, operation {operation}"
            assert (found != wanted).mean() < 0.02, f"image {number}, operation {operation}"
    assert differing <= 6


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("mode", ["const", "rand", "pixel"])
def test_erased_rectangles_are_timms(mode, count):
    torch = pytest.importorskip("torch")
    erasing = pytest.importorskip("timm.data.random_erasing")
    eraser = Eraser(replace(OPTIONS, random_erase=0.7, random_erase_mode=mode, random_erase_count=count))
    peer = erasing.RandomErasing(0.7, mode=mode, max_count=count, device="cpu")
    image = np.asarray(picture())
    mean, std = (values.reshape(3, 1, 1) for values in (eraser.mean, eraser.std))
    for row in streams(200, eraser.numbers):
        draws = Draws(row)

        def filled(per_pixel, rand_color, size, dtype=None, device=None, draws=draws):
            """What timm draws from a normal distribution, from our numbers."""
            if per_pixel:
                noise = draws.generator().standard_normal((*size[1:], 3), np.float32)
                return torch.from_numpy(noise.transpose(2, 0, 1).copy())
            if rand_color:
                return torch.tensor([draws.normal(0.0, 1.0) for _ in range(3)]).reshape(3, 1, 1)
            return torch.zeros((3, 1, 1))

        def first(draws=draws):
            number = draws.random()
            if count == 1:
                draws.random()  # timm draws no number of rectangles then
            return number

        pixels = torch.from_numpy(((image.transpose(2, 0, 1) - mean) / std).astype(np.float32))
        with drawing(draws), patch("random.random", first), patch.object(erasing, "_get_pixels", filled):
            wanted = peer(pixels).numpy() * std + mean
        found = eraser.erased(image, Draws(row)).transpose(2, 0, 1)
        assert np.abs(np.clip(wanted, 0, 255) - found).max() <= 0.501


@pytest.mark.parametrize("shares", ["sample", "pair", "batch"])
@pytest.mark.parametrize("alphas", [(0.4, 0.0), (0.0, 1.0), (0.4, 1.0)])
def test_mixed_batches_and_targets_are_timms(shares, alphas):
    """With the partners of the unit `sample` and `batch` turned into timm's, which are from the end of the batch on."""
    torch, timm = pytest.importorskip("torch"), pytest.importorskip("timm.data.mixup")
    batch, size = 8, (6, 10)
    options = replace(
        OPTIONS,
        image_size=size,
        mixup_alpha=alphas[0],
        cutmix_alpha=alphas[1],
        mixup_shares=shares,
        mixup_prob=0.8,
    )
    mixer = Mixer(options)
    mode = {"sample": "elem"}.get(shares, shares)
    peer = timm.Mixup(*alphas, None, 0.8, 0.5, mode, label_smoothing=0.0, num_classes=10)
    rng = np.random.default_rng(1)
    rows = batch // 2 if shares == "pair" else batch
    seen = set()
    for number in range(30):
        drawn = uniforms(3, 0, np.arange(batch) + batch * number, [mixer.numbers])[0]
        arrays = mixer.arrays(0, number, 0, drawn)
        _, before, numbers = mixer.drawn(number, 0, drawn)
        is_cut = mixer.is_cut(numbers)
        lam = np.where(numbers[:, 2] < 0.8, before, 1.0)
        images, labels = rng.normal(size=(batch, 3, *size)).astype(np.float32), rng.integers(0, 10, batch)
        centres = [
            (numbers[row, 4:] * size).astype(int).tolist()
            for row in range(batch)
            if is_cut[row] and lam[row] != 1
        ]
        places = iter([value for centre in centres for value in centre])
        single = (float(lam[0]), bool(is_cut[0]))
        peer._params_per_elem = lambda _, lam=lam, is_cut=is_cut: (lam[:rows].copy(), is_cut[:rows])
        peer._params_per_batch = lambda single=single: single
        with patch("numpy.random.randint", lambda low, high, size=None, places=places: next(places)):
            wanted, targets = peer(torch.from_numpy(images.copy()), torch.from_numpy(labels))
        partner, share, *rest = arrays
        mirrored = np.arange(batch, dtype=np.int32)[::-1]
        box = rest[0] if rest else np.zeros((batch, 4), np.int32)
        found = mixed(images, mirrored, share, box)
        np.testing.assert_allclose(found, wanted.numpy(), atol=1e-5)
        onehot = np.eye(10)[labels]
        np.testing.assert_allclose(
            share[:, None] * onehot + (1 - share[:, None]) * onehot[mirrored], targets.numpy(), atol=1e-5
        )
        if shares == "pair":
            np.testing.assert_array_equal(partner, mirrored)
        seen.update(is_cut.tolist())
    assert seen == {*([False] if alphas[0] else []), *([True] if alphas[1] else [])}


def test_grey_and_blurred_images_are_torchvisions():
    functional = pytest.importorskip("torchvision.transforms.functional")
    for seed in range(5):
        image = picture(seed)
        np.testing.assert_array_equal(
            augment.grey(np.asarray(image)), np.asarray(functional.rgb_to_grayscale(image, 3))
        )
        for sigma in (0.1, 0.5, 1.3, 2.0):
            found = augment.blur(np.asarray(image), sigma).astype(int)
            wanted = np.asarray(functional.gaussian_blur(image, [23, 23], [sigma, sigma]))
            assert np.abs(found - wanted).max() <= 1


class Numbers:
    """torch.empty(1), which is then filled."""

    def __init__(self, torch, draws):
        self.torch, self.draws = torch, draws

    def uniform_(self, low, high):
        return self.torch.tensor([self.draws.uniform(float(low), float(high))], dtype=self.torch.float64)


@pytest.mark.parametrize(
    ("scale", "ratio"),
    [((0.08, 1), (3 / 4, 4 / 3)), ((0.2, 0.5), (0.5, 2)), ((1, 1), (3, 4)), ((1, 1), (0.1, 0.2))],
)
def test_crops_are_torchvisions(scale, ratio):
    """Of the same numbers; and the centre with the nearest aspect where nothing fits."""
    torch, transforms = pytest.importorskip("torch"), pytest.importorskip("torchvision.transforms")
    logarithms = torch.tensor([math.log(each) for each in ratio], dtype=torch.float64)
    for row in streams(300, augment.REGION_NUMBERS):
        draws = Draws(row)
        with patched(
            {
                "torch.empty": lambda _, draws=draws: Numbers(torch, draws),
                "torch.log": lambda _: logarithms,
                "torch.randint": lambda low, high, size, draws=draws: torch.tensor([draws.integer(high)]),
            }
        ):
            wanted = transforms.RandomResizedCrop.get_params(picture(), list(scale), list(ratio))
        assert augment.crop_box(30, 40, Draws(row), scale, ratio) == tuple(wanted)


@pytest.mark.parametrize(("ranks", "repeats"), [(1, 3), (2, 3), (4, 2)])
def test_repeated_images_go_to_ranks_as_timms_sampler_deals_them_out(ranks, repeats):
    torch, sampler = pytest.importorskip("torch"), pytest.importorskip("timm.data.distributed_sampler")
    count, batch = 96, 8
    epochs = repeated(shuffled(count, 1), count, repeats)
    permutation = torch.from_numpy(TrainOrder(count, batch, 0, 1, 1).batch(0, count)[1])
    for rank in range(ranks):
        peer = sampler.RepeatAugSampler(range(count), ranks, rank, num_repeats=repeats, selected_round=0)
        with patch("torch.randperm", lambda *_, **__: permutation):
            wanted = list(peer)
        order = TrainOrder(count, batch, rank, ranks, 1, epochs)
        found = np.concatenate([order.batch(number, batch)[1] for number in range(count // ranks // batch)])
        assert found.tolist() == wanted
