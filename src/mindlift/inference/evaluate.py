"""Exact evaluation of checkpoints: every image counted once, over any number of ranks and any batch size."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from mindlift.model_utils.config.command_line import COMMAND_LINE
from mindlift.model_utils.config.config import Config
from mindlift.model_utils.job_context import JobContext
from mindlift.models import layers
from mindlift.runs import provenance
from mindlift.tasks import base as task
from mindlift.tasks import network as build


def run(job: JobContext, data_path: Path, paths: list[Path]) -> None:
    """Evaluate each checkpoint that `--pretrained` names, newest first; logs the figures.

    Of a run's configuration, what says how it began with other weights does not hold for its own: they have their
    classifier (filter_head) and see RGB (weights_channels). Only the command line's values do.
    """
    job = replace(job, cfg=without_initial_options(job.cfg))
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


def without_initial_options(cfg: Config) -> Config:
    """The configuration for a run's own weights: see `run`."""
    foreign = {"filter_head": False, "weights_channels": "auto"}
    return cfg.replace(**{name: own for name, own in foreign.items() if cfg.origin(name) != COMMAND_LINE})
