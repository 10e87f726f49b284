"""Exact evaluation: every image counted once, over any number of ranks and any batch size."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mindspore as ms
import mindspore.nn as nn
import numpy as np

from src import build, multi_crop
from src.collectives import all_sum
from src.data import blacklist, pipeline
from src.model_utils.command_line import COMMAND_LINE
from src.model_utils.interrupts import Deferred
from src.models import layers
from src.run_log import RunLog
from src.tasks.classification import Accuracy, Places


@dataclass
class Outcome:
    """Of every image (N,): the place of its true class, and whether it was evaluated; the same on all ranks."""

    places: np.ndarray
    is_there: np.ndarray
    loss_sum: float = 0.0

    def accuracy(self, counts: np.ndarray | bool = True) -> Accuracy:
        """Of the images where `counts` is true."""
        skipped = int((~self.is_there & counts).sum())
        return Accuracy.of(self.places, self.is_there & counts, skipped, self.loss_sum)


def count(
    network: nn.Cell, samples: pipeline.Samples, options: pipeline.DataOptions, ranks: Any, log: RunLog
) -> Outcome:
    """One crop of each image. Raises RuntimeError if an image was not evaluated once."""
    network.set_train(False)
    cell = Places(network, options.num_classes)
    cell.set_train(False)
    batches = pipeline.eval_batches(samples, options, ranks.rank, ranks.size)
    places, seen, loss_sum = np.zeros(len(samples), np.int64), np.zeros(len(samples), np.int64), 0.0
    log.start_bar("evaluate", "batch", len(batches))
    with Deferred() as interrupts:
        for (images, labels, weights), indices in zip(batches, batches.indices_by_batch()):
            found, losses = (tensor.asnumpy() for tensor in cell(images, labels))
            is_real = weights.asnumpy() > 0
            places[indices[is_real]] = found[is_real]
            np.add.at(seen, indices[is_real], 1)
            loss_sum += float(losses[is_real].sum())
            log.advance()
            interrupts.check()
    log.end_bar()
    return gathered(places, seen, loss_sum, samples.skipped, options.drop_remainder, ranks.size)


def gathered(
    places: np.ndarray, seen: np.ndarray, loss_sum: float, skipped: int, may_lack: bool, size: int
) -> Outcome:
    """The ranks' shares as one."""
    places, seen = all_sum(np.concatenate([places, seen]), size).reshape(2, -1)
    skipped, loss_sum = (
        int(all_sum(np.array([skipped]), size)[0]),
        float(all_sum(np.array([loss_sum], np.float32), size)[0]),
    )
    if seen.max(initial=0) > 1 or (seen.sum() + skipped != len(seen) and not may_lack):
        raise RuntimeError(f"evaluated {seen.sum()} of {len(seen)} images ({skipped} skipped)")
    return Outcome(places, seen > 0, loss_sum)


def run(cfg: Any, ranks: Any, data_path: Path, paths: list[Path], workers: int) -> list[dict]:
    """Evaluate each checkpoint that `--pretrained` names, newest first; prints and returns the figures.

    Of a run's configuration, what says how it began with other weights does not hold for its own: they have their
    classifier (filter_head) and see RGB (weights_channels). Only the command line's values do.
    """
    for name, own in {"filter_head": False, "weights_channels": "auto"}.items():
        if cfg.origin(name) != COMMAND_LINE:
            cfg = cfg.replace(**{name: own})
    options = build.data_options(cfg, workers)
    samples = pipeline.open_split(options, data_path, train=False)
    counts = blacklist.counted(Path(cfg.blacklist), samples.files, len(samples)) if cfg.blacklist else None
    device = ms.get_context("device_target")
    network = build.network(cfg, device)
    inference = build.inference_network(cfg, network, device)
    results = []
    with RunLog(None, ranks.rank, cfg.progress) as log:
        for path in paths:
            samples.skipped = 0
            which = build.load_pretrained(cfg, network, path)
            if which:
                log.info(which)
            layers.refill(inference, network)
            started = time.time()
            if cfg.crops > 1:
                outcome = Outcome(*multi_crop.evaluate(inference, samples, options, ranks, log, cfg, path))
            else:
                outcome = count(inference, samples, options, ranks, log)
            log.info(f"checkpoint {path}")
            results.append(report(cfg, path, outcome, counts, time.time() - started, log))
            log.info(json.dumps(results[-1], ensure_ascii=False))
    return results


def report(
    cfg: Any, path: Path, outcome: Outcome, counts: np.ndarray | None, seconds: float, log: RunLog
) -> dict:
    """The result lines, and the figures of one checkpoint."""
    accuracy = outcome.accuracy()
    for line in accuracy.lines():
        log.info(line)
    found = figures(cfg, path, accuracy, seconds)
    if counts is not None:
        without = outcome.accuracy(counts)
        log.info(f"without {len(counts) - int(counts.sum())} blacklisted images:")
        for line in without.lines():
            log.info(line)
        found["without_blacklisted"] = {
            "top1_correct": without.top1_correct, "top5_correct": without.top5_correct, "total": without.total,
            "top1": round(without.top1, 4), "top5": round(without.top5, 4),
        }  # fmt: skip
    return found


def figures(cfg: Any, path: Path, accuracy: Accuracy, seconds: float) -> dict:
    return {
        "checkpoint": str(path), "net": cfg.net, "dataset": cfg.dataset, "crops": cfg.crops,
        "top1_correct": accuracy.top1_correct, "top5_correct": accuracy.top5_correct, "total": accuracy.total,
        "skipped": accuracy.skipped, "top1": round(accuracy.top1, 4), "top5": round(accuracy.top5, 4),
        "loss": round(accuracy.loss, 6) if cfg.crops == 1 else None, "seconds": round(seconds, 2),
    }  # fmt: skip
