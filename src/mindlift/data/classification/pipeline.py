"""The batches of one rank, to train and to evaluate."""

from __future__ import annotations

import functools

import numpy as np

from mindlift.data import layout
from mindlift.data.ahead import Ahead
from mindlift.data.classification import pixels
from mindlift.data.classification.options import ClassificationOptions
from mindlift.data.classification.sources import EvalSource, TrainSource
from mindlift.data.classification.split import Samples
from mindlift.data.order import Balanced, BatchRange, EpochOrder, eval_shard, repeated, shuffled
from mindlift.data.workers import InThreads
from mindlift.model_utils.streaming.arrivals import ARRIVALS


def train_batches(samples: Samples, options: ClassificationOptions, part: BatchRange) -> InThreads:
    """The batches of `part`: (image (B, 3, H, W) float32, label (B,) int32).

    With options.as_pixels images are (B, H, W, 3) uint8, not normalised.
    With MixUp and CutMix also what `mixing.Mixer` draws; mixing is the step's work.
    """
    batch = options.per_batch_size
    order = part.order(len(samples), batch, options.seed, epochs(samples, options))
    source = TrainSource(samples, order, options)
    return InThreads(source, range(part.first, part.last), batch, options.workers, ARRIVALS.passed)


def epochs(samples: Samples, options: ClassificationOptions) -> EpochOrder:
    """What options.sampler and options.aug_repeats make of the images."""
    count, is_balanced = len(samples), options.sampler == "balanced"
    found = Balanced(samples.labels, options.seed) if is_balanced else shuffled(count, options.seed)
    return repeated(found, count, options.aug_repeats) if options.aug_repeats > 1 else found


class EvalBatches(InThreads):
    """`indices` (rows,) are the images of the rows."""

    def __init__(self, source: EvalSource, options: ClassificationOptions):
        self.indices, self.samples = source.indices, source.samples
        count = len(source.indices) // options.per_batch_size
        evaluated = functools.partial(ARRIVALS.evaluated, of=count)
        super().__init__(source, range(count), options.per_batch_size, options.workers, evaluated)
        self.ahead = Ahead(self.samples.paths_of, self.indices.tolist(), self.batch)

    def prepare(self, number: int) -> None:
        self.ahead.ask(number)

    def indices_by_batch(self) -> list[np.ndarray]:
        return np.array_split(self.indices, len(self)) if len(self) else []


def eval_batches(samples: Samples, options: ClassificationOptions, rank: int, size: int) -> EvalBatches:
    """This rank's share: (image (B, 3, H, W) float32, label (B,) int32, weight (B,) int32); see train_batches."""
    indices, weights = eval_shard(len(samples), options.per_batch_size, rank, size)
    if options.drop_remainder:
        whole = len(samples) // size // options.per_batch_size * options.per_batch_size
        indices, weights = indices[:whole], weights[:whole]
    return EvalBatches(EvalSource(samples, indices, weights, options), options)


def resize_rule(options: ClassificationOptions) -> str:
    """In words, how `eval_batches` brings an image to `image_size`."""
    height, width = options.eval_size
    if options.dataset not in layout.FILES:
        return f"resize to {height} x {width} (height x width; Pillow's {options.interpolation})"
    if options.crop_pct is None:
        size = f"{options.eval_resize} x {options.eval_resize}"
    else:
        high, wide = pixels.least_size(options)
        size = f"the smallest size that covers {high} x {wide}, aspect kept"
    bicubic, bilinear = "Pillow's bicubic", "bilinear without antialiasing, as OpenCV's INTER_LINEAR"
    method = bicubic if options.interpolation == "bicubic" else bilinear
    return f"resize to {size} ({method}), then crop the centre {height} x {width}"
