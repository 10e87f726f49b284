"""What one rank reads: items of its training stream, rows of its evaluation shard.

Random choices are made in Python from `order.sample_rng`, because the C++ random operators draw from
one stream per worker thread: there, what an image looks like would depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image

from mindlift.data.batches import Stream
from mindlift.data.classification import augment
from mindlift.data.classification.options import ClassificationOptions
from mindlift.data.classification.rand_augment import rand_augment
from mindlift.data.classification.split import Samples
from mindlift.data.order import sample_rng

RAND_AUGMENT_STAGE, MIXUP_STAGE = 2, 3  # of order.sample_rng


def has_maps(options: ClassificationOptions) -> bool:
    """Whether the augmentation is worth threads of its own also with small images."""
    return options.augment == "resize_crop" or options.rand_augment_num_layers > 0


def fit(image: np.ndarray, size: tuple[int, int], interpolation: str) -> np.ndarray:
    """(H, W, 3) uint8 resized to `size` (height, width) as Pillow does it, with antialiasing."""
    if image.shape[:2] == size:
        return image
    method = Image.Resampling.BICUBIC if interpolation == "bicubic" else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(image).resize((size[1], size[0]), method))


class TrainSource(Stream):
    """(image, label, key) by number, and with MixUp partner and share."""

    samples: Samples
    options: ClassificationOptions

    def __getitem__(self, item: int):
        found = self.augmented(int(item))
        return (*found, *self.mixed_with(int(item))) if self.options.mixup_alpha else found

    def augmented(self, item: int):
        image: np.ndarray | None
        epoch, index = self.order(self.start + item)
        if not self.samples.encoded:
            key = np.array([epoch, index], np.int64)
            image = self.samples.read(index)
            return (
                (image if has_maps(self.options) else self.small(image, key)),
                self.samples.labels[index],
                key,
            )
        image = self.samples.read(index) if not self.options.skip_corrupt else None
        if image is None:
            index, image = self.samples.next_good(self.samples.decode, index, len(self.samples))
        return image, self.samples.labels[index], np.array([epoch, index], np.int64)

    def mixed_with(self, item: int) -> tuple[np.int32, np.float32]:
        """Position in its batch of the image that item's is mixed with, and the item's own share.

        One share per image: Beta(alpha, alpha), partner the next image. One per batch: all have the same share, and
        the partners are a permutation.
        """
        batch = self.options.per_batch_size
        number, position = divmod(self.start + item, batch)
        alpha = self.options.mixup_alpha
        if self.options.mixup_shares == "sample":
            epoch, index = self.order(self.start + item)
            share = sample_rng(self.options.seed, epoch, index, MIXUP_STAGE).beta(alpha, alpha)
            return np.int32((position + 1) % batch), np.float32(share)
        rng = sample_rng(self.options.seed, number, self.order.rank, MIXUP_STAGE)
        share = rng.beta(alpha, alpha)
        return np.int32(rng.permutation(batch)[position]), np.float32(share)

    def small(self, image: np.ndarray, key: np.ndarray) -> np.ndarray:
        """Everything at once, of an image that is worth no thread of its own."""
        if self.options.augment != "resized_crop":
            image = fit(image, self.options.image_size, self.options.interpolation)
        image = fit(self.region(image, key)[0], self.options.image_size, self.options.interpolation)
        return self.jitter(image, key)[0]

    def region(self, image: np.ndarray, key: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rng, options = sample_rng(self.options.seed, int(key[0]), int(key[1]), 0), self.options
        if options.augment == "pad_crop":
            image = augment.pad_crop(image, rng)
        elif options.augment == "resized_crop":
            image = augment.resized_crop_region(image, rng)
        elif options.augment == "resize_crop":
            image = augment.random_crop(image, rng, options.image_size)
        return np.ascontiguousarray(image), key

    def jitter(self, image: np.ndarray, key: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rng = sample_rng(self.options.seed, int(key[0]), int(key[1]), 1)
        image = augment.flip_and_jitter(image, rng, self.options.hflip, self.options.color_jitter)
        return image, key

    def chain(self, *stages: Callable) -> Callable:
        """Several of the stages as one: what goes from one map to the next is copied into MindSpore and back."""

        def run(image: np.ndarray, key: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            for stage in stages:
                image, key = stage(image, key)
            return image, key

        return run

    def rand_augment(self, image: np.ndarray, key: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rng = sample_rng(self.options.seed, int(key[0]), int(key[1]), RAND_AUGMENT_STAGE)
        layers, magnitude = self.options.rand_augment_num_layers, self.options.rand_augment_magnitude
        return rand_augment(image, rng, layers, magnitude), key


class EvalSource:
    """(image, label, weight) of one rank's shard, in order, filled up with rows of weight 0."""

    def __init__(
        self, samples: Samples, indices: np.ndarray, weights: np.ndarray, options: ClassificationOptions
    ):
        self.samples, self.indices, self.weights, self.options = samples, indices, weights, options

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, item: int):
        image: np.ndarray | None
        index, weight = int(self.indices[item]), self.weights[item]
        if not self.samples.encoded:
            image = fit(self.samples.read(index), self.options.eval_size, self.options.interpolation)
            return image, self.samples.labels[index], weight
        if not self.options.skip_corrupt:
            return self.samples.read(index), self.samples.labels[index], weight
        image = self.samples.decode(index) if weight else None
        if image is None:
            image, weight = np.zeros((*self.options.eval_size, 3), np.uint8), np.int32(0)
        return image, self.samples.labels[index], weight
