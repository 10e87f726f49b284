"""Exact evaluation of checkpoints: every image counted once, over any number of ranks and any batch size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path, PurePath

from mindlift.data import batches, layout
from mindlift.files import as_json
from mindlift.inference import summary
from mindlift.model_utils.config.frozen import Config
from mindlift.model_utils.job_context import JobContext
from mindlift.model_utils.staging.shared_arrays import Share, alone
from mindlift.models import layers
from mindlift.runs import provenance
from mindlift.runs.named_weights import Named
from mindlift.tasks import base as task
from mindlift.tasks import network as build


def run(
    job: JobContext,
    data_path: Path,
    weights: Named,
    on_opened: Callable[[Callable[[], Sequence[str]]], None],
    share: Share = alone,
) -> list[summary.Figures]:
    """The figures of each of the checkpoints, in their order; logs them, and of several which is best.

    `on_opened` gets what gives the files that will be read, in their order; none where there are no files. The ranks of a node
    `share` what they find.
    """
    job = replace(job, cfg=job.cfg.of_finished_weights())
    cfg, log, paths = job.cfg, job.log, weights.files
    kind = task.of(cfg)
    options = kind.options(cfg, job.workers)
    known = provenance.common_class_names(paths)
    samples = kind.open_split(options, data_path, train=False, known=known, share=share)
    for note in filter(None, (weights.note, of_run(cfg, data_path), samples.note)):
        log.info(note)
    on_opened(lambda: [path for index in range(len(samples)) for path in samples.paths_of(index)])
    network = build.network(cfg, job.device)
    inference = build.inference_network(cfg, network, job.device)
    evaluator = kind.Evaluator(cfg, inference, options)
    found: list[dict[str, object]] = []
    for path in paths:
        samples.skipped = 0
        which = build.load_pretrained(cfg, network, path)
        if which:
            log.info(which)
        layers.refill(inference, network)
        found.append(kind.evaluate(job, evaluator, samples, path))
        for line in samples.news(batches.NOT_COUNTED):
            log.warning(line)
        if cfg.json:
            log.info(as_json(found[-1]))
    for line in summary.lines(found, kind.FIGURES) if len(found) > 1 else ():
        log.info(line)
    return found


def of_run(cfg: Config, data_path: Path) -> str:
    """That the run has named the images, not the command line; '' if it has not."""
    named = "eval_data_dir" if cfg.eval_data_dir else "data_dir"
    if PurePath(cfg.origin(named)).name != provenance.CONFIG or cfg.enable_modelarts:
        return ""
    is_split = cfg.dataset == "imagenet" and cfg.data_format == "files" and not cfg.eval_data_dir
    if cfg.validation_split:
        share = f"{100 * cfg.validation_split:g} %"
        return f"images of {data_path}, as of the run: the {share} of them that its training did not see"
    if is_split and layout.split_folder(data_path, False) == data_path:
        return f"images of {data_path}, as of the run: it has no other split, so that they are those of the training"
    return f"images of {data_path}, as of the run"
