"""Exact evaluation: every image counted once, over any number of ranks and any batch size."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import mindspore as ms
import mindspore.nn as nn
import numpy as np

from src import build
from src.collectives import all_sum
from src.data import pipeline
from src.model_utils.interrupts import Deferred
from src.models import layers
from src.run_log import RunLog
from src.tasks.classification import Accuracy, CountCorrect


def count(
    network: nn.Cell, samples: pipeline.Samples, options: pipeline.DataOptions, ranks: Any, log: RunLog
) -> Accuracy:
    """Counts over all ranks by one all-reduce. Raises RuntimeError if an image was not counted once."""
    network.set_train(False)
    cell = CountCorrect(network, options.num_classes)
    cell.set_train(False)
    batches = pipeline.eval_batches(samples, options, ranks.rank, ranks.size)
    counts, loss_sum = np.zeros(3, np.int64), 0.0
    log.start_bar("evaluate", "batch", len(batches))
    with Deferred() as interrupts:
        for batch in batches:
            found, loss = cell(*batch)
            counts += found.asnumpy()
            loss_sum += float(loss.asnumpy())
            log.advance()
            interrupts.check()
    log.end_bar()
    sums = all_sum(np.array([*counts, samples.skipped], np.int64), ranks.size)
    top1, top5, total, skipped = (int(value) for value in sums)
    loss_sum = float(all_sum(np.array([loss_sum], np.float32), ranks.size)[0])
    if total + skipped != len(samples) and not options.drop_remainder:
        raise RuntimeError(f"counted {total} of {len(samples)} images ({skipped} skipped)")
    return Accuracy(top1, top5, total, skipped, loss_sum)


def run(cfg: Any, ranks: Any, data_path: Path, paths: list[Path], workers: int) -> list[dict]:
    """Evaluate each checkpoint that `--pretrained` names, newest first; prints and returns the figures."""
    options = build.data_options(cfg, workers)
    samples = pipeline.open_split(options, data_path, train=False)
    device = ms.get_context("device_target")
    network = build.network(cfg, device)
    inference = build.inference_network(cfg, network, device)
    results = []
    with RunLog(None, ranks.rank, cfg.progress) as log:
        for path in paths:
            samples.skipped = 0
            build.load_pretrained(cfg, network, path)
            layers.refill(inference, network)
            started = time.time()
            accuracy = count(inference, samples, options, ranks, log)
            log.info(f"checkpoint {path}")
            for line in accuracy.lines():
                log.info(line)
            results.append(figures(cfg, path, accuracy, time.time() - started))
            log.info(json.dumps(results[-1], ensure_ascii=False))
    return results


def figures(cfg: Any, path: Path, accuracy: Accuracy, seconds: float) -> dict:
    return {
        "checkpoint": str(path), "net": cfg.net, "dataset": cfg.dataset,
        "top1_correct": accuracy.top1_correct, "top5_correct": accuracy.top5_correct, "total": accuracy.total,
        "skipped": accuracy.skipped, "top1": round(accuracy.top1, 4), "top5": round(accuracy.top5, 4),
        "loss": round(accuracy.loss, 6), "seconds": round(seconds, 2),
    }  # fmt: skip
