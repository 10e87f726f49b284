"""Batches of one rank, as mindspore.dataset pipelines: decoding, resizing and normalising in C++."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import mindspore.dataset as ds
import mindspore.dataset.vision as vision
import numpy as np

from mindlift.data.batches import Batches, generator
from mindlift.data.classification.options import ClassificationOptions, statistics
from mindlift.data.classification.sources import EvalSource, TrainSource, fit, has_maps
from mindlift.data.classification.split import Samples
from mindlift.data.order import BatchRange, eval_shard


def train_batches(samples: Samples, options: ClassificationOptions, part: BatchRange) -> Batches:
    """The batches of `part`: (image (B, 3, H, W) float32, label (B,) int32).

    With options.as_pixels images are (B, H, W, 3) uint8, not normalised.
    With MixUp also (partner (B,) int32, share (B,) float32), see sources.TrainSource.mixed_with; mixing is the step's work.
    """
    batch = options.per_batch_size
    order = part.order(len(samples), batch, options.seed)
    source = TrainSource(samples, order, part.first * batch, part.last * batch, options)
    mixing = ["partner", "share"] if options.mixup_alpha else []
    dataset = generator(source, ["image", "label", "key", *mixing])
    if samples.encoded and not options.skip_corrupt:
        dataset = c_map(dataset, [vision.Decode()], options.workers)
    if samples.encoded or has_maps(options):
        dataset = augmented(dataset, source, options)
    dataset = normalised(dataset, options).project(["image", "label", *mixing])
    return Batches(dataset.batch(batch, drop_remainder=True), samples)


def augmented(dataset: ds.Dataset, source: TrainSource, options: ClassificationOptions) -> ds.Dataset:
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
    # jitter by Pillow holds the interpreter lock: two threads make 0.95 of the images of one
    if not options.rand_augment_num_layers:
        return python_map(dataset, source.chain(*stages))
    return python_map(dataset, source.chain(*stages, source.rand_augment), options.workers)


def resized(
    dataset: ds.Dataset, size: tuple[int, int], encoded: bool, options: ClassificationOptions
) -> ds.Dataset:
    """Images of `size`. Bicubic is Pillow's, exactly, in C++; bilinear is MindSpore's for files and Pillow's for others.

    MindSpore's bilinear is OpenCV's INTER_LINEAR, value for value: it does not average what it reduces, as Pillow's does.
    Photographs of 427 x 640 brought to 256 x 256 differ by 1 to 5 grey values on average, enlarged ones by at most one.
    It stays, because published figures were measured with it.
    """
    if options.interpolation == "bicubic":
        return c_map(dataset, [vision.Resize(size, vision.Inter.PILCUBIC)], options.workers)
    if encoded:
        return c_map(dataset, [vision.Resize(size)], options.workers)
    return c_map(dataset, [functools.partial(fit, size=size, interpolation=options.interpolation)], 1)


def eval_batches(samples: Samples, options: ClassificationOptions, rank: int, size: int) -> Batches:
    """This rank's share: (image (B, 3, H, W) float32, label (B,) int32, weight (B,) int32); see train_batches."""
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


def resize_rule(options: ClassificationOptions) -> str:
    """In words, how `eval_batches` brings an image to `image_size`."""
    height, width = options.eval_size
    if options.dataset != "imagenet":
        return f"resize to {height} x {width} (height x width; Pillow's {options.interpolation})"
    if options.crop_pct is None:
        size = f"{options.eval_resize} x {options.eval_resize}"
    else:
        high, wide = resized_to(options)
        size = f"the smallest size that covers {high} x {wide}, aspect kept"
    bicubic, bilinear = "Pillow's bicubic", "bilinear without antialiasing, as OpenCV's INTER_LINEAR"
    method = bicubic if options.interpolation == "bicubic" else bilinear
    return f"resize to {size} ({method}), then crop the centre {height} x {width}"


def eval_resize(options: ClassificationOptions) -> Callable:
    """The resizing before the centre crop: to the square eval_resize, or by crop_pct with the aspect kept.

    crop_pct is the rule of timm (data/transforms_factory.py, crop_mode "center"): the shorter side becomes
    floor(image_size / crop_pct); with a non-square image_size each side is divided so, and the image becomes
    the smallest that covers both. timm resizes with Pillow, so that only bicubic gives its pixels: see `resized`.
    """
    method = vision.Inter.PILCUBIC if options.interpolation == "bicubic" else vision.Inter.LINEAR
    if options.crop_pct is None:
        return vision.Resize((options.eval_resize, options.eval_resize), method)
    height, width = resized_to(options)
    if height == width:
        return vision.Resize(height, method)
    return functools.partial(cover, box=(height, width), method=method)


def resized_to(options: ClassificationOptions) -> tuple[int, int]:
    """The (height, width) that crop_pct asks an image to cover."""
    assert options.crop_pct is not None
    height, width = (math.floor(side / options.crop_pct) for side in options.eval_size)
    return height, width


def cover(image: np.ndarray, box: tuple[int, int], method: vision.Inter) -> np.ndarray:
    """`image` resized, aspect kept, so that it just covers `box` (height, width)."""
    scale = max(box[0] / image.shape[0], box[1] / image.shape[1])
    return vision.Resize((round(image.shape[0] * scale), round(image.shape[1] * scale)), method)(image)


def c_map(dataset: ds.Dataset, operations: list, workers: int) -> ds.Dataset:
    return dataset.map(operations, ["image"], num_parallel_workers=workers)


def python_map(dataset: ds.Dataset, function: Callable, workers: int = 1) -> ds.Dataset:
    """`function` in threads: more than one only where it spends its time in Pillow, which lets others run."""
    return dataset.map(function, ["image", "key"], ["image", "key"], num_parallel_workers=workers)


def normalised(dataset: ds.Dataset, options: ClassificationOptions) -> ds.Dataset:
    if options.as_pixels:
        return dataset
    mean, std = statistics(options)
    return c_map(dataset, [vision.Normalize(mean, std), vision.HWC2CHW()], 1)
