"""What one rank reads: batches of its training stream, rows of its evaluation shard.

Random choices are made here from `draws.uniforms`, because the C++ random operators draw from one stream per worker
thread: there, what an image looks like would depend on the number of threads.
"""

from __future__ import annotations

import functools

import numpy as np

from mindlift.data import decoding
from mindlift.data.classification import augment, pixels
from mindlift.data.classification.options import ClassificationOptions
from mindlift.data.classification.rand_augment import numbers_of, rand_augment
from mindlift.data.classification.split import Samples
from mindlift.data.draws import Draws, symmetric_beta, uniforms
from mindlift.data.order import TrainOrder, sample_rng
from mindlift.data.workers import Unfilled
from mindlift.errors import DataError
from mindlift.model_utils.staging.arrivals import ArrivalError

MIXUP_STAGE = 3  # of order.sample_rng
SHARE_NUMBERS = 2


class TrainSource:
    """Batches of (images, labels), and with MixUp of partners and shares; see pipeline.train_batches."""

    def __init__(self, samples: Samples, order: TrainOrder, options: ClassificationOptions):
        self.samples, self.order, self.options = samples, order, options
        self.writer = pixels.Writer(options, options.image_size)

    def batch(self, number: int) -> Unfilled:
        size = self.options.per_batch_size
        epoch, images = self.order.batch(number, size)
        repetitions = self.order.repetitions(number, size)
        region, colour, operations, shares = self.numbers(epoch, images, repetitions)
        found, labels = self.writer.empty(len(images)), self.samples.labels[images]

        def fill(row: int) -> None:
            index, drawn = int(images[row]), (region[row], colour[row], operations[row])
            try:
                image = self.image(index, *drawn)
            except DataError:
                if not self.options.skip_corrupt:
                    raise
                index, image = self.replaced(epoch, index)
            labels[row] = self.samples.labels[index]
            self.writer.write(image, found[row])

        return Unfilled((found, labels, *self.mixing(number, shares)), fill)

    def numbers(self, epoch: int, images: np.ndarray, repetitions: np.ndarray | int = 0) -> list[np.ndarray]:
        """What each stage draws for each of `images`: region, colour, RandAugment, MixUp."""
        counts = (
            augment.REGION_NUMBERS,
            augment.COLOUR_NUMBERS,
            numbers_of(self.options.rand_augment_num_layers),
            SHARE_NUMBERS,
        )
        return uniforms(self.options.seed, epoch, images, counts, repetitions)

    def replaced(self, epoch: int, index: int) -> tuple[int, np.ndarray]:
        """The next image that can be decoded, as it looks in this epoch, and its index."""

        def made(candidate: int) -> np.ndarray:
            return self.image(
                candidate, *(part[0] for part in self.numbers(epoch, np.array([candidate]))[:3])
            )

        attempt = functools.partial(self.samples.attempted, made, fatal=ArrivalError)
        return self.samples.next_good(attempt, index, len(self.samples))

    def image(self, index: int, region: np.ndarray, colour: np.ndarray, operations: np.ndarray) -> np.ndarray:
        """(h, w, 3) uint8 of image `index`, by its numbers."""
        options = self.options
        image = self.part(index, Draws(region.tolist()))
        image = augment.mirror_and_jitter(image, Draws(colour.tolist()), options.hflip, options.color_jitter)
        if options.rand_augment_num_layers:
            layers, magnitude = options.rand_augment_num_layers, options.rand_augment_magnitude
            image = rand_augment(image, Draws(operations.tolist()), layers, magnitude)
        return image

    def part(self, index: int, draws: Draws) -> np.ndarray:
        """The region that image `index` shows, in the size of the network's input."""
        options = self.options
        if options.augment == "resized_crop":
            return self.resized_crop(index, draws)
        if options.augment == "resize_crop":
            assert options.train_resize is not None
            image = self.resized(index, options.train_resize)
            return augment.random_crop(image, draws, options.image_size)
        image = self.resized(index, options.image_size)
        return augment.pad_crop(image, draws) if options.augment == "pad_crop" else image

    def resized(self, index: int, size: tuple[int, int]) -> np.ndarray:
        if not self.samples.encoded:
            return pixels.fit(self.samples.read(index), size, self.options.interpolation)
        data, name = self.samples.encoded_bytes(index), self.samples.names[index]
        header = decoding.frame(data)
        factor = decoding.reduction((header.height, header.width), size) if header else decoding.WHOLE
        image = decoding.decode_reduced(data, name, header, factor)
        return pixels.resized(image, size, self.options.interpolation)

    def resized_crop(self, index: int, draws: Draws) -> np.ndarray:
        """A random region, resized; of a JPEG no more pixels are made than the region needs."""
        size, interpolation = self.options.image_size, self.options.interpolation
        if not self.samples.encoded:
            image = self.samples.read(index)
            top, left, h, w = augment.crop_box(image.shape[0], image.shape[1], draws)
            return pixels.fit(image[top : top + h, left : left + w], size, interpolation)
        data, name = self.samples.encoded_bytes(index), self.samples.names[index]
        header = decoding.frame(data)
        if header is None:
            image = decoding.decode(data, name)
            top, left, h, w = augment.crop_box(image.shape[0], image.shape[1], draws)
        else:
            box = augment.crop_box(header.height, header.width, draws)
            factor = decoding.reduction(box[2:], size)
            image = decoding.decode_reduced(data, name, header, factor)
            top, left, h, w = (each // factor for each in box)
        return pixels.resized(image[top : top + h, left : left + w], size, interpolation)

    def mixing(self, number: int, numbers: np.ndarray) -> tuple[np.ndarray, ...]:
        """For each image of batch `number` the position of the one that it is mixed with, and its own share.

        One share per image: Beta(alpha, alpha), partner the next image. One per batch: all have the same share, and
        the partners are a permutation.
        """
        alpha, batch = self.options.mixup_alpha, len(numbers)
        if not alpha:
            return ()
        if self.options.mixup_shares == "sample":
            partners = (np.arange(batch, dtype=np.int32) + 1) % batch
            return partners.astype(np.int32), symmetric_beta(alpha, numbers).astype(np.float32)
        rng = sample_rng(self.options.seed, number, self.order.rank, MIXUP_STAGE)
        share = np.full(batch, rng.beta(alpha, alpha), np.float32)
        return rng.permutation(batch).astype(np.int32), share


class EvalSource:
    """Batches of (images, labels, weights) of one rank's shard, in order; rows of weight 0 are black."""

    def __init__(
        self, samples: Samples, indices: np.ndarray, weights: np.ndarray, options: ClassificationOptions
    ):
        self.samples, self.indices, self.weights, self.options = samples, indices, weights, options
        self.writer = pixels.Writer(options, options.eval_size)

    def batch(self, number: int) -> Unfilled:
        size = self.options.per_batch_size
        rows = slice(number * size, (number + 1) * size)
        indices, weights = self.indices[rows], self.weights[rows].copy()
        found = self.writer.empty(size)

        def fill(row: int) -> None:
            image = self.image(int(indices[row])) if weights[row] else None
            if image is None:
                image, weights[row] = np.zeros((*self.options.eval_size, 3), np.uint8), 0
            self.writer.write(image, found[row])

        return Unfilled((found, self.samples.labels[indices], weights), fill)

    def image(self, index: int) -> np.ndarray | None:
        """(h, w, 3) uint8; None for a file that is left out because it can't be decoded."""
        options = self.options
        if not self.samples.encoded:
            return pixels.fit(self.samples.read(index), options.eval_size, options.interpolation)
        image = self.samples.decode(index) if options.skip_corrupt else self.samples.pixels(index)
        if image is None:
            return None
        size = pixels.eval_resize(options, image.shape[0], image.shape[1])
        return pixels.centre(pixels.resized(image, size, options.interpolation), options.eval_size)
