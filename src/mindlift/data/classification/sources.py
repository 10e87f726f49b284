"""What one rank reads: batches of its training stream, rows of its evaluation shard.

Random choices are made here from `draws.uniforms`, because the C++ random operators draw from one stream per worker
thread: there, what an image looks like would depend on the number of threads.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from mindlift.data import decoding
from mindlift.data.classification import augment, pixels, policies
from mindlift.data.classification.erasing import Eraser
from mindlift.data.classification.mixing import Mixer
from mindlift.data.classification.options import ClassificationOptions
from mindlift.data.classification.rand_augment import numbers_of, rand_augment
from mindlift.data.classification.split import Samples
from mindlift.data.draws import Draws, uniforms
from mindlift.data.kernels import Window
from mindlift.data.order import TrainOrder
from mindlift.data.workers import Unfilled
from mindlift.errors import DataError
from mindlift.model_utils.streaming.arrivals import ArrivalError

REGION, COLOUR, OPERATIONS, SHARES, LATER, ERASING = 0, 1, 2, 3, 4, 5  # stages of augmentation


class TrainSource:
    """Batches of (images, labels), and what they are mixed by; see pipeline.train_batches."""

    def __init__(self, samples: Samples, order: TrainOrder, options: ClassificationOptions):
        self.samples, self.order, self.options = samples, order, options
        self.writer = pixels.Writer(options, options.image_size)
        self.mixer, self.eraser, self.policy = Mixer(options), Eraser(options), policies.of(options)
        self.has_later = options.vflip > 0 or options.grayscale > 0 or options.gaussian_blur > 0
        self.counts = (
            augment.REGION_NUMBERS,
            augment.COLOUR_NUMBERS,
            self.policy.numbers if self.policy else numbers_of(options.rand_augment_num_layers),
            self.mixer.numbers,
            augment.LATER_NUMBERS if self.has_later else 0,
            self.eraser.numbers,
        )

    def batch(self, number: int) -> Unfilled:
        size, views = self.options.per_batch_size, self.options.aug_splits
        epoch, images = self.order.batch(number, size)
        repetitions = self.order.repetitions(number, size)
        numbers = self.numbers(epoch, images, repetitions)
        drawn = as_lists(numbers)
        found, labels = self.writer.empty(len(images) * views), self.samples.labels[np.tile(images, views)]

        def fill(row: int) -> None:
            index = int(images[row])
            try:
                made = self.views(index, [[stage[row] for stage in of_view] for of_view in drawn])
            except DataError:
                if not self.options.skip_corrupt:
                    raise
                index, made = self.replaced(epoch, index, int(repetitions[row]))
            for at, image in zip(range(row, len(found), size), made):
                labels[at] = self.samples.labels[index]
                self.writer.write(image, found[at])

        mixing = self.mixer.arrays(epoch, number, self.order.rank, numbers[0][SHARES])
        return Unfilled((found, labels, *mixing), fill)

    def numbers(
        self, epoch: int, images: np.ndarray, repetitions: np.ndarray | int = 0
    ) -> list[list[np.ndarray]]:
        """What each stage of each view draws for each of `images`."""
        views, seed = self.options.aug_splits, self.options.seed
        return [
            uniforms(seed, epoch, images, self.counts, repetitions * views + view) for view in range(views)
        ]

    def replaced(self, epoch: int, index: int, repetition: int = 0) -> tuple[int, list[np.ndarray]]:
        """The next image that can be decoded, as it looks in this epoch, and its index."""

        def made(candidate: int) -> list[np.ndarray]:
            drawn = as_lists(self.numbers(epoch, np.array([candidate]), repetition))
            return self.views(candidate, [[stage[0] for stage in of_view] for of_view in drawn])

        attempt = functools.partial(self.samples.attempted, made, fatal=ArrivalError)
        return self.samples.next_good(attempt, index, len(self.samples))

    def views(self, index: int, numbers: Sequence[Sequence[list[float]]]) -> list[np.ndarray]:
        """(h, w, 3) uint8 each: of image `index` by the numbers of each view for each stage.

        All show the same region. Of several the first is clean: it has its own colours, as timm's AugMixDataset has it.
        """
        drawn = [[Draws(stage) for stage in of_view] for of_view in numbers]
        flips = [self.flips(stages) for stages in drawn]  # of each view, which has its numbers for them
        image = flipped(self.part(index, drawn[0][REGION]), *flips[0])
        if len(drawn) == 1:
            return [self.erased(self.changed(image, drawn[0]), drawn[0])]
        clean = image if self.options.random_erase_resplit else self.erased(image, drawn[0])
        return [clean, *(self.erased(self.changed(image, stages), stages) for stages in drawn[1:])]

    def flips(self, stages: Sequence[Draws]) -> tuple[bool, bool]:
        """Whether an image is turned upside down, and mirrored."""
        is_turned = self.has_later and stages[LATER].random() < self.options.vflip
        return is_turned, stages[COLOUR].random() < self.options.hflip

    def erased(self, image: np.ndarray, stages: Sequence[Draws]) -> np.ndarray:
        return self.eraser.erased(image, stages[ERASING]) if self.options.random_erase else image

    def changed(self, image: np.ndarray, stages: Sequence[Draws]) -> np.ndarray:
        """`image` with other colours, and as a policy changes it."""
        options = self.options
        if options.color_jitter:
            image = augment.jitter(image, stages[COLOUR], options.color_jitter)
        if self.policy:
            image = self.policy.applied(image, stages[OPERATIONS])
        elif options.rand_augment_num_layers:
            layers, magnitude = options.rand_augment_num_layers, options.rand_augment_magnitude
            image = rand_augment(image, stages[OPERATIONS], layers, magnitude)
        if self.has_later:
            image = augment.grey_and_blur(image, stages[LATER], options.grayscale, options.gaussian_blur)
        return image

    def part(self, index: int, draws: Draws) -> np.ndarray:
        """The region that image `index` shows, in the size of the network's input."""
        options = self.options
        if options.augment == "resized_crop":
            return self.resized_crop(index, draws)
        if options.augment == "resize_crop":
            assert options.train_resize is not None
            window = augment.random_window(options.train_resize, draws, options.image_size)
            return self.resized(index, options.train_resize, window)
        image = self.resized(index, options.image_size)
        return augment.pad_crop(image, draws) if options.augment == "pad_crop" else image

    def resized(self, index: int, size: tuple[int, int], window: Window | None = None) -> np.ndarray:
        """All of an image, or a part of the result."""
        if not self.samples.encoded:
            return pixels.fit(self.samples.read(index), size, self.options.interpolation, window)
        data, name = self.samples.named_bytes(index)
        header = decoding.frame(data)
        factor = decoding.reduction((header.height, header.width), size) if header else decoding.WHOLE
        image = decoding.decode_reduced(data, name, header, factor)
        return pixels.resized(image, size, self.options.interpolation, window)

    def resized_crop(self, index: int, draws: Draws) -> np.ndarray:
        """A random region, resized; of a JPEG no more pixels are made than the region needs."""
        size, interpolation = self.options.image_size, self.options.interpolation
        if not self.samples.encoded:
            image = self.samples.read(index)
            part = self.crop_box(image.shape[0], image.shape[1], draws)
            return pixels.fit(part.of(image), size, interpolation)
        data, name = self.samples.named_bytes(index)
        header = decoding.frame(data)
        if header is None:
            image = decoding.decode(data, name)
            part = self.crop_box(image.shape[0], image.shape[1], draws)
            return pixels.resized(part.of(image), size, interpolation)
        box = self.crop_box(header.height, header.width, draws)
        factor = decoding.reduction(box[2:], size)
        part = box if factor == decoding.WHOLE else Window(*(each // factor for each in box))
        return pixels.resized(decoding.decode_part(data, name, header, factor, part), size, interpolation)

    def crop_box(self, height: int, width: int, draws: Draws) -> Window:
        (smallest, largest), (narrowest, widest) = self.options.crop_scale, self.options.crop_ratio
        return Window(*augment.crop_box(height, width, draws, (smallest, largest), (narrowest, widest)))


def as_lists(numbers: Sequence[Sequence[np.ndarray]]) -> list[list[list[list[float]]]]:
    """The numbers of each image of each stage of each view, as Python's, at once: by image it would take longer."""
    return [[stage.tolist() for stage in of_view] for of_view in numbers]


def flipped(image: np.ndarray, is_turned: bool, is_mirrored: bool) -> np.ndarray:
    image = augment.flip(image) if is_turned else image
    return augment.mirror(image) if is_mirrored else image


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
