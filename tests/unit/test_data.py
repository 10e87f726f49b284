from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from mindlift.data import batches
from mindlift.data.classification import augment, cifar10, pipeline, sources, split
from mindlift.data.draws import Draws, uniforms
from mindlift.data.embedded import digits as demo
from mindlift.data.order import BatchRange, TrainOrder
from mindlift.errors import DataError
from tests.support.batches import FOLDER_OPTIONS, OPTIONS, collect, made


@pytest.fixture
def folder(tmp_path):
    """Three classes of five images each, of different sizes and shades; one PNG, one WebP, one grey and one CMYK JPEG."""
    rng = np.random.default_rng(0)
    for label, name in enumerate(("cat", "dog", "eel")):
        (tmp_path / name).mkdir()
        for i in range(5):
            size = (40 + 9 * i, 60 - 5 * i)
            pixels = rng.integers(0, 60, (*size, 3), dtype=np.uint8) + np.uint8(80 * label)
            image = Image.fromarray(pixels)
            mode, suffix = {1: ("RGB", "png"), 2: ("L", "jpg"), 3: ("CMYK", "JPEG"), 4: ("RGB", "webp")}.get(
                i, ("RGB", "jpg")
            )
            image.convert(mode).save(
                tmp_path / name / f"{i}.{suffix}", **({} if suffix == "png" else {"quality": 95})
            )
    return tmp_path


def test_digits_are_cifar10_shaped_disjoint_and_balanced(digits):
    files = sorted(path.name for path in (digits / cifar10.FOLDER).iterdir())
    assert files == ["batches.meta.txt", *(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]
    train, train_labels = cifar10.load(digits, True, 10)
    test, test_labels = cifar10.load(digits, False, 10)
    assert train.shape == (1440, 32, 32, 3)
    assert test.shape == (357, 32, 32, 3)
    assert not {image.tobytes() for image in train} & {image.tobytes() for image in test}
    assert np.bincount(train_labels).min() > 135
    assert np.bincount(test_labels).min() > 33


def test_building_twice_changes_nothing(digits):
    before = {path: path.stat().st_mtime_ns for path in (digits / cifar10.FOLDER).iterdir()}
    demo.build(digits)
    assert {path: path.stat().st_mtime_ns for path in (digits / cifar10.FOLDER).iterdir()} == before
    assert [path.name for path in digits.iterdir()] == [cifar10.FOLDER], "no .part folder left"


def test_cifar10_layout_is_channel_by_channel(tmp_path):
    image = np.zeros((1, 32, 32, 3), np.uint8)
    image[0, 0, 1] = (10, 20, 30)
    cifar10.write_batch(tmp_path / "test_batch.bin", image, np.array([7]))
    raw = (tmp_path / "test_batch.bin").read_bytes()
    assert (raw[0], raw[2], raw[2 + 1024], raw[2 + 2048]) == (7, 10, 20, 30)
    images, labels = cifar10.load(tmp_path, False, 10)
    assert (images == image).all()
    assert labels.tolist() == [7]


def test_training_reads_only_training_files(digits):
    assert len(split.open_split(OPTIONS, digits, train=True)) == 1440
    assert len(split.open_split(OPTIONS, digits, train=False)) == 357


def train_rows(samples, options, last):
    return collect(pipeline.train_batches(samples, options, BatchRange(0, last)))


def test_augmentation_differs_between_epochs(digits):
    samples = split.open_split(OPTIONS, digits, train=True)
    source = sources.TrainSource(samples, TrainOrder(len(samples), 16, 0, 1, 1), OPTIONS)
    (first,), (second,) = (made(source, 5, epoch) for epoch in (0, 1))
    assert (first != second).any()


@pytest.mark.parametrize("rank", [0, 1])
def test_evaluation_is_normalised_and_in_order(digits, rank):
    samples = split.open_split(OPTIONS, digits, train=False)
    images, labels, weights = collect(pipeline.eval_batches(samples, OPTIONS, rank, 2))
    assert len(images) == 192
    assert weights.sum() == (179, 178)[rank]
    expected = (samples.images[rank].astype(np.float32) - 127.5) / 127.5
    np.testing.assert_allclose(images[0], expected.transpose(2, 0, 1), atol=1e-6)
    np.testing.assert_array_equal(labels[weights == 1], samples.labels[rank::2])


def test_drop_remainder_drops_the_tail_of_each_rank(digits):
    samples = split.open_split(OPTIONS, digits, train=False)
    weights = collect(pipeline.eval_batches(samples, replace(OPTIONS, drop_remainder=True), 0, 2))[2]
    assert weights.sum() == len(weights) == 357 // 2 // 16 * 16


def test_folder_training_and_evaluation(folder):
    samples = split.open_split(FOLDER_OPTIONS, folder, train=True)
    assert len(samples) == 15
    images, labels = train_rows(samples, FOLDER_OPTIONS, 3)
    assert images.shape == (12, 3, 32, 32)
    again, _ = train_rows(samples, replace(FOLDER_OPTIONS, workers=1), 3)
    np.testing.assert_array_equal(images, again)
    images, labels, weights = collect(pipeline.eval_batches(samples, FOLDER_OPTIONS, 0, 1))
    assert weights.sum() == 15
    shades = [images[(labels == label) & (weights == 1)].mean() for label in range(3)]
    assert shades == sorted(shades), "a class's shade goes with its folder's rank"


def test_train_and_val_folders_are_told_apart(folder, tmp_path_factory):
    root = tmp_path_factory.mktemp("split")
    (root / "train").symlink_to(folder)
    (root / "val").mkdir()
    for name in ("cat", "dog", "eel"):
        (root / "val" / name).mkdir()
        (root / "val" / name / "a.jpg").write_bytes((folder / name / "0.jpg").read_bytes())
    assert len(split.open_split(FOLDER_OPTIONS, root, train=True)) == 15
    assert len(split.open_split(FOLDER_OPTIONS, root, train=False)) == 3


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "noise"])
def test_a_corrupt_image_is_named_or_skipped_and_counted(folder, damage):
    bad = folder / "dog" / "0.jpg"
    content = bad.read_bytes()
    noise = bytearray(content)
    noise[2:200] = bytes(198)
    bad.write_bytes(
        {"cut": content[: len(content) // 2], "empty": b"", "text": b"not an image", "noise": bytes(noise)}[
            damage
        ]
    )
    samples = split.open_split(FOLDER_OPTIONS, folder, train=True)
    with pytest.raises(DataError, match=r"corrupt image .*dog/0\.jpg: .*--skip_corrupt"):
        train_rows(samples, replace(FOLDER_OPTIONS, per_batch_size=5), 3)
    with pytest.raises(DataError, match=r"dog/0\.jpg"):
        collect(pipeline.eval_batches(samples, FOLDER_OPTIONS, 0, 1))
    skipping = replace(FOLDER_OPTIONS, skip_corrupt=True, per_batch_size=5)
    samples = split.open_split(skipping, folder, train=True)
    assert len(train_rows(samples, skipping, 3)[0]) == 15
    assert samples.skipped == 1
    weights = collect(pipeline.eval_batches(samples, skipping, 0, 1))[2]
    assert weights.sum() == 14
    assert samples.skipped == 2


def drawn(image: int) -> Draws:
    """The numbers of an image."""
    return Draws(uniforms(0, 0, np.array([image]), [augment.REGION_NUMBERS])[0][0].tolist())


def test_crop_boxes_stay_inside_and_cover_8_to_100_percent():
    shares = []
    for i in range(500):
        top, left, h, w = augment.crop_box(50, 80, drawn(i))
        assert 0 <= top <= 50 - h
        assert 0 <= left <= 80 - w
        assert 0.7 < w / h < 1.43
        shares.append(h * w / 4000)
    assert 0.06 < min(shares) < 0.12
    assert 0.8 < max(shares) <= 1.0


def test_impossible_crop_falls_back_to_the_centre():
    assert augment.crop_box(10, 1000, drawn(0)) == (0, 493, 10, 13)


@pytest.mark.parametrize("shape", [(32, 32), (8, 8), (48, 20), (7, 7)])
def test_pad_crop_is_a_crop_of_the_padded_image(shape):
    image = np.random.default_rng(0).integers(1, 256, (*shape, 3), dtype=np.uint8)
    pad = shape[0] // 8
    padded = np.pad(image, ((pad, pad), (pad, pad), (0, 0)))
    for i in range(50):
        top, left = (int(number * (2 * pad + 1)) for number in drawn(i).numbers[:2])
        wanted = padded[top : top + shape[0], left : left + shape[1]]
        np.testing.assert_array_equal(augment.pad_crop(image, drawn(i)), wanted)


def test_pad_crop_moves_by_at_most_four_pixels():
    image = np.zeros((32, 32, 3), np.uint8)
    image[16, 16] = 255
    places = {tuple(np.argwhere(augment.pad_crop(image, drawn(i))[..., 0])[0]) for i in range(400)}
    assert {row for row, _ in places} == {col for _, col in places} == set(range(12, 21))


def test_flip_probability_and_jitter_strength_have_effect():
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)

    def flips(probability):
        plain = replace(OPTIONS, augment="none", image_size=(8, 8), hflip=probability, color_jitter=0)
        samples = split.Samples(np.zeros(1, np.int32), images=image[None])
        source = sources.TrainSource(samples, TrainOrder(1, 1, 0, 1, 1), plain)
        results = [made(source, 0, epoch)[0] for epoch in range(200)]
        return np.mean([(result == image[:, ::-1]).all() for result in results])

    assert flips(0) == 0
    assert flips(1) == 1
    assert 0.4 < flips(0.5) < 0.6
    jittered = augment.jitter(image, drawn(0), 0.4)
    assert jittered.shape == image.shape
    assert (jittered != image).any()


def broken(tmp_path, digits, case):
    """A data folder that is wrong in one way, and the options to open it with."""
    options = OPTIONS
    root = tmp_path / "d"
    if case != "missing":
        root.mkdir()
    if case in ("cut", "label", "no test"):
        images, labels = np.zeros((4, 32, 32, 3), np.uint8), np.array([0, 1, 2, 12])
        cifar10.write_batch(root / "data_batch_1.bin", images, labels)
    if case == "cut":
        raw = (root / "data_batch_1.bin").read_bytes()
        (root / "data_batch_1.bin").write_bytes(raw[:-5])
    if case in ("folder: too many", "folder: too few", "folder: empty", "folder: none"):
        options = replace(FOLDER_OPTIONS, num_classes=2)
        for name in {"folder: too many": "abc", "folder: too few": "a", "folder: empty": "ab"}.get(case, ""):
            (root / name).mkdir()
    return root, options


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("missing", r"no such folder: .*/d; --data_dir"),
        ("empty", r"no \*\.bin files in .*/d"),
        ("cut", r"data_batch_1\.bin: 12287 bytes is not a whole number of 3073-byte records"),
        ("label", r"data_batch_1\.bin: record 3 has label 12, but num_classes is 10"),
        ("no test", r"no test_batch\.bin in .*/d"),
        ("folder: too many", r"has 3 class folders, but num_classes is 2; pass --num_classes 3"),
        ("folder: too few", r"has 1 class folders, but num_classes is 2; .*--allow_unused_classes"),
        ("folder: empty", r"no images .* in the 2 class folders"),
        ("folder: none", r"no class folders in .*/d"),
    ],
)
def test_bad_data_is_one_clear_line(tmp_path, digits, case, message):
    root, options = broken(tmp_path, digits, case)
    with pytest.raises(DataError, match=message) as caught:
        split.open_split(options, root, train=case != "no test")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("size", "batch", "message"), [(300, 1, "300 ranks but only 200"), (2, 128, "at most 100")]
)
def test_too_few_images_for_a_step(size, batch, message):
    with pytest.raises(DataError, match=message):
        batches.train_steps_per_epoch(200, batch, size, 1)


MIXED = replace(OPTIONS, mixup_alpha=0.5)


def mixing(options, digits, rank=0, size=1, first=0, last=4):
    samples = split.open_split(options, digits, train=True)
    return collect(pipeline.train_batches(samples, options, BatchRange(first, last, rank, size)))


def test_every_image_has_a_share_of_its_own_and_the_next_one_as_partner(digits):
    plain, (images, labels, partner, share) = mixing(OPTIONS, digits), mixing(MIXED, digits)
    np.testing.assert_array_equal(images, plain[0])
    np.testing.assert_array_equal(labels, plain[1])
    assert (partner.dtype, share.dtype) == (np.int32, np.float32)
    assert partner.reshape(4, 16).tolist() == [[*range(1, 16), 0]] * 4
    assert len(set(share.tolist())) == 64
    assert 0 <= share.min() < 0.2 < 0.8 < share.max() <= 1


def test_one_share_per_batch_and_permuted_partners(digits):
    _, _, partner, share = mixing(replace(MIXED, mixup_shares="batch"), digits)
    rows = partner.reshape(4, 16)
    assert all(sorted(row) == list(range(16)) for row in rows.tolist())
    assert len({tuple(row) for row in rows.tolist()}) == 4
    assert [len(set(row)) for row in share.reshape(4, 16).tolist()] == [1] * 4
    assert len(set(share.tolist())) == 4


@pytest.mark.parametrize("shares", ["sample", "batch"])
def test_mixing_goes_on_where_it_stopped_and_differs_between_ranks(shares, digits):
    options = replace(MIXED, mixup_shares=shares)
    whole, rest = mixing(options, digits), mixing(options, digits, first=2)
    for one, two in zip(whole, rest):
        np.testing.assert_array_equal(one[32:], two)
    other = mixing(options, digits, rank=1, size=2)
    assert (other[3] != mixing(options, digits, rank=0, size=2)[3]).any()


def test_shares_follow_the_beta_distribution():
    """Beta(0.5, 0.5): mean 1/2, variance 1/8, half of the mass beyond 0.1464 and 0.8536."""
    samples = split.Samples(np.zeros(4000, np.int32), images=np.zeros((4000, 1, 1, 3), np.uint8))
    source = sources.TrainSource(samples, TrainOrder(4000, 16, 0, 1, 1), MIXED)
    shares = np.concatenate([source.batch(number).arrays[3] for number in range(250)])
    assert shares.mean() == pytest.approx(0.5, abs=0.02)
    assert shares.var() == pytest.approx(0.125, abs=0.005)
    assert np.mean((shares < 0.1464) | (shares > 0.8536)) == pytest.approx(0.5, abs=0.03)
