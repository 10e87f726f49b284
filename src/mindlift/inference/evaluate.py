"""Exact evaluation of checkpoints: every image counted once, over any number of ranks and any batch size."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from mindlift.model_utils.job_context import JobContext
from mindlift.models import layers
from mindlift.runs import provenance
from mindlift.tasks import base as task
from mindlift.tasks import network as build


def run(job: JobContext, data_path: Path, paths: list[Path]) -> None:
    """Evaluate each checkpoint that `--pretrained` names, newest first; logs the figures."""
    job = replace(job, cfg=job.cfg.of_finished_weights())
    cfg, log = job.cfg, job.log
    kind = task.of(cfg)
    options = kind.options(cfg, job.workers)
    known = provenance.common_class_names(paths)
    samples = kind.open_split(options, data_path, train=False, known=known)
    if samples.note:
        log.info(samples.note)
    network = build.network(cfg, job.device)
    inference = build.inference_network(cfg, network, job.device)
    evaluator = kind.Evaluator(cfg, inference, options)
    for path in paths:
        samples.skipped = 0
        which = build.load_pretrained(cfg, network, path)
        if which:
            log.info(which)
        layers.refill(inference, network)
        log.info(json.dumps(kind.evaluate(job, evaluator, samples, path), ensure_ascii=False))
