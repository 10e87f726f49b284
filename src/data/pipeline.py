"""Batches of one rank, as mindspore.dataset pipelines: decoding, resizing and normalising in C++.

Random choices are made in Python from `order.sample_rng`, because the C++ random operators draw from
one stream per worker thread: there, what an image looks like would depend on the number of threads.
"""

from __future__ import annotations

import functools
import importlib
import math
import threading
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mindspore.dataset as ds
import mindspore.dataset.vision as vision
import numpy as np
from PIL import Image

from src.data import augment, image_folder, layout, record_read
from src.data.order import TrainOrder, eval_shard, sample_rng, steps_per_epoch
from src.data.rand_augment import rand_augment
from src.model_utils.errors import DataError

STATISTICS = {
    "imagenet": ([0.485 * 255, 0.456 * 255, 0.406 * 255], [0.229 * 255, 0.224 * 255, 0.225 * 255]),
    "half": ([127.5] * 3, [127.5] * 3),
}
RAND_AUGMENT_STAGE, MIXUP_STAGE = 2, 3  # of order.sample_rng
RECENT = 4096  # rows to search for the image that the C++ decoder refused


@dataclass(frozen=True)
class DataOptions:
    """What of the configuration decides the batches; `image_size` is (height, width)."""

    dataset: str
    num_classes: int
    image_size: tuple[int, int]
    per_batch_size: int
    workers: int
    seed: int
    augment: str
    hflip: float
    color_jitter: float
    eval_resize: int
    skip_corrupt: bool
    allow_unused_classes: bool
    drop_remainder: bool
    crop_pct: float | None
    normalize: str
    data_format: str
    train_resize: tuple[int, int] | None = None
    eval_image_size: tuple[int, int] | None = None
    interpolation: str = "bilinear"
    rand_augment_num_layers: int = 0
    rand_augment_magnitude: float = 20.0
    mixup_alpha: float = 0.0
    mixup_shares: str = "sample"

    @property
    def eval_size(self) -> tuple[int, int]:
        return self.eval_image_size or self.image_size


class Failures:
    """What samples of all kinds share: the first failure, for `explain`, and the number of those left out."""

    def __init__(self) -> None:
        self.skipped = 0
        self.failure: DataError | None = None
        self._lock = threading.Lock()

    def remembered(self, read: Callable[[int], Any], index: int) -> Any:
        """What `read` gives; remembers the first DataError."""
        try:
            return read(index)
        except DataError as err:
            self.failure = self.failure or err
            raise

    def attempted(self, read: Callable[[int], Any], index: int, fatal: type[DataError] | tuple = ()) -> Any:
        """What `read` gives, or None, counted in `skipped`, if it raises DataError that is not `fatal`."""
        try:
            return read(index)
        except fatal:
            raise
        except DataError:
            with self._lock:
                self.skipped += 1
            return None

    def next_good(self, decode: Callable[[int], Any], index: int, count: int) -> tuple[int, Any]:
        """The first of index, index + 1 ... (of `count`, in a circle) for which `decode` is not None, and what it gives."""
        for step in range(count):
            candidate = (index + step) % count
            found = decode(candidate)
            if found is not None:
                return candidate, found
        raise DataError(f"none of the {count} images can be decoded")

    def explain(self, err: RuntimeError) -> Exception:
        """The error to show for a failed pipeline."""
        return self.failure or err


class Samples(Failures):
    """The images of one split. `encoded` ones are bytes of files, the others (H, W, 3) uint8.

    `fetch(index)` gives the bytes of image `index`, called `files[index]`; without it, that file is read.
    """

    def __init__(
        self, labels: np.ndarray, images: np.ndarray | None = None, files: list[str] | None = None,
        fetch: Callable[[int], bytes] | None = None,
    ):  # fmt: skip
        super().__init__()
        self.labels, self.images, self.files, self.fetch = labels, images, files, fetch
        self.encoded = files is not None
        self.recent: deque[int] = deque(maxlen=RECENT)

    def __len__(self) -> int:
        return len(self.labels)

    def encoded_bytes(self, index: int) -> bytes:
        assert self.files is not None
        return self.fetch(index) if self.fetch else image_folder.read_bytes(self.files[index])

    def read(self, index: int) -> np.ndarray:
        """Pixels, or the bytes of the file as (n,) uint8; remembers the first failure for `explain`."""
        if self.images is not None:
            return self.images[index]
        assert self.files is not None
        self.recent.append(index)
        return np.frombuffer(self.remembered(self.encoded_bytes, index), np.uint8)

    def pixels(self, index: int) -> np.ndarray:
        """(H, W, 3) uint8 of image `index`; DataError that names the file if it is corrupt."""
        if self.files is None:
            return self.read(index)
        return image_folder.decode(self.encoded_bytes(index), self.files[index])

    def decode(self, index: int) -> np.ndarray | None:
        """Pixels of image `index`, or None, counted in `skipped`, if it is corrupt."""
        assert self.files is not None
        return self.attempted(self.pixels, index)

    def explain(self, err: RuntimeError) -> Exception:
        """The error to show for a failed pipeline: the image that can't be read, if there is one."""
        if self.failure is None and self.files is not None:
            for index in self.recent:
                try:
                    image_folder.decode(self.encoded_bytes(index), self.files[index])
                except DataError as found:
                    return found
        return super().explain(err)


def open_split(options: DataOptions, path: Path, train: bool) -> Samples:
    """Open the training or evaluation images below `path`; raises DataError."""
    if options.data_format == "mindrecord":
        shards = record_read.open_split(path, train, options)
        if options.dataset == "imagenet":
            return Samples(shards.labels, files=shards.names, fetch=shards.read)
        return Samples(shards.labels, images=shards.pixels())
    if options.dataset == "imagenet":
        folder = layout.split_folder(path, train)
        files, labels = image_folder.scan(folder, options.num_classes, options.allow_unused_classes)
        return Samples(labels, files=files)
    reader = importlib.import_module(f"src.data.{layout.PIXELS[options.dataset]}")
    images, labels = reader.load(path, train, options.num_classes, options.allow_unused_classes)
    return Samples(labels, images=images)


def fit(image: np.ndarray, size: tuple[int, int], interpolation: str) -> np.ndarray:
    """(H, W, 3) uint8 resized to `size` (height, width) as Pillow does it, with antialiasing."""
    if image.shape[:2] == size:
        return image
    method = Image.Resampling.BICUBIC if interpolation == "bicubic" else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(image).resize((size[1], size[0]), method))


class TrainSource:
    """Random access to one rank's stream of (image, label, key), from `start` items on."""

    def __init__(self, samples: Samples, order: TrainOrder, start: int, stop: int, options: DataOptions):
        self.samples, self.order, self.start, self.options = samples, order, start, options
        self.count = stop - start

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, item: int):
        found = self.augmented(int(item))
        return (*found, *self.mixed_with(int(item))) if self.options.mixup_alpha else found

    def augmented(self, item: int):
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

    def __init__(self, samples: Samples, indices: np.ndarray, weights: np.ndarray, options: DataOptions):
        self.samples, self.indices, self.weights, self.options = samples, indices, weights, options

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, item: int):
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


class Batches:
    """Iterates over tuples of numpy arrays, each (batch, ...); `samples` says what was skipped.

    Of an evaluation `indices` (rows,) are the images of the rows. `ahead` is the number of rows and batches that
    each stage of the pipeline may be ahead of the next one; not given: mindspore's, 16.
    """

    def __init__(
        self, dataset: ds.Dataset, samples: Failures, indices: np.ndarray | None = None, ahead: int | None = None
    ):  # fmt: skip
        self.dataset, self.samples, self.indices, self.ahead = dataset, samples, indices, ahead

    def __len__(self) -> int:
        return self.dataset.get_dataset_size()

    def indices_by_batch(self) -> list[np.ndarray]:
        assert self.indices is not None
        return np.array_split(self.indices, len(self)) if len(self) else []

    def __iter__(self) -> Generator[tuple, None, None]:
        """Ends mindspore's threads when it is done or closed, and not only when the process ends."""
        iterator = self.iterator()
        try:
            while True:
                try:
                    row = next(iterator)
                except StopIteration:
                    return
                except RuntimeError as err:
                    explained = self.samples.explain(err)
                    raise explained from (None if explained is not err else err.__cause__)
                yield tuple(row)
        finally:
            iterator.stop()

    def iterator(self) -> Any:
        usual = ds.config.get_prefetch_size()
        ds.config.set_prefetch_size(self.ahead or usual)
        try:
            return self.dataset.create_tuple_iterator(num_epochs=1, do_copy=False)
        finally:
            ds.config.set_prefetch_size(usual)


def train_steps_per_epoch(count: int, batch: int, size: int, accumulation: int) -> int:
    """Optimiser steps in an epoch; raises DataError if the images don't fill one step of all ranks."""
    if count < size:
        raise DataError(f"{size} ranks but only {count} training images; use at most {count} ranks")
    steps = steps_per_epoch(count, batch * size * accumulation)
    if steps == 0:
        raise DataError(
            f"{count} training images don't fill one step of {size} ranks x {accumulation} x per_batch_size"
            f" {batch}; pass a --per_batch_size of at most {max(1, count // (size * accumulation))}"
        )
    return steps


def train_batches(
    samples: Samples,
    options: DataOptions,
    rank: int,
    size: int,
    first_batch: int,
    last_batch: int,
    accumulation: int,
) -> Batches:
    """Batches first_batch .. last_batch - 1 of this rank: (image (B, 3, H, W) float32, label (B,) int32).

    With MixUp also (partner (B,) int32, share (B,) float32), see TrainSource.mixed_with; mixing is the step's work.
    """
    batch = options.per_batch_size
    order = TrainOrder(len(samples), batch * accumulation, rank, size, options.seed)
    source = TrainSource(samples, order, first_batch * batch, last_batch * batch, options)
    mixing = ["partner", "share"] if options.mixup_alpha else []
    dataset = generator(source, ["image", "label", "key", *mixing])
    if samples.encoded and not options.skip_corrupt:
        dataset = c_map(dataset, [vision.Decode()], options.workers)
    if samples.encoded or has_maps(options):
        dataset = augmented(dataset, source, options)
    dataset = normalised(dataset, options).project(["image", "label", *mixing])
    return Batches(dataset.batch(batch, drop_remainder=True), samples)


def has_maps(options: DataOptions) -> bool:
    """Whether the augmentation is worth threads of its own also with small images."""
    return options.augment == "resize_crop" or options.rand_augment_num_layers > 0


def augmented(dataset: ds.Dataset, source: TrainSource, options: DataOptions) -> ds.Dataset:
    """Resize, crop, mirror, RandAugment, in this order; resized_crop resizes behind the crop."""
    encoded = source.samples.encoded
    if options.augment == "resize_crop":
        assert options.train_resize is not None
        dataset, stages = resized(dataset, options.train_resize, encoded, options), [source.region]
    elif encoded or options.augment == "resized_crop":
        dataset = resized(python_map(dataset, source.region), options.image_size, encoded, options)
        stages = []
    else:
        dataset, stages = resized(dataset, options.image_size, encoded, options), [source.region]
    stages.append(source.jitter)
    if not options.rand_augment_num_layers:
        return python_map(dataset, source.chain(*stages))
    return python_map(dataset, source.chain(*stages, source.rand_augment), options.workers)


def resized(dataset: ds.Dataset, size: tuple[int, int], encoded: bool, options: DataOptions) -> ds.Dataset:
    """Images of `size`. Bicubic is Pillow's, exactly, in C++; bilinear is MindSpore's for files and Pillow's for others.

    MindSpore's bilinear differs from Pillow's by one grey value in a quarter of the pixels and is not moved here,
    because published figures were measured with it.
    """
    if options.interpolation == "bicubic":
        return c_map(dataset, [vision.Resize(size, vision.Inter.PILCUBIC)], options.workers)
    if encoded:
        return c_map(dataset, [vision.Resize(size)], options.workers)
    return c_map(dataset, [functools.partial(fit, size=size, interpolation=options.interpolation)], 1)


def eval_batches(samples: Samples, options: DataOptions, rank: int, size: int) -> Batches:
    """This rank's share: (image (B, 3, H, W) float32, label (B,) int32, weight (B,) int32)."""
    indices, weights = eval_shard(len(samples), options.per_batch_size, rank, size)
    if options.drop_remainder:
        whole = len(samples) // size // options.per_batch_size * options.per_batch_size
        indices, weights = indices[:whole], weights[:whole]
    source = EvalSource(samples, indices, weights, options)
    dataset = generator(source, ["image", "label", "weight"])
    if samples.encoded:
        decode = [] if options.skip_corrupt else [vision.Decode()]
        resize = [eval_resize(options), vision.CenterCrop(options.eval_size)]
        dataset = c_map(dataset, decode + resize, options.workers)
    return Batches(normalised(dataset, options).batch(options.per_batch_size), samples, indices)


def statistics(options: DataOptions) -> tuple[list[float], list[float]]:
    """Mean and standard deviation per channel that the network's input is normalised with, in steps of 0 - 255."""
    wanted = options.dataset if options.normalize == "auto" else options.normalize
    return STATISTICS.get(wanted, STATISTICS["half"])


def resize_rule(options: DataOptions) -> str:
    """In words, how `eval_batches` brings an image to `image_size`."""
    height, width = options.eval_size
    if options.dataset != "imagenet":
        return f"resize to {height} x {width} (height x width; Pillow's {options.interpolation})"
    if options.crop_pct is None:
        size = f"{options.eval_resize} x {options.eval_resize}"
    else:
        high, wide = resized_to(options)
        size = f"the smallest size that covers {high} x {wide}, aspect kept"
    return f"resize to {size} (MindSpore's bilinear), then crop the centre {height} x {width}"


def eval_resize(options: DataOptions) -> Callable:
    """The resizing before the centre crop: to the square eval_resize, or by crop_pct with the aspect kept.

    crop_pct is the rule of timm (data/transforms_factory.py, crop_mode "center"): the shorter side becomes
    floor(image_size / crop_pct); with a non-square image_size each side is divided so, and the image becomes
    the smallest that covers both.
    """
    method = vision.Inter.PILCUBIC if options.interpolation == "bicubic" else vision.Inter.LINEAR
    if options.crop_pct is None:
        return vision.Resize((options.eval_resize, options.eval_resize), method)
    height, width = resized_to(options)
    if height == width:
        return vision.Resize(height, method)
    return functools.partial(cover, box=(height, width), method=method)


def resized_to(options: DataOptions) -> tuple[int, int]:
    """The (height, width) that crop_pct asks an image to cover."""
    assert options.crop_pct is not None
    height, width = (math.floor(side / options.crop_pct) for side in options.eval_size)
    return height, width


def cover(image: np.ndarray, box: tuple[int, int], method: vision.Inter) -> np.ndarray:
    """`image` resized, aspect kept, so that it just covers `box` (height, width)."""
    scale = max(box[0] / image.shape[0], box[1] / image.shape[1])
    return vision.Resize((round(image.shape[0] * scale), round(image.shape[1] * scale)), method)(image)


def generator(source, columns: list[str]) -> ds.GeneratorDataset:
    """One Python thread: a second one only fights for the interpreter lock (4 x slower on 16 x 16 images)."""
    return ds.GeneratorDataset(
        source, columns, shuffle=False, num_parallel_workers=1, python_multiprocessing=False
    )


def c_map(dataset: ds.Dataset, operations: list, workers: int) -> ds.Dataset:
    return dataset.map(operations, ["image"], num_parallel_workers=workers)


def python_map(dataset: ds.Dataset, function: Callable, workers: int = 1) -> ds.Dataset:
    """`function` in threads: more than one only where it spends its time in Pillow, which lets others run."""
    return dataset.map(function, ["image", "key"], ["image", "key"], num_parallel_workers=workers)


def normalised(dataset: ds.Dataset, options: DataOptions) -> ds.Dataset:
    mean, std = statistics(options)
    return c_map(dataset, [vision.Normalize(mean, std), vision.HWC2CHW()], 1)
