"""Classification as a task: its options, its objective and exact evaluation.

What every task has is listed in src/mindlift/tasks/base.py.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import mindspore.nn as nn
import numpy as np

from mindlift.backports import cached_property
from mindlift.data import class_names, layout
from mindlift.data.classification import blacklist, class_weights, option_check, pipeline, policies, split
from mindlift.data.classification.options import ClassificationOptions, statistics
from mindlift.data.classification.pipeline import train_batches as train_batches
from mindlift.data.classification.split import open_split as open_split
from mindlift.data.order import EpochOrder
from mindlift.interrupts import Deferred
from mindlift.model_utils import devices
from mindlift.model_utils.collectives import all_sum
from mindlift.model_utils.config.frozen import Config
from mindlift.model_utils.job_context import JobContext
from mindlift.runs import evaluation_files
from mindlift.tasks.classification import losses, multi_crop
from mindlift.tasks.classification.cut_mix import CutMix
from mindlift.tasks.classification.distillation import taught
from mindlift.tasks.classification.jensen_shannon import JensenShannon
from mindlift.tasks.classification.objective import (
    Accuracy,
    MixedCrossEntropy,
    MixUp,
    Places,
    SmoothedCrossEntropy,
    Smoothing,
)
from mindlift.tasks.objective import Objective
from mindlift.tasks.pixels import FromPixels
from mindlift.tasks.progress import Progress

DATASETS = (*layout.PIXELS, "imagenet")
OPTIONS_OF = ("classification",)
FIGURES = ("top1", "top5", "loss")
FIRST_BATCH = "the first batch, which compiles the graph the first time"
AUGMENTATION = 2  # 1: a numpy stream for each image, jitter by Pillow, no reduced decoding


def options(cfg: Config, workers: int) -> ClassificationOptions:
    own = ("workers", "as_pixels", "class_weights", "bce_pos_weight")
    fields = {
        name: getattr(cfg, name) for name in ClassificationOptions.__dataclass_fields__ if name not in own
    }
    workers = min(cfg.num_parallel_workers, workers)
    option_check.check_statistics(cfg)
    return ClassificationOptions(workers=workers, as_pixels=devices.current().normalises, **fields)


def train_options(cfg: Config, data: ClassificationOptions, samples: split.Samples) -> ClassificationOptions:
    """For a training on these images. ConfigError for augmentation that can't be meant."""
    return weighted(cfg, augmented(cfg, data, len(samples)), samples)


def weighted(cfg: Config, data: ClassificationOptions, samples: split.Samples) -> ClassificationOptions:
    """`data` with what classes count in a training on these images."""
    return replace(
        data,
        class_weights=class_weights.of_training(cfg, samples.labels),
        bce_pos_weight=class_weights.of_what_is_there(cfg, samples.labels, samples.classes),
    )


def augmented(cfg: Config, data: ClassificationOptions, images: int) -> ClassificationOptions:
    """`data` for a training with so many images: few of them are not mixed."""
    option_check.check_augmentation(cfg)
    policies.of(data)
    return replace(data, mixup_alpha=0.0, cutmix_alpha=0.0) if images < cfg.mixup_least_images else data


def eval_options(data: ClassificationOptions) -> ClassificationOptions:
    return data


def of_batches(net: nn.Cell, data: ClassificationOptions) -> nn.Cell:
    """`net` as a function of the images of a batch of `data`."""
    return FromPixels(net, *statistics(data)) if data.as_pixels else net


def objective(cfg: Config, net: nn.Cell, data: ClassificationOptions) -> nn.Cell:
    """The loss of the arrays of a batch of `data`, a scalar to minimise."""
    return mixed(of_batches(net, data), taught(cfg, loss_of(cfg, data)), data)


def mixed(net: nn.Cell, loss: nn.Cell, data: ClassificationOptions) -> nn.Cell:
    """The objective of batches of `data`; `net` is a function of their images."""
    if data.cutmix_alpha > 0:
        return CutMix(net, loss, data.image_size, channels_last=data.as_pixels)
    return MixUp(net, loss) if data.mixup_alpha > 0 else Objective(net, loss)


def loss_of(cfg: Config, data: ClassificationOptions) -> nn.Cell:
    """The cell of --loss, for mixed images if data has them."""
    shares = cfg.label_smooth_factor if cfg.label_smooth else 0.0, cfg.label_smoothing
    if cfg.loss == "jsd":
        return JensenShannon(cfg.num_classes, data.aug_splits, cfg.jsd_alpha, *shares)
    if cfg.loss in ("auto", "cross_entropy") and not data.class_weights:
        is_mixed = data.mixup_alpha > 0 or data.cutmix_alpha > 0
        usual = MixedCrossEntropy if is_mixed else SmoothedCrossEntropy
        return usual(cfg.num_classes, *shares)
    smoothing = Smoothing(cfg.num_classes, *shares)
    gain, off = smoothing.gain, smoothing.off
    loss = {
        "bce": lambda: losses.BinaryCrossEntropy(gain, off, cfg.bce_target_threshold, data.bce_pos_weight),
        "focal": lambda: losses.Focal(cfg.focal_gamma, losses.alpha(cfg), gain, off),
        "asl": lambda: losses.AsymmetricOfOne(cfg.asl_gamma_neg, cfg.asl_gamma_pos or 0.0, gain, off),
    }.get(cfg.loss, lambda: losses.CrossEntropy(gain, off))()
    targets = losses.OneLabel(cfg.num_classes)
    return losses.OfImages(targets, loss, data.class_weights, losses.sums(cfg))


def loss_of_guessing(cfg: Config) -> float:
    """The cross entropy of equal probabilities, or of probabilities of one half for each class."""
    if cfg.loss not in ("bce", "focal"):
        return math.log(cfg.num_classes)
    return math.log(2) * (cfg.num_classes if losses.sums(cfg) else 1)


def epoch_order(samples: split.Samples, data: ClassificationOptions) -> EpochOrder:
    """Of --sampler."""
    return pipeline.epochs(samples, data)


def input_size(cfg: Config) -> tuple[int, int]:
    """(height, width) of an exported model: of an evaluation."""
    return cfg.eval_image_size or cfg.image_size


def describe(cfg: Config, batch: int) -> dict[str, object]:
    """What somebody has to know of an exported model's output and of its images, as JSON."""
    data = options(cfg, workers=1)
    mean, std = statistics(data)
    return {
        "output": {"shape": [batch, cfg.num_classes], "type": "float32", "meaning": "logits, before softmax"},
        "preprocessing": {"resize": pipeline.resize_rule(data), "mean": mean, "std": std, "range": "0 - 255"},
    }


def original_lines(at: Progress) -> list[str]:
    """Epochs and steps from 0."""
    shown = "not timed" if at.images_per_second is None else f"{at.images_per_second:.2f} imgs/sec"
    return [f"epoch[{at.epoch}], iter[{at.step - 1}], loss:{at.loss:.3f}, mean_fps:{shown}"]


class Evaluator:
    """What evaluates `network` again and again on batches of `data`; each of its cells is compiled once."""

    def __init__(self, cfg: Config, network: nn.Cell, data: ClassificationOptions):
        self.network, self.data = network, data

    @cached_property
    def places(self) -> Places:
        """Of one crop of each image."""
        return Places(of_batches(self.network, self.data), self.data.num_classes)

    @cached_property
    def crops(self) -> multi_crop.CropProbabilities:
        return multi_crop.CropProbabilities(self.network, *statistics(self.data))


def evaluate(job: JobContext, evaluator: Evaluator, samples: split.Samples, path: Path) -> dict[str, object]:
    """As eval.py's options ask for, of the checkpoint at `path`; logs the result lines and returns the figures."""
    cfg = job.cfg
    counts = blacklist.counted(Path(cfg.blacklist), samples.files, len(samples)) if cfg.blacklist else None
    started = time.time()
    if cfg.crops > 1:
        outcome = Outcome(*multi_crop.evaluate(job, evaluator.crops, samples, path))
    else:
        outcome = count(job, evaluator, samples)
    job.log.info(f"checkpoint {path}")
    return report(job, path, outcome, counts, time.time() - started)


def final_figures(
    job: JobContext, evaluator: Evaluator, samples: split.Samples, step: int
) -> dict[str, object]:
    """What a training's result says of its weights after `step`: one crop of each image."""
    outcome = count(job, evaluator, samples)
    accuracy = outcome.accuracy(job.cfg.num_classes)
    for line in accuracy.lines(job.cfg.log_style):
        job.log.info(line)
    if job.ranks.is_main and job.log.paths is not None:
        evaluation_files.write(job.log.paths, *details(job.cfg, samples, outcome, step))
    return {
        "top1": round(accuracy.top1, 4),
        "top5": rounded(accuracy.top5),
        "total": accuracy.total,
        "loss": round(accuracy.loss, 6),
    }


def details(
    cfg: Config, samples: split.Samples, outcome: Outcome, step: int
) -> tuple[dict[str, object], dict[str, np.ndarray]]:
    """The content of evaluation.json, and the pictures of the most confident mistakes by file name."""
    there = np.flatnonzero(outcome.is_there)
    labels, predicted, confidences = (
        samples.labels[there],
        outcome.predicted[there],
        outcome.confidences[there],
    )
    names = class_names.of_samples(samples.classes, cfg.dataset, cfg.num_classes)
    mistakes: list[dict[str, object]] = []
    content: dict[str, object] = {
        "step": step,
        "classes": names,
        "calibration": evaluation_files.calibration(confidences, labels == predicted),
        "mistakes": mistakes,
    }
    if cfg.num_classes <= evaluation_files.MOST_CLASSES:
        content["confusion"] = evaluation_files.confusion(labels, predicted, cfg.num_classes)
    pictures = {}
    for number, image in enumerate(evaluation_files.worst(labels, predicted, confidences)):
        file, index = f"mistake_{number}.png", int(there[image])
        pictures[file] = samples.pixels(index)
        mistakes.append(
            {
                "name": samples.files[index] if samples.files else f"image {index}",
                "file": f"evaluation/{file}",
                "truth": names[labels[image]],
                "predicted": names[predicted[image]],
                "confidence": round(float(confidences[image]), 4),
            }
        )
    return content, pictures


@dataclass
class Outcome:
    """Of every image (N,): the place of its true class, whether it was evaluated, and where one crop was evaluated the
    likeliest class and its probability; the same on all ranks.
    """

    places: np.ndarray
    is_there: np.ndarray
    loss_sum: float = 0.0
    predicted: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    confidences: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))

    def accuracy(self, num_classes: int, counts: np.ndarray | bool = True) -> Accuracy:
        """Of the images where `counts` is true."""
        skipped = int((~self.is_there & counts).sum())
        return Accuracy.of(self.places, self.is_there & counts, num_classes, skipped, self.loss_sum)


def count(job: JobContext, evaluator: Evaluator, samples: split.Samples) -> Outcome:
    """One crop of each image. Raises RuntimeError if an image was not evaluated once."""
    cell, data, ranks, log = evaluator.places.set_train(False), evaluator.data, job.ranks, job.log
    batches = pipeline.eval_batches(samples, data, ranks.rank, ranks.size)
    places, seen, predicted = np.zeros((3, len(samples)), np.int64)
    confidences, loss_sum = np.zeros(len(samples), np.float32), 0.0
    with Deferred() as interrupts:
        log.start_bar("evaluate", "batch", len(batches), first=FIRST_BATCH)
        for (images, labels, weights), indices in zip(batches, batches.indices_by_batch()):
            found, losses, classes, shares = (tensor.asnumpy() for tensor in cell(images, labels))
            is_real = weights.asnumpy() > 0
            mine = indices[is_real]
            places[mine], predicted[mine], confidences[mine] = (
                found[is_real],
                classes[is_real],
                shares[is_real],
            )
            np.add.at(seen, mine, 1)
            loss_sum += float(losses[is_real].sum())
            log.advance()
            interrupts.check()
    log.end_bar()
    whole = np.array([places, seen, predicted])
    return gathered(whole, confidences, loss_sum, samples.skipped, data.drop_remainder, ranks.size)


def gathered(
    whole: np.ndarray, confidences: np.ndarray, loss_sum: float, skipped: int, may_lack: bool, size: int
) -> Outcome:
    """The ranks' shares as one. `whole` (3, N): places, how often images were evaluated, likeliest classes."""
    places, seen, predicted = all_sum(whole.ravel(), size).reshape(3, -1)
    summed = all_sum(np.append(confidences, np.float32(loss_sum)), size)
    skipped = int(all_sum(np.array([skipped]), size)[0])
    if seen.max(initial=0) > 1 or (seen.sum() + skipped != len(seen) and not may_lack):
        raise RuntimeError(f"evaluated {seen.sum()} of {len(seen)} images ({skipped} skipped)")
    return Outcome(places, seen > 0, float(summed[-1]), predicted, summed[:-1])


def report(
    job: JobContext, path: Path, outcome: Outcome, counts: np.ndarray | None, seconds: float
) -> dict[str, object]:
    """The result lines, and the figures of one checkpoint."""
    accuracy, log = outcome.accuracy(job.cfg.num_classes), job.log
    for line in accuracy.lines(job.cfg.log_style):
        log.info(line)
    found = figures(job.cfg, path, accuracy, seconds)
    if counts is not None:
        without = outcome.accuracy(job.cfg.num_classes, counts)
        log.info(f"without {len(counts) - int(counts.sum())} blacklisted images:")
        for line in without.lines(job.cfg.log_style):
            log.info(line)
        found["without_blacklisted"] = {
            "top1_correct": without.top1_correct,
            "top5_correct": without.top5_correct,
            "total": without.total,
            "top1": round(without.top1, 4),
            "top5": rounded(without.top5),
        }
    return found


def rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 4)


def figures(cfg: Config, path: Path, accuracy: Accuracy, seconds: float) -> dict[str, object]:
    return {
        "checkpoint": str(path),
        "net": cfg.net,
        "dataset": cfg.dataset,
        "crops": cfg.crops,
        "top1_correct": accuracy.top1_correct,
        "top5_correct": accuracy.top5_correct,
        "total": accuracy.total,
        "skipped": accuracy.skipped,
        "top1": round(accuracy.top1, 4),
        "top5": rounded(accuracy.top5),
        "loss": round(accuracy.loss, 6) if cfg.crops == 1 else None,
        "seconds": round(seconds, 2),
    }
