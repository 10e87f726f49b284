"""The training loop: one for all networks and tasks, on one device or on several ranks."""

from __future__ import annotations

import contextlib
import json
import math
import os
import platform
import signal
import time
from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import mindspore as ms

from mindlift.data.batches import Options, train_steps_per_epoch
from mindlift.errors import ConfigError, MindLiftError
from mindlift.files import write_atomic
from mindlift.interrupts import SignalFlag
from mindlift.model_utils import collectives, devices
from mindlift.model_utils.config.config import Config
from mindlift.model_utils.devices import Device
from mindlift.model_utils.ranks import Ranks
from mindlift.model_utils.staging.cache_place import cache_folder
from mindlift.runs import checkpoint
from mindlift.runs.choose import Run
from mindlift.runs.log import Pace, Reading, RunLog, memory_mb
from mindlift.runs.revision import code_revision
from mindlift.tasks import base as task
from mindlift.tasks import network as networks
from mindlift.tasks.progress import Progress
from mindlift.training import build, compile_cache
from mindlift.training.divergence import Divergence, TrainingError
from mindlift.training.evaluation import Monitor
from mindlift.training.hooks import Hooks
from mindlift.training.schedules import from_config, lr_table, phase_starts
from mindlift.training.sink import Queue
from mindlift.training.step import TrainStep


class Stopped(MindLiftError, InterruptedError):
    """A signal ended the training after it had saved a checkpoint."""


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
        return json.dumps(asdict(self), ensure_ascii=False)


class Trainer:
    """One training: `steps` of `total` are done; `save` and `log` happen at fixed steps."""

    def __init__(
        self,
        cfg: Config,
        ranks: Ranks,
        run: Run,
        data_path: Path,
        weights: list[Path],
        workers: int,
        on_saved: Callable,
        log: RunLog,
        hooks: Hooks,
    ):
        self.cfg, self.ranks, self.run, self.log, self.on_saved, self.hooks = (
            cfg,
            ranks,
            run,
            log,
            on_saved,
            hooks,
        )
        self.task = task.of(cfg)
        self.options: Options = self.task.options(cfg, workers)
        self.samples: task.Samples = self.task.open_split(self.options, data_path, train=True)
        self.options = self.task.train_options(cfg, self.options, len(self.samples))
        self.per_epoch = train_steps_per_epoch(
            len(self.samples), cfg.per_batch_size, ranks.size, cfg.accumulation_steps
        )
        self.device = devices.current()
        self.network = networks.network(cfg, self.device)
        if weights:
            self.note(
                networks.load_pretrained(
                    cfg, self.network, checkpoint.candidates(weights[0])[0], to_train=True
                )
            )
        schedule = from_config(cfg, ranks.size, len(self.samples))
        self.rates, self.fresh = lr_table(self.per_epoch, schedule), phase_starts(self.per_epoch, schedule)
        self.total = min(len(self.rates), cfg.max_steps or len(self.rates))
        self.interval = self.per_epoch * (cfg.save_checkpoint_epochs or 0) or cfg.ckpt_interval
        if cfg.phase is not None and cfg.phase > 1 and not weights and run.resume_from is None:
            raise ConfigError(
                f"--phase {cfg.phase} goes on with the weights of phase {cfg.phase - 1}: pass --pretrained"
            )
        collectives.fuse_all_reduces(
            self.network.trainable_params(), cfg.all_reduce_fusion, self.device.fuses_all_reduces
        )
        optimizer = build.optimizer(cfg, self.network, self.rates, self.device)
        objective = self.task.objective(cfg, self.network, self.options)
        options = build.step_options(cfg, ranks.size, self.device.saturates)
        self.step = TrainStep(objective, optimizer, options)
        self.divergence = Divergence(
            math.log(cfg.num_classes), cfg.divergence_factor, cfg.is_dynamic_loss_scale
        )
        self.state = unique([*self.network.get_parameters(), *self.step.state])
        self.steps = self.restore()
        collectives.copy_from_rank0(self.state, ranks.rank, ranks.size)
        self.graphs = self.cached_graphs()
        self.images_per_step = cfg.per_batch_size * cfg.accumulation_steps * ranks.size
        self.last_saved: Path | None = run.resume_from if self.steps else None
        self.pace, self.skipped = Pace(), 0
        self.monitor = Monitor(
            cfg, ranks, self.task, self.options, data_path, self.network, self.step.average, log
        )
        self.evaluated: dict[str, Any] = {}  # after the last step, if that is when an evaluation was due

    def cached_graphs(self) -> Path | None:
        """The folder for the compiled step of this training; None: it is compiled each time."""
        sink = sinks(self.cfg, self.device)
        if self.cfg.compile_cache and sink:
            raise ConfigError(
                "--compile_cache true was not tried in sink mode; pass --dataset_sink_mode false too"
            )
        is_usual = not sink and compile_cache.is_tried(ms.__version__)
        if not (is_usual if self.cfg.compile_cache is None else self.cfg.compile_cache):
            return None
        facts = {
            **self.cfg.identity(),
            "data": self.options,
            "fusion": self.cfg.all_reduce_fusion,
            "mindspore": ms.__version__,
            "device": self.device,
            "ranks": (self.ranks.rank, self.ranks.size),
            "steps": len(self.rates),
        }
        return cache_folder(self.cfg.cache_path) / "graphs" / compile_cache.key(facts)

    def has_graphs(self) -> bool:
        return self.graphs is not None and self.graphs.is_dir()

    def note(self, line: str) -> None:
        if line:
            self.log.info(line)

    def restore(self) -> int:
        if self.run.resume_from is None:
            return self.run.step
        steps = checkpoint.restore(self.run.resume_from, self.state)
        self.log.info(f"continuing from {self.run.resume_from} after step {steps}")
        return steps

    def step_results(self) -> Generator[tuple[float, bool], None, None]:
        """Run the remaining steps one by one: (loss, whether nothing has overflowed)."""
        group = self.cfg.accumulation_steps
        batches = self.task.train_batches(
            self.samples,
            self.options,
            self.ranks.rank,
            self.ranks.size,
            self.steps * group,
            self.total * group,
            group,
        )
        first = self.steps
        with contextlib.ExitStack() as stack:
            if sinks(self.cfg, self.device):
                queue = stack.enter_context(contextlib.closing(Queue(self.step.whole, batches)))
                run = lambda: queue.step(self.pace.waiting)  # noqa: E731
            else:
                source = stack.enter_context(contextlib.closing(iter(batches)))
                run = lambda: self.step([self.pace.waiting(source) for _ in range(group)])  # noqa: E731
            for step in range(self.steps, self.total):
                if step in self.fresh:
                    self.step.forget()
                with compile_cache.caching(self.graphs if step == first else None):
                    outcome = run()
                yield outcome

    def train(self, started: float) -> tuple[float | None, float | None, float | None]:
        """Run the remaining steps; returns last loss, images/s over the last lines, seconds to first step."""
        loss, rate, first = None, None, None
        self.event("continued" if self.steps else "start")
        with SignalFlag() as stop, contextlib.closing(self.step_results()) as results:
            self.log.start_bar(f"train {self.cfg.net}", "step", self.total, self.steps)
            self.epoch_start = self.steps, time.perf_counter()
            for loss, updated in results:
                self.steps += 1
                self.pace.count(self.images_per_step)
                self.skipped += not updated
                first = first if first is not None else time.time() - started
                self.check(loss, updated)
                self.log.advance(loss=f"{loss:.3f}", lr=f"{self.rates[self.steps - 1]:.4g}")
                if (
                    self.steps % self.cfg.log_interval == 0
                    or self.steps % self.per_epoch == 0
                    or self.steps == self.total
                ):
                    reading = self.pace.read()
                    rate = reading.images_per_second if reading else rate
                    self.report(loss, rate, updated, reading)
                if self.steps % self.per_epoch == 0:
                    self.epoch_start = self.steps, time.perf_counter()
                if self.steps % self.interval == 0 or self.steps == self.total or stop.number:
                    self.save()
                if self.is_evaluated():
                    self.evaluated = self.monitor.run(self.steps)
                    self.draw()
                    self.pace = Pace()
                if stop.number:
                    self.event("stopped")
                    raise Stopped(
                        f"stopped by {signal.Signals(stop.number).name} after step {self.steps}; the same command continues from {self.last_saved}"
                    )
        self.log.end_bar()
        if self.last_saved is None:
            self.save()
        return loss, rate, first

    def is_evaluated(self) -> bool:
        """Whether an evaluation is due after this step: after every eval_interval epochs from eval_start_epoch on."""
        epochs, rest = divmod(self.steps, self.per_epoch)
        self.evaluated = {}
        every = self.cfg.eval_interval
        return bool(every) and not rest and epochs >= self.cfg.eval_start_epoch and epochs % every == 0

    def draw(self) -> None:
        """Rewrite the run's page; a training does not end for want of it."""
        if self.ranks.rank == 0:
            try:
                self.hooks.draw(self.run.paths.root, self.run.paths.report)
            except MindLiftError as err:
                self.log.warning(f"no {self.run.paths.report.name}: {err}")

    def check(self, loss: float, finite: bool) -> None:
        scale = self.step.options.loss_scale if finite else float(self.step.scale.value.asnumpy())
        problem = self.divergence.problem(loss, finite, scale)
        if problem is not None:
            what, advice = problem
            raise TrainingError(
                f"{what} at step {self.steps} (epoch {(self.steps - 1) // self.per_epoch}), learning rate"
                f" {self.rates[self.steps - 1]:.4g}; {advice}; last checkpoint: {self.last_saved}"
            )

    def event(self, name: str) -> None:
        """A line of metrics.jsonl that is not of a step."""
        self.log.metric(
            event=name,
            step=self.steps,
            images=len(self.samples),
            steps_per_epoch=self.per_epoch,
            total=self.total,
        )

    def report(self, loss: float, rate: float | None, updated: bool, reading: Reading | None) -> None:
        epoch, before = divmod(self.steps - 1, self.per_epoch)
        at = Progress(
            epoch,
            self.steps,
            before + 1,
            self.per_epoch,
            loss,
            rate,
            self.steps - self.epoch_start[0],
            time.perf_counter() - self.epoch_start[1],
        )
        for line in self.task.progress(at):
            self.log.info(line)
        self.log.metric(
            epoch=epoch,
            step=self.steps,
            loss=loss,
            lr=float(self.rates[self.steps - 1]),
            images_per_second=rate,
            updated=updated,
            data_wait=reading and round(reading.data_wait, 4),
            step_seconds=self.by_rank(reading.step_seconds) if reading else None,  # on all ranks alike
            memory_mb=self.by_rank(memory_mb()),
            loss_scale=float(self.step.scale.value.asnumpy()),
            skipped=self.skipped,
        )

    def by_rank(self, value: float) -> list[float]:
        return [round(each, 4) for each in collectives.of_all_ranks(value, self.ranks.rank, self.ranks.size)]

    def save(self) -> None:
        if self.ranks.rank == 0 or not self.cfg.is_save_on_master:
            folder = self.run.paths.checkpoints
            self.last_saved = checkpoint.save(
                folder,
                self.cfg.net,
                self.state,
                self.steps,
                self.per_epoch,
                self.cfg.seed,
                networks.network_options(self.cfg),
            )
            checkpoint.prune(folder, self.cfg.keep_checkpoint_max)
            self.on_saved(self.last_saved)


def sinks(cfg: Config, device: Device) -> bool:
    """Whether steps are fed from the device's queue; raises ConfigError where there is none."""
    wanted = device.has_queue if cfg.dataset_sink_mode is None else cfg.dataset_sink_mode
    devices.check_sink(wanted, device)
    if cfg.dataset_sink_mode and cfg.accumulation_steps > 1:
        raise ConfigError(
            "--dataset_sink_mode true and --accumulation_steps above 1 exclude each other; drop one"
        )
    return wanted and cfg.accumulation_steps == 1


def unique(parameters: list[ms.Parameter]) -> list[ms.Parameter]:
    return list({parameter.name: parameter for parameter in parameters}.values())


def versions(ranks: Ranks) -> str:
    """Software, revision and machine of this run as JSON text."""
    import numpy

    facts = {
        "mindspore": ms.__version__,
        "numpy": numpy.__version__,
        "python": platform.python_version(),
        "machine": platform.platform(),
        "cpus": os.cpu_count(),
        "ranks": ranks.size,
        "device": devices.current().target,
        "git": code_revision() or None,
    }
    return json.dumps(facts, indent=2) + "\n"


def run(
    cfg: Config,
    ranks: Ranks,
    opened: Run,
    data_path: Path,
    weights: list[Path],
    workers: int,
    on_saved: Callable[[Path], None],
    started: float,
    hooks: Hooks,
) -> Result:
    """Train to the end, evaluate if asked, and return what was reached. Starts from `weights`, if there are any."""
    paths = opened.paths
    with contextlib.ExitStack() as files:
        log = files.enter_context(RunLog(paths, ranks.rank, cfg.progress))
        log.info(
            f"run {paths.root}: {cfg.net} on {cfg.dataset}, {ranks.size} rank(s), {devices.current().target}"
        )
        if ranks.rank == 0:
            write_atomic(paths.config, cfg.to_yaml(origins=True))
            write_atomic(paths.versions, versions(ranks))
        trainer = Trainer(cfg, ranks, opened, data_path, weights, workers, on_saved, log, hooks)
        log.info(
            f"{len(trainer.samples)} images, {trainer.per_epoch} steps per epoch, {trainer.total} steps in all; the first"
            f" step {'finds its graph in the cache' if trainer.has_graphs() else 'compiles the graph'}"
        )
        if cfg.tensorboard and ranks.rank == 0:
            log.board = files.enter_context(hooks.board(paths.root, paths.events, trainer.steps))
            log.board.options(cfg.to_dict())
        loss, rate, first = trainer.train(started)
        if trainer.samples.skipped:
            log.warning(f"replaced corrupt images {trainer.samples.skipped} times")
        result = Result(
            str(paths.root),
            str(trainer.last_saved or ""),
            cfg.net,
            cfg.dataset,
            trainer.steps // trainer.per_epoch,
            trainer.steps,
            rate,
            loss,
            round(time.time() - started, 1),
            first and round(first, 1),
        )
        if cfg.run_eval:
            known = Result.__dataclass_fields__
            figures = trainer.evaluated or trainer.monitor.run(trainer.steps)
            result = replace(result, **{name: value for name, value in figures.items() if name in known})
        trainer.event("ended")
        trainer.draw()
        if ranks.rank == 0:
            write_atomic(paths.result, result.as_json_line() + "\n")
        return result
