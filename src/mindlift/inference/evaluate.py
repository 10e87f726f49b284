"""Exact evaluation of checkpoints: every image counted once, over any number of ranks and any batch size."""

from __future__ import annotations

import json
from pathlib import Path

from mindlift.model_utils import devices
from mindlift.model_utils.config.command_line import COMMAND_LINE
from mindlift.model_utils.config.config import Config
from mindlift.model_utils.ranks import Ranks
from mindlift.models import layers
from mindlift.runs.log import RunLog
from mindlift.tasks import base as task
from mindlift.tasks import network as build


def run(cfg: Config, ranks: Ranks, data_path: Path, paths: list[Path], workers: int) -> list[dict]:
    """Evaluate each checkpoint that `--pretrained` names, newest first; prints and returns the figures.

    Of a run's configuration, what says how it began with other weights does not hold for its own: they have their
    classifier (filter_head) and see RGB (weights_channels). Only the command line's values do.
    """
    cfg = without_initial_options(cfg)
    kind = task.of(cfg)
    options = kind.options(cfg, workers)
    samples = kind.open_split(options, data_path, train=False)
    device = devices.current()
    network = build.network(cfg, device)
    inference = build.inference_network(cfg, network, device)
    evaluator = kind.Evaluator(cfg, inference, options)
    results = []
    with RunLog(None, ranks.rank, cfg.progress) as log:
        for path in paths:
            samples.skipped = 0
            which = build.load_pretrained(cfg, network, path)
            if which:
                log.info(which)
            layers.refill(inference, network)
            results.append(kind.evaluate(cfg, evaluator, samples, ranks, log, path))
            log.info(json.dumps(results[-1], ensure_ascii=False))
    return results


def without_initial_options(cfg: Config) -> Config:
    """The configuration for a run's own weights: see `run`."""
    foreign = {"filter_head": False, "weights_channels": "auto"}
    return cfg.replace(**{name: own for name, own in foreign.items() if cfg.origin(name) != COMMAND_LINE})
