"""Semantic segmentation as a task: its options, its objective and exact evaluation over scales.

What every task has is listed in src/mindlift/tasks/base.py.
"""

from __future__ import annotations

import functools
import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import mindspore.nn as nn
import numpy as np

from mindlift.data import layout
from mindlift.data.ahead import Ahead
from mindlift.data.batches import STATISTICS
from mindlift.data.order import EpochOrder, shuffled
from mindlift.data.segmentation import label_check, voc
from mindlift.data.segmentation.options import SegmentationOptions
from mindlift.data.segmentation.pairs import Samples
from mindlift.data.segmentation.pairs import open_split as open_split
from mindlift.data.segmentation.pairs import train_batches as train_batches
from mindlift.data.segmentation.transform import scaled, side_of
from mindlift.errors import ConfigError
from mindlift.interrupts import Deferred
from mindlift.model_utils import devices
from mindlift.model_utils.collectives import all_sum
from mindlift.model_utils.config.command_line import COMMAND_LINE
from mindlift.model_utils.config.frozen import Config
from mindlift.model_utils.job_context import JobContext
from mindlift.model_utils.streaming.arrivals import ARRIVALS
from mindlift.tasks.objective import Objective
from mindlift.tasks.pixels import FromMaskedPixels
from mindlift.tasks.progress import Progress
from mindlift.tasks.segmentation.files import InRun, Kept
from mindlift.tasks.segmentation.objective import Overlap, PixelCrossEntropy, Shares, confusion, probabilities

DATASETS = layout.SEGMENTED
OPTIONS_OF = ("segmentation",)
FIGURES = ("miou", "pixel_accuracy")
AUGMENTATION = 1


def options(cfg: Config, workers: int) -> SegmentationOptions:
    own = ("workers", "as_pixels")
    fields = {
        name: getattr(cfg, name) for name in SegmentationOptions.__dataclass_fields__ if name not in own
    }
    workers = min(cfg.num_parallel_workers, workers)
    return SegmentationOptions(workers=workers, as_pixels=devices.current().normalises, **fields)


def train_options(cfg: Config, data: SegmentationOptions, samples: Samples) -> SegmentationOptions:
    return data


def eval_options(data: SegmentationOptions) -> SegmentationOptions:
    """A list that a training was given is that of its own images; it evaluates those of the split's own list."""
    return replace(data, data_lst="")


def objective(cfg: Config, net: nn.Cell, data: SegmentationOptions) -> nn.Cell:
    """The loss of the images and labels of a batch, a scalar to minimise."""
    if data.as_pixels:
        net = FromMaskedPixels(net, *STATISTICS["imagenet"])
    return Objective(net, PixelCrossEntropy(cfg.num_classes, cfg.ignore_label))


def epoch_order(samples: Samples, data: SegmentationOptions) -> EpochOrder:
    """Each pair once."""
    return shuffled(len(samples), data.seed)


def loss_of_guessing(cfg: Config) -> float:
    """The cross entropy of equal probabilities."""
    return math.log(cfg.num_classes)


def original_lines(at: Progress) -> list[str]:
    """Epochs and steps from 1 and milliseconds."""
    lines = [f"epoch: {at.epoch + 1} step: {at.step_in_epoch}, loss is {at.loss:.7g}"]
    if at.step_in_epoch == at.steps_per_epoch:
        took = 1000 * at.epoch_seconds
        lines.append(f"Epoch time: {took:.3f}, per step time: {took / at.epoch_steps:.3f}")
    return lines


def input_size(cfg: Config) -> tuple[int, int]:
    """(height, width) of an exported model: of the square that an evaluation fills up; ConfigError for no square."""
    height, width = cfg.image_size
    if height != width and cfg.origin("image_size") == COMMAND_LINE:
        raise ConfigError(
            f"--image_size {height},{width}: images to segment are filled up to a square, as in an evaluation; pass one"
            " number"
        )
    return max(height, width), max(height, width)


def describe(cfg: Config, batch: int) -> dict[str, object]:
    """What somebody has to know of an exported model's output and of its images, as JSON."""
    side = cfg.image_size[0]
    mean, std = STATISTICS["imagenet"]
    return {
        "output": {
            "shape": [batch, cfg.num_classes, side, side],
            "type": "float32",
            "meaning": "logits of the classes of each pixel, before softmax over the second dimension",
        },
        "preprocessing": {
            "resize": f"the long side to {side}, the other one in proportion and cut to whole pixels, bilinear between"
            " middles of pixels (cv2.INTER_LINEAR); EXIF rotation not applied",
            "mean": mean,
            "std": std,
            "range": "0 - 255",
            "fill": "zeros, after mean and std, at the bottom or at the right, up to the input's square",
        },
    }


class Evaluator:
    """What evaluates `network` again and again; it is compiled once for each size of image, with and without `flip`."""

    def __init__(self, cfg: Config, network: nn.Cell, data: SegmentationOptions):
        self.network, self.data = network, data

    @functools.lru_cache(maxsize=None)  # noqa: B019 - an evaluator lives as long as the process
    def probabilities(self, flip: bool) -> Shares:
        return probabilities(self.network, flip)


class Segmenter:
    """Class probabilities of whole images, as the original evaluates (Chen et al. 2017, section 4.1, at `scales`).

    At each scale the longer side becomes side_of(scale, crop) and the image is filled up to a square, so that the
    network sees one shape; what it says of the image itself is brought back to the image's size and added up.
    """

    def __init__(
        self, probabilities: Shares, crop: int, scales: Sequence[float], batch: int, pool: ThreadPoolExecutor
    ):
        self.probabilities = probabilities
        self.sides, self.batch, self.pool = [side_of(scale, crop) for scale in scales], batch, pool

    def labels(self, images: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
        """(H, W) uint8 of each of at most `batch` images (H, W, 3) uint8, made by the threads while they are asked for."""
        scales = list(self.by_scale(images)) if images else []
        return self.pool.map(likeliest, zip(*scales), [image.shape[:2] for image in images])

    def by_scale(self, images: Sequence[np.ndarray]) -> Iterator[list[np.ndarray]]:
        """At each scale the (K, h, w) probabilities of each image, without those of what it was filled up with."""
        for side in self.sides:
            fitted = list(self.pool.map(scaled, images, itertools.repeat(side)))
            rows = np.zeros((self.batch, 3, side, side), np.float32)
            for row, (pixels, _) in zip(rows, fitted):
                row[:] = pixels.transpose(2, 0, 1)
            found = self.probabilities(rows)
            yield [each[:, :height, :width] for each, (_, (height, width)) in zip(found, fitted)]


def likeliest(scales: Sequence[np.ndarray], size: tuple[int, ...]) -> np.ndarray:
    """(H, W) uint8 for the `size` (H, W) of an image, of its (K, h, w) probabilities at each scale.

    Probabilities are brought to the image's size, bilinearly, and added up over the scales; of equal sums the first class
    counts. Class by class, because the sums of a photo of 12 megapixels would take 1 GB for 21 classes.
    """
    best, label = np.full(size, -1, np.float32), np.zeros(size, np.uint8)
    for number, planes in enumerate(zip(*scales)):
        total = sum(cv2.resize(plane, size[::-1], interpolation=cv2.INTER_LINEAR) for plane in planes)
        label[total > best] = number
        np.maximum(best, total, out=best)
    return label


@dataclass(frozen=True)
class Views:
    """How an image is evaluated: at which scales, and whether also mirrored."""

    scales: Sequence[float] = (1.0,)
    flip: bool = False


def predictions(
    evaluator: Evaluator, samples: Samples, indices: Sequence[int], views: Views
) -> Iterator[list[tuple[int, np.ndarray, np.ndarray, np.ndarray]]]:
    """A list per batch of (index, image, label, predicted (H, W) uint8); the next batch is read meanwhile.

    An image that can't be read is left out and counted, with skip_corrupt, else DataError.
    """
    data = evaluator.data
    read = functools.partial(samples.attempted, samples.pair) if data.skip_corrupt else samples.pair
    with ThreadPoolExecutor(max(1, data.workers)) as pool:
        share = evaluator.probabilities(views.flip)
        segmenter = Segmenter(share, max(data.image_size), views.scales, data.per_batch_size, pool)
        batches = [indices[i : i + data.per_batch_size] for i in range(0, len(indices), data.per_batch_size)]
        files = Ahead(samples.paths_of, indices, data.per_batch_size)
        files.ask(0)
        ahead = [pool.submit(read, index) for index in batches[0]] if batches else []
        for number, batch in enumerate(batches):
            pairs = [(index, future.result()) for index, future in zip(batch, ahead)]
            ARRIVALS.evaluated(number + 1, of=len(batches))
            files.ask(number + 1)
            following = batches[number + 1] if number + 1 < len(batches) else []
            ahead = [pool.submit(read, index) for index in following]
            good = [(index, *pair) for index, pair in pairs if pair is not None]
            yield [
                (*one, label) for one, label in zip(good, segmenter.labels([image for _, image, _ in good]))
            ]


def count(
    job: JobContext,
    evaluator: Evaluator,
    samples: Samples,
    views: Views,
    keep: Callable[[str, np.ndarray, np.ndarray, np.ndarray], None],
) -> tuple[Overlap, int]:
    """The confusion of all images over all ranks, and how many there were. RuntimeError if an image is missing.

    `keep(name, image, label, predicted)` hears of each image of this rank.
    """
    data, ranks, log = evaluator.data, job.ranks, job.log
    evaluator.network.set_train(False)
    mine = range(ranks.rank, len(samples), ranks.size)
    matrix, seen = np.zeros((data.num_classes, data.num_classes), np.int64), 0
    with Deferred() as interrupts:
        log.start_bar("evaluate", "image", len(mine), first="compiling the graph")
        for batch in predictions(evaluator, samples, mine, views):
            for index, image, label, predicted in batch:
                matrix += confusion(label, predicted, data.num_classes, data.ignore_label)
                seen += 1
                keep(samples.names[index], image, label, predicted)
            log.advance(len(batch))
            interrupts.check()
    log.end_bar()
    sums = all_sum(np.array([*matrix.ravel(), seen, samples.skipped], np.int64), ranks.size)
    total, skipped = int(sums[-2]), int(sums[-1])
    if total + skipped != len(samples):
        raise RuntimeError(f"evaluated {total} of {len(samples)} images ({skipped} skipped)")
    return Overlap(sums[:-2].reshape(matrix.shape)), total


def show(job: JobContext, overlap: Overlap, names: list[str]) -> None:
    log = job.log
    for line in overlap.lines(names, job.cfg.log_style):
        log.info(line)
    absent = label_check.absent(overlap.matrix.sum(1), names)
    if absent:
        log.warning(absent)


def evaluate(job: JobContext, evaluator: Evaluator, samples: Samples, path: Path) -> dict[str, object]:
    """As eval.py's options ask for, of the checkpoint at `path`; logs the table and returns the figures."""
    cfg, log = job.cfg, job.log
    started, names = time.time(), voc.class_names(cfg.dataset, cfg.num_classes)
    with Kept(job, path, names) as kept:
        overlap, total = count(job, evaluator, samples, Views(cfg.scales, cfg.flip), kept.add)
        log.info(f"checkpoint {path}")
        show(job, overlap, names)
        figures = {
            "checkpoint": str(path),
            "net": cfg.net,
            "dataset": cfg.dataset,
            "scales": list(cfg.scales),
            "flip": cfg.flip,
            "miou": round(overlap.miou, 6),
            "pixel_accuracy": round(overlap.pixel_accuracy, 6),
            "total": total,
            "skipped": len(samples) - total,
            "seconds": round(time.time() - started, 2),
            "per_class": overlap.by_name(names),
        }
        kept.write(figures, overlap.matrix)
    return figures


def final_figures(job: JobContext, evaluator: Evaluator, samples: Samples, step: int) -> dict[str, object]:
    """What a training's result says of its weights after `step`: one scale, not mirrored."""
    names = voc.class_names(job.cfg.dataset, job.cfg.num_classes)
    with InRun(job, names, len(range(0, len(samples), job.ranks.size))) as kept:
        overlap, total = count(job, evaluator, samples, Views(), kept.add)
        show(job, overlap, names)
        kept.write(step, overlap)
    return {
        "miou": round(overlap.miou, 6),
        "pixel_accuracy": round(overlap.pixel_accuracy, 6),
        "total": total,
        "per_class": overlap.by_name(names),
    }
