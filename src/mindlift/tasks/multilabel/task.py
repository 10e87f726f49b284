"""Images with any number of labels each as a task: its objective, and evaluation by mean average precision.

Its options and batches are those of classification. What every task has is listed in src/mindlift/tasks/base.py.
"""

from __future__ import annotations

import math
import time
from pathlib import Path

import mindspore as ms
import mindspore.nn as nn
import mindspore.ops as ops
import numpy as np

from mindlift.columns import columns, padded
from mindlift.data import class_names
from mindlift.data.classification import pipeline, split
from mindlift.data.classification.options import ClassificationOptions
from mindlift.data.classification.pipeline import train_batches as train_batches
from mindlift.data.multilabel import rules as rules
from mindlift.data.multilabel.split import open_split as open_split
from mindlift.data.order import EpochOrder
from mindlift.errors import DataError
from mindlift.interrupts import Deferred
from mindlift.model_utils.collectives import all_sum
from mindlift.model_utils.config.frozen import Config
from mindlift.model_utils.job_context import JobContext
from mindlift.runs import evaluation_files
from mindlift.tasks.classification import losses
from mindlift.tasks.classification import task as classify
from mindlift.tasks.classification.task import eval_options as eval_options
from mindlift.tasks.classification.task import input_size as input_size
from mindlift.tasks.classification.task import options as options
from mindlift.tasks.classification.task import original_lines as original_lines
from mindlift.tasks.multilabel.average_precision import Ranking, rounded

DATASETS = (rules.NAME,)
OPTIONS_OF = ("classification", "multilabel")
FIGURES = ("map", "f1", "loss")
AUGMENTATION = classify.AUGMENTATION
GAMMA_POS = 1.0  # of asymmetric loss, where it is not given: that of the authors' program


def train_options(cfg: Config, data: ClassificationOptions, samples: split.Samples) -> ClassificationOptions:
    return classify.weighted(cfg, classify.augmented(cfg, data, len(samples)), samples)


def epoch_order(samples: split.Samples, data: ClassificationOptions) -> EpochOrder:
    """Of --sampler."""
    return pipeline.epochs(samples, data)


def objective(cfg: Config, net: nn.Cell, data: ClassificationOptions) -> nn.Cell:
    """The loss of the arrays of a batch of `data`, a scalar to minimise."""
    return classify.mixed(classify.of_batches(net, data), loss_of(cfg, data), data)


def loss_of(cfg: Config, data: ClassificationOptions) -> nn.Cell:
    """The cell of --loss. Labels are smoothed towards one half, as Keras's BinaryCrossentropy does."""
    gain, off = 1.0 - cfg.label_smoothing, cfg.label_smoothing / 2
    gamma_pos = GAMMA_POS if cfg.asl_gamma_pos is None else cfg.asl_gamma_pos
    loss = {
        "focal": lambda: losses.Focal(cfg.focal_gamma, losses.alpha(cfg), gain, off),
        "asl": lambda: losses.Asymmetric(cfg.asl_gamma_neg, gamma_pos, cfg.asl_clip, gain, off),
    }.get(
        cfg.loss, lambda: losses.BinaryCrossEntropy(gain, off, cfg.bce_target_threshold, data.bce_pos_weight)
    )()
    return losses.OfClasses(losses.ManyLabels(), loss, data.class_weights, losses.sums(cfg))


def loss_of_guessing(cfg: Config) -> float:
    """That of probabilities of one half."""
    return math.log(2) * (cfg.num_classes if losses.sums(cfg) else 1)


def describe(cfg: Config, batch: int) -> dict[str, object]:
    """What somebody has to know of an exported model's output and of its images, as JSON."""
    meaning = "logits, before sigmoid, of each label by itself"
    output = {"shape": [batch, cfg.num_classes], "type": "float32", "meaning": meaning}
    return {**classify.describe(cfg, batch), "output": output}


class Logits(nn.Cell):
    """(images, labels (N, K)) -> logits (N, K) float32 and the mean binary cross entropy of each image (N,)."""

    def __init__(self, network: nn.Cell):
        super().__init__(auto_prefix=False)
        self.network, self.loss = network, losses.BinaryCrossEntropy()

    def construct(self, images, labels):
        logits = self.network(images).astype(ms.float32)
        return logits, ops.mean(self.loss(logits, labels.astype(ms.float32)), 1)


class Evaluator:
    """What evaluates `network` again and again on batches of `data`; it is compiled once."""

    def __init__(self, cfg: Config, network: nn.Cell, data: ClassificationOptions):
        self.data = data
        self.logits = Logits(classify.of_batches(network, data))


def evaluate(job: JobContext, evaluator: Evaluator, samples: split.Samples, path: Path) -> dict[str, object]:
    """As eval.py's options ask for, of the checkpoint at `path`; logs the result lines and returns the figures."""
    started = time.time()
    ranking, loss = count(job, evaluator, samples)
    names = class_names.of_samples(samples.classes, job.cfg.dataset, job.cfg.num_classes)
    job.log.info(f"checkpoint {path}")
    for line in lines(ranking, loss, names, job.cfg.threshold):
        job.log.info(line)
    return {
        "checkpoint": str(path),
        "net": job.cfg.net,
        "dataset": job.cfg.dataset,
        **figures(ranking, loss, names),
        "threshold": job.cfg.threshold,
        "skipped": len(samples) - ranking.total,
        "seconds": round(time.time() - started, 2),
    }


def final_figures(
    job: JobContext, evaluator: Evaluator, samples: split.Samples, step: int
) -> dict[str, object]:
    """What a training's result says of its weights after `step`."""
    ranking, loss = count(job, evaluator, samples)
    names = class_names.of_samples(samples.classes, job.cfg.dataset, job.cfg.num_classes)
    for line in lines(ranking, loss, names, job.cfg.threshold):
        job.log.info(line)
    if job.ranks.is_main and job.log.paths is not None:
        content = {
            "step": step,
            "classes": names,
            "average_precisions": rounded(ranking.precisions),
            "positives": ranking.positives,
        }
        evaluation_files.write(job.log.paths, content, {})
    return figures(ranking, loss, names)


def figures(ranking: Ranking, loss: float, names: list[str]) -> dict[str, object]:
    return {
        "map": round(ranking.map, 6),
        "f1": round(ranking.f1, 6),
        "loss": round(loss, 6),
        "total": ranking.total,
        "per_class": ranking.by_name(names),
    }


def lines(ranking: Ranking, loss: float, names: list[str], threshold: float) -> list[str]:
    """The result in words, and the average precision of each class."""
    found = [
        f"validation: mAP {ranking.map:.4f}, F1 {ranking.f1:.4f} at a threshold of {threshold:g}, loss {loss:.4f}"
        f" ({ranking.total} images)"
    ]
    width = max(map(columns, names))
    for name, value, count in zip(names, ranking.precisions, ranking.positives):
        shown = "-" if value is None else f"{value:.4f}"
        found.append(f"  {padded(name, width)}  average precision {shown:>6}  ({count} images)")
    return found


def count(job: JobContext, evaluator: Evaluator, samples: split.Samples) -> tuple[Ranking, float]:
    """One crop of each image, and the mean loss. Raises RuntimeError if an image was not evaluated once."""
    cell, data, ranks, log = evaluator.logits.set_train(False), evaluator.data, job.ranks, job.log
    batches = pipeline.eval_batches(samples, data, ranks.rank, ranks.size)
    found = np.zeros((len(samples), data.num_classes + 1), np.float32)  # the last column: losses
    seen = np.zeros(len(samples), np.int64)
    with Deferred() as interrupts:
        log.start_bar("evaluate", "batch", len(batches), first=classify.FIRST_BATCH)
        for (images, labels, weights), indices in zip(batches, batches.indices_by_batch()):
            logits, own = (tensor.asnumpy() for tensor in cell(images, labels))
            is_real = weights.asnumpy() > 0
            mine = indices[is_real]
            found[mine, :-1], found[mine, -1] = logits[is_real], own[is_real]
            np.add.at(seen, mine, 1)
            log.advance()
            interrupts.check()
    log.end_bar()
    seen = all_sum(np.append(seen, samples.skipped), ranks.size)
    seen, skipped = seen[:-1], int(seen[-1])
    if seen.max(initial=0) > 1 or (seen.sum() + skipped != len(seen) and not data.drop_remainder):
        raise RuntimeError(f"evaluated {seen.sum()} of {len(seen)} images ({skipped} skipped)")
    found = all_sum(found.ravel(), ranks.size).reshape(found.shape)[seen > 0]
    if not samples.labels[seen > 0].any():
        raise DataError("no image that was evaluated has a label, so that mAP is not defined")
    ranking = Ranking.of(samples.labels[seen > 0], found[:, :-1], job.cfg.threshold)
    return ranking, float(found[:, -1].mean(dtype=np.float64))
