"""A whole training: prepare, loop, and what was reached."""

from __future__ import annotations

import contextlib
import functools
import json
import math
import os
import platform
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import mindspore as ms
import numpy as np

from mindlift.files import as_json, write_atomic
from mindlift.interrupts import SignalFlag
from mindlift.model_utils.job_context import JobContext
from mindlift.runs import provenance
from mindlift.runs.paths import RunPaths
from mindlift.runs.records import integer, read_object
from mindlift.runs.revision import code_revision
from mindlift.training import hooks, loop
from mindlift.training.divergence import Divergence
from mindlift.training.evaluation import Monitor
from mindlift.training.prepare import Inputs, Prepared, prepare
from mindlift.training.report import Report, draw
from mindlift.training.stop import Stop


@dataclass
class Result:
    """What train.py prints at the end; also `result.json` of the run."""

    run: str
    checkpoint: str
    net: str
    dataset: str
    epochs: int
    steps: int
    images_per_second: float | None
    loss: float | None
    seconds: float
    seconds_to_first_step: float | None
    top1: float | None = None
    top5: float | None = None
    miou: float | None = None
    total: int | None = None

    def as_json_line(self) -> str:
        return as_json(asdict(self))


@dataclass(frozen=True)
class Callbacks:
    """What a training tells others of: `on_saved` gets each finished checkpoint."""

    on_saved: Callable[[Path], None]
    report: Report


def run(job: JobContext, inputs: Inputs, callbacks: Callbacks, started: float) -> Result:
    """Train to the end, evaluate if asked, and return what was reached; `started` is when the process began."""
    cfg, paths, log = job.cfg, inputs.run.paths, job.log
    log.info(f"run {paths.root}: {cfg.net} on {cfg.dataset}, {job.ranks.size} rank(s), {job.device.target}")
    augmentation = inputs.data.task.AUGMENTATION
    notes = [*inputs.data.notes(), *changed_augmentation(inputs.run.resume_from, augmentation)]
    if job.ranks.rank == 0:
        write_atomic(paths.config, cfg.to_yaml(origins=True))
        write_atomic(paths.versions, versions(job, augmentation))
    for note in notes:
        log.info(note)
    if inputs.data.evaluates_itself:
        log.warning("there is no other split to evaluate: evaluations read the images of the training")
    prepared = prepare(job, inputs)
    if job.ranks.rank == 0 and prepared.samples.classes:
        write_atomic(paths.classes, json.dumps(prepared.samples.classes, ensure_ascii=False, indent=0) + "\n")
    monitor = Monitor(job, prepared, inputs.data.evaluated)
    log.info(
        f"{len(prepared.samples)} images, {prepared.steps.per_epoch} steps per epoch, {prepared.steps.total} steps in"
        f" all; the first step {'finds its graph in the cache' if prepared.has_graphs else 'compiles the graph'}"
    )
    status = hooks.Status(prepared.done, started, inputs.run.resume_from if prepared.done else None)
    show = functools.partial(draw, job, callbacks.report, paths)
    with shown_on_board(job, inputs, callbacks.report, prepared.done):
        with SignalFlag() as flag:
            stop = Stop(flag, prepared.step, job.ranks)
            between = [
                hooks.StopOnDivergence(prepared, divergence_of(job)),
                hooks.LogProgress(job, prepared),
                hooks.SaveCheckpoints(job, prepared, paths.checkpoints, stop, callbacks.on_saved),
                hooks.Evaluate(job, prepared, monitor, show),
                hooks.StopOnSignal(job, prepared, stop),
            ]
            loop.train(job, prepared, status, between)
        if prepared.samples.skipped:
            log.warning(f"replaced corrupt images {prepared.samples.skipped} times")
        result = result_of(job, inputs, prepared, status)
        if cfg.run_eval:
            add_figures(result, status.evaluated or monitor.run(status.step))
        hooks.log_event("ended", job, prepared, status)
        show()
        if job.ranks.rank == 0:
            write_atomic(paths.result, result.as_json_line() + "\n")
        return result


@contextlib.contextmanager
def shown_on_board(job: JobContext, inputs: Inputs, report: Report, done: int) -> Generator[None, None, None]:
    """Lines of metrics.jsonl go to TensorBoard as well, if that is asked for."""
    if not job.cfg.tensorboard or job.ranks.rank != 0:
        yield
        return
    paths = inputs.run.paths
    with report.board(paths.root, paths.events, done) as board:
        job.log.board = board
        board.options(job.cfg.to_dict())
        yield


def divergence_of(job: JobContext) -> Divergence:
    cfg = job.cfg
    return Divergence(math.log(cfg.num_classes), cfg.divergence_factor, cfg.is_dynamic_loss_scale)


def result_of(job: JobContext, inputs: Inputs, prepared: Prepared, status: hooks.Status) -> Result:
    first = status.seconds_to_first_step
    return Result(
        str(inputs.run.paths.root),
        str(status.last_saved or ""),
        job.cfg.net,
        job.cfg.dataset,
        status.step // prepared.steps.per_epoch,
        status.step,
        status.images_per_second,
        status.loss,
        round(time.time() - status.started, 1),
        first and round(first, 1),
    )


def add_figures(result: Result, figures: Mapping[str, object]) -> None:
    """Those of an evaluation that a result has a place for."""
    for name in figures.keys() & Result.__dataclass_fields__.keys():
        setattr(result, name, figures[name])


def changed_augmentation(continued: Path | None, now: int) -> list[str]:
    """What is to be said if the run of the checkpoint to continue began with other random numbers or pixels."""
    run = continued and provenance.run_of(continued)
    if not run:
        return []
    began = integer(read_object(RunPaths(run.root).versions).get("augmentation")) or 1
    if began == now:
        return []
    return [
        f"this run began with version {began} of the augmentation and goes on with version {now}: the same order of"
        " images, but other crops and colours"
    ]


def versions(job: JobContext, augmentation: int) -> str:
    """Software, revision and machine of this run as JSON text."""
    facts = {
        "augmentation": augmentation,
        "mindspore": ms.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "machine": platform.platform(),
        "cpus": os.cpu_count(),
        "ranks": job.ranks.size,
        "device": job.device.target,
        "git": code_revision() or None,
    }
    return json.dumps(facts, indent=2) + "\n"
