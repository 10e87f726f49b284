"""What bench_input.py compares with: the same images made as one would without MindLift, in batches for ever."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

BATCH = 64
GREY = (128, 128, 128)

# --- what BigTransfer's port has: one map per image, in Pillow from end to end


def shear(image: Image.Image, matrix: tuple) -> Image.Image:
    return image.transform(
        image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC, fillcolor=GREY
    )


def move(image: Image.Image, matrix: tuple) -> Image.Image:
    return image.transform(image.size, Image.Transform.AFFINE, matrix, fillcolor=GREY)


def solarize_add(image: Image.Image, added: int) -> Image.Image:
    """As torchvision's users write it: arithmetic on the pixels."""
    pixels = np.asarray(image).astype(np.int64)
    return Image.fromarray(np.where(pixels < 128, np.clip(pixels + added, 0, 255), pixels).astype(np.uint8))


def cutout(image: Image.Image, share: float, rng: np.random.Generator) -> Image.Image:
    from mindlift.data.classification.rand_augment import cutout as square

    return Image.fromarray(square(np.asarray(image), share, rng))


# Operations of (image, magnitude / 10, random stream); signed ones get a negative magnitude half of the time.
PILLOW: list[tuple[Callable, bool]] = [
    (lambda image, m, rng: ImageOps.autocontrast(image), False),
    (lambda image, m, rng: ImageOps.equalize(image), False),
    (lambda image, m, rng: ImageOps.invert(image), False),
    (lambda image, m, rng: image.rotate(30 * m), True),
    (lambda image, m, rng: ImageOps.posterize(image, min(8, max(1, int(4 * m)))), False),
    (lambda image, m, rng: ImageOps.solarize(image, 256 * m), False),
    (lambda image, m, rng: ImageEnhance.Color(image).enhance(0.1 + 1.8 * m), False),
    (lambda image, m, rng: ImageEnhance.Contrast(image).enhance(0.1 + 1.8 * m), False),
    (lambda image, m, rng: ImageEnhance.Brightness(image).enhance(0.1 + 1.8 * m), False),
    (lambda image, m, rng: ImageEnhance.Sharpness(image).enhance(0.1 + 1.8 * m), False),
    (lambda image, m, rng: shear(image, (1, 0.3 * m, 0, 0, 1, 0)), True),
    (lambda image, m, rng: shear(image, (1, 0, 0, 0.3 * m, 1, 0)), True),
    (lambda image, m, rng: move(image, (1, 0, 0.45 * m * image.width, 0, 1, 0)), True),
    (lambda image, m, rng: move(image, (1, 0, 0, 0, 1, 0.45 * m * image.height)), True),
    (lambda image, m, rng: cutout(image, 0.35 * m, rng), False),
    (lambda image, m, rng: solarize_add(image, int(110 * m)), False),
]


def in_pillow(tile: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(32, 32, 3) uint8 -> (3, 160, 160) float32 from -1 to 1, in the port's order."""
    image = Image.fromarray(tile).resize((192, 192), Image.Resampling.BICUBIC)
    left, top = (int(corner) for corner in rng.integers(0, 33, 2))
    image = image.crop((left, top, left + 160, top + 160))
    if rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    magnitude = rng.normal(20, 0.5) / 10
    for index in rng.integers(0, len(PILLOW), 2):
        operation, signed = PILLOW[index]
        image = operation(image, -magnitude if signed and rng.random() < 0.5 else magnitude, rng)
    unit = np.asarray(image).transpose(2, 0, 1).astype(np.float32) / 255
    return (unit - np.float32(0.5)) / np.float32(0.5)


def bit_in_pillow(folder: Path) -> Iterator:
    """All operations in one Python map, as MindSpore runs py_transforms."""
    import mindspore.dataset as ds

    from mindlift.data.classification import cifar10

    images, _ = cifar10.load(folder, True, 10, allow_unused=True)
    rng = np.random.default_rng(0)

    def stream():
        for index in itertools.cycle(range(len(images))):
            yield images[index], rng.integers(0, 2**31)

    dataset = ds.GeneratorDataset(
        stream, ["image", "seed"], num_parallel_workers=1, python_multiprocessing=False
    )
    dataset = dataset.map(
        lambda image, seed: in_pillow(image, np.random.default_rng(int(seed))),
        ["image", "seed"],
        ["image"],
        num_parallel_workers=1,
    )
    return (batch for (batch,) in dataset.batch(BATCH).create_tuple_iterator(num_epochs=1, do_copy=False))


# --- what the ImageNet recipes could have instead


def in_mindspore(folder: Path) -> Iterator:
    """DenseNet-121's augmentation by MindSpore's C++ operators, which decode no more than they crop."""
    import mindspore.dataset as ds
    import mindspore.dataset.vision as vision

    from mindlift.data.batches import STATISTICS

    steps = [
        vision.RandomCropDecodeResize(224),
        vision.RandomHorizontalFlip(),
        vision.RandomColorAdjust(*[(0.6, 1.4)] * 3),
        vision.Normalize(*STATISTICS["imagenet"]),
        vision.HWC2CHW(),
    ]
    dataset = ds.ImageFolderDataset(str(folder), num_parallel_workers=1)
    dataset = dataset.map(steps, ["image"], num_parallel_workers=1).repeat(10**6).batch(BATCH)
    return (images for images, _ in dataset.create_tuple_iterator(num_epochs=1, do_copy=False))


def in_torch(folder: Path) -> Iterator:
    """The same by torchvision, as its users write it; one process, as one core has."""
    import torch
    from torchvision import datasets, transforms

    torch.set_num_threads(1)
    steps = transforms.Compose(
        [
            transforms.RandomResizedCrop(224),
            transforms.RandomHorizontalFlip(),
            transforms.ColorJitter(0.4, 0.4, 0.4),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    loader = torch.utils.data.DataLoader(datasets.ImageFolder(str(folder), steps), BATCH, shuffle=True)
    while True:
        for images, _ in loader:
            yield images
