"""A whole training: prepare, loop, and what was reached."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import platform
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path, PurePosixPath

import mindspore as ms
import numpy as np

from mindlift import sanitize
from mindlift.backports import TypedDict
from mindlift.data import layout
from mindlift.errors import MindLiftError
from mindlift.files import as_json, write_atomic
from mindlift.interrupts import SignalFlag
from mindlift.model_utils import device_adapter
from mindlift.model_utils.config.frozen import Config
from mindlift.model_utils.job_context import JobContext
from mindlift.model_utils.streaming.arrivals import ARRIVALS
from mindlift.runs import anew, choose, manifest, provenance
from mindlift.runs.choose import Run
from mindlift.runs.log import Board
from mindlift.runs.paths import RunPaths
from mindlift.runs.records import integer, read_object
from mindlift.runs.revision import code_revision
from mindlift.training import hooks, loop, rules
from mindlift.training.best import Evaluate
from mindlift.training.divergence import Divergence
from mindlift.training.evaluation import Monitor
from mindlift.training.prepare import Inputs, Prepared, prepare
from mindlift.training.report import Boards, Report, draw
from mindlift.training.schedules import scale_note
from mindlift.training.stop import Stop

TENSORS_IN_5_S = 75  # trainable ones, whose part of a graph is compiled
MOST_OF_AN_ERROR = 2000  # letters


@dataclass
class Result:
    """What train.py prints at the end; also `result.json` of the run, if that has ended.

    `ended_by` is early_stop or max_hours where it is not the last step. `best` is known where something follows from
    evaluations while training, `best_checkpoint` where the best are kept.
    """

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
    map: float | None = None
    f1: float | None = None
    total: int | None = None
    ended_by: str = ""
    best_metric: str | None = None
    best: float | None = None
    best_step: int | None = None
    best_checkpoint: str | None = None

    @classmethod
    def of_record(cls, record: Mapping[str, object]) -> Result:
        """Of what result.json has; what an earlier version did not write is None."""
        return cls(**{each.name: record.get(each.name) for each in fields(cls)})  # type: ignore[arg-type]

    def as_json_line(self) -> str:
        return as_json(asdict(self))


class Best(TypedDict, total=False):
    """The fields of a Result that are known of the best evaluation."""

    best_metric: str
    best: float
    best_step: int
    best_checkpoint: str | None


@dataclass(frozen=True)
class Callbacks:
    """What a training tells others of: `on_saved` gets each finished checkpoint."""

    on_saved: Callable[[Path], None]
    report: Report


def run(job: JobContext, inputs: Inputs, callbacks: Callbacks, started: float) -> Result:
    """Train to the end, evaluate if asked, and return what was reached; `started` is when the process began."""
    try:
        with device_adapter.naming_lost_peers(job.ranks):
            return train(job, inputs, callbacks, started)
    except hooks.Stopped:
        raise
    except (Exception, KeyboardInterrupt) as err:
        note_failure(job, inputs, callbacks, err)
        raise


def note_failure(job: JobContext, inputs: Inputs, callbacks: Callbacks, err: BaseException) -> None:
    """What the training fails with, in the run's files and on its page."""
    words = str(err) if isinstance(err, MindLiftError) else f"{type(err).__name__}: {err}"
    with contextlib.suppress(MindLiftError):  # on a full disk: the error that is raised says why
        if isinstance(err, KeyboardInterrupt):  # nobody waits for a page
            job.log.failed("interrupted", inputs.run.step)
            return
        job.log.failed(sanitize.message(words)[:MOST_OF_AN_ERROR], inputs.run.step)
        draw(job, callbacks.report, inputs.run.paths)


def train(job: JobContext, inputs: Inputs, callbacks: Callbacks, started: float) -> Result:
    cfg, paths, log = job.cfg, inputs.run.paths, job.log
    ranks = f"{job.ranks.size} rank{'s' * (job.ranks.size > 1)}"
    log.info(f"run {paths.root}: {cfg.net} on {images_of(cfg)}, {ranks}, {job.device.target}")
    augmentation = inputs.data.task.AUGMENTATION
    notes = [*inputs.data.notes(), *changed_augmentation(inputs.run.resume_from, augmentation)]
    if job.ranks.rank == 0:
        write_atomic(paths.config, cfg.to_yaml(origins=True))
        write_atomic(paths.versions, versions(job, augmentation))
    why_new = why_new_run(job, inputs.run)
    for note in filter(None, (why_new, *notes, scale_note(cfg, job.ranks.size))):
        log.info(note)
    if inputs.data.evaluates_itself:
        log.warning("there is no other split to evaluate: evaluations read the images of the training")
    log.doing = "building the network"
    prepared = prepare(job, inputs)
    if job.ranks.rank == 0 and prepared.samples.classes:
        write_atomic(paths.classes, json.dumps(prepared.samples.classes, ensure_ascii=False, indent=0) + "\n")
    monitor = Monitor(job, prepared, inputs.data.evaluated)
    log.info(
        f"{len(prepared.samples)} images, {prepared.steps.per_epoch} steps per epoch, {prepared.steps.total} steps in"
        f" all; the first step {'finds its graph in the cache' if prepared.has_graphs else compiles(job, prepared)}"
    )
    status = hooks.Status(prepared.done, started, inputs.run.resume_from if prepared.done else None)
    show = functools.partial(draw, job, callbacks.report, paths)
    with shown_on_board(job, inputs, callbacks.report, prepared.done):
        with SignalFlag() as flag:
            deadline = started + 3600 * cfg.max_hours if cfg.max_hours is not None else None
            stop = Stop(flag, prepared.step, job.ranks, deadline)
            if job.ranks.size == 1 and cfg.accumulation_steps == 1:  # others wait for each other, too
                status.waiting = functools.partial(flag.interrupting, ARRIVALS.end)
            saving = hooks.SaveCheckpoints(job, prepared, paths.checkpoints, stop, callbacks.on_saved)
            evaluating = Evaluate(job, prepared, monitor, saving, show)
            between = [
                hooks.StopOnDivergence(prepared, divergence_of(job, prepared)),
                hooks.LogProgress(job, prepared),
                saving,
                evaluating,
                hooks.StopWhenAsked(job, prepared, stop, saving),
            ]
            loop.train(job, prepared, status, between)
        if status.ended_by == hooks.MAX_HOURS:
            log.info(
                f"ends after {cfg.max_hours:g} hours (--max_hours) and step {status.step} of {prepared.steps.total}; the"
                f" same command continues from step {status.step}: {status.last_saved}"
            )
            show()
            return result_of(job, inputs, prepared, status)
        if cfg.run_eval and not status.evaluated:
            evaluating.evaluate(status)
        result = result_of(job, inputs, prepared, status)
        if cfg.run_eval:
            add_figures(result, status.evaluated)
        hooks.log_event("ended", job, prepared, status)
        show()
        if job.ranks.rank == 0:
            write_atomic(paths.result, result.as_json_line() + "\n")
        return result


def images_of(cfg: Config) -> str:
    """What somebody calls the images: the folder's name, where --dataset says no more than the form of the folder."""
    place = cfg.data_url or (os.path.abspath(cfg.data_dir) if cfg.data_dir else "")
    name = PurePosixPath(place.rstrip("/")).name
    return name if cfg.dataset in layout.FILES and name else cfg.dataset


def compiles(job: JobContext, prepared: Prepared) -> str:
    """How long it takes, roughly: 5 to 26 s in benchmarks/results, on two idle CPUs, for 161 to 300 tensors."""
    tensors = len(prepared.network.trainable_params())
    usual = (
        f"about {5 * max(1, round(tensors / TENSORS_IN_5_S))} s" if job.device.has_cpu_kernels else "minutes"
    )
    return f"compiles the graph ({usual}, the first time)"


@contextlib.contextmanager
def shown_on_board(job: JobContext, inputs: Inputs, report: Report, done: int) -> Generator[None, None, None]:
    """Lines of metrics.jsonl go to TensorBoard and to loggers as well, if these are asked for."""
    cfg, paths = job.cfg, inputs.run.paths
    boards: list[Board] = []
    with contextlib.ExitStack() as stack:
        if cfg.tensorboard and job.ranks.rank == 0:
            board = stack.enter_context(report.board(paths.root, paths.events, done))
            board.options(cfg.to_dict())
            boards.append(board)
        if cfg.loggers and job.ranks.rank == 0:
            told = report.loggers(cfg.loggers, paths.root, cfg.to_dict(), job.log.warning)
            boards.append(stack.enter_context(told))
        job.log.board = Boards(boards) if boards else None
        try:
            yield
        finally:
            job.log.board = None  # what is noted later, as a failure, goes to metrics.jsonl alone


def why_new_run(job: JobContext, run: Run) -> str:
    """Why an earlier run in the same folder is not continued; '' where one is, or none was asked for."""
    if job.ranks.rank or job.cfg.resume != "auto" or run.step:
        return ""
    wanted = choose.wanted(job.cfg.identity(), job.ranks.size)
    return anew.of_folder(run.paths.root.parent, wanted, but=run.paths.root.name)


def divergence_of(job: JobContext, prepared: Prepared) -> Divergence:
    cfg = job.cfg
    return Divergence(prepared.task.loss_of_guessing(cfg), cfg.divergence_factor, cfg.is_dynamic_loss_scale)


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
        ended_by=status.ended_by,
        **best_of(job, inputs, prepared),
    )


def best_of(job: JobContext, inputs: Inputs, prepared: Prepared) -> Best:
    """The best evaluation while training, and its checkpoint where that was kept."""
    if prepared.standing is None:
        return {}
    standing = prepared.standing.read()
    if not standing.best_step:
        return {}
    folder = inputs.run.paths.checkpoints
    kept = [each.path(folder) for each in manifest.listed(folder) if each.step == standing.best_step]
    return {
        "best_metric": rules.metric_of(job.cfg, prepared.task.FIGURES),
        "best": round(standing.best, 6),
        "best_step": standing.best_step,
        "best_checkpoint": str(kept[0]) if kept and job.cfg.keep_best else None,
    }


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
