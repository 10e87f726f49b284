"""What happens between the steps of a training: log lines and metrics, checkpoints, evaluations, and its early end.

Hooks are called in the order in which `run.py` lists them: a step is in the log before it is in a checkpoint, and in a
checkpoint before an evaluation may fail.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ContextManager

from mindlift import models
from mindlift.data import batches
from mindlift.errors import MindLiftError
from mindlift.model_utils import collectives, device_adapter
from mindlift.model_utils.job_context import JobContext
from mindlift.model_utils.streaming.arrivals import ARRIVALS, Fetched
from mindlift.runs import checkpoint, manifest
from mindlift.runs.log import Pace, Reading, memory_mb
from mindlift.tasks import network as networks
from mindlift.tasks.progress import Progress
from mindlift.training.divergence import Divergence, TrainingError
from mindlift.training.prepare import Prepared
from mindlift.training.schedules import Evaluations
from mindlift.training.stop import Stop

EARLY_STOP, MAX_HOURS = "early_stop", "max_hours"  # why a training ended before its last step


class Stopped(MindLiftError, InterruptedError):
    """Signal `number` ended the training after it had saved a checkpoint."""

    def __init__(self, message: str, number: int):
        super().__init__(message)
        self.exit_code = 128 + number


@dataclass
class Status:
    """How far a training is; the loop counts steps, and hooks note what they have done.

    `started` is when the process began, in seconds since the epoch. `evaluated` are the figures after the last step,
    if an evaluation was due then. `ended_by` is why no further step is trained, '' as long as there is no reason.
    """

    step: int
    started: float
    last_saved: Path | None
    loss: float | None = None
    updated: bool = True
    skipped: int = 0
    pace: Pace = field(default_factory=Pace)
    images_per_second: float | None = None
    seconds_to_first_step: float | None = None
    evaluated: dict[str, object] = field(default_factory=dict)
    waiting: Callable[[], ContextManager[None]] = contextlib.nullcontext  # around a wait for a batch
    ended_by: str = ""

    def count(self, loss: float, updated: bool, images: int) -> None:
        """Account for a finished step on so many images."""
        self.step += 1
        self.loss, self.updated = loss, updated
        self.skipped += not updated
        self.pace.count(images)
        if self.seconds_to_first_step is None:
            self.seconds_to_first_step = time.time() - self.started


class Hook:
    """Called by the loop on every rank, with the same steps everywhere: so a hook may use collectives."""

    def on_start(self, status: Status) -> None:
        """Before the first step."""

    def acts_after(self, step: int) -> bool:
        """Whether on_step must be called after this step, and not only after some later one."""
        return False

    def on_loss(self, status: Status) -> None:
        """For each step, in order; the network may be some steps further."""

    def on_step(self, status: Status) -> None:
        """After a step, when the network is what `status.step` steps have made of it: on a CPU after each."""

    def on_epoch(self, status: Status) -> None:
        """After the last step of an epoch, behind on_step."""

    def on_lack(self, status: Status) -> None:
        """On a rank whose next images do not come, before the error that ends the training."""

    def on_signal(self, status: Status) -> None:
        """When a signal has ended a wait for the next images."""

    def on_end(self, status: Status) -> None:
        """After the last step of a training that reaches its end, or has ended early."""


class StopOnDivergence(Hook):
    """Ends a training that can't recover with a TrainingError."""

    def __init__(self, prepared: Prepared, divergence: Divergence):
        self.step, self.steps, self.divergence = prepared.step, prepared.steps, divergence

    def on_loss(self, status: Status) -> None:
        assert status.loss is not None
        scale = self.step.options.loss_scale if status.updated else float(self.step.scale.value.asnumpy())
        problem = self.divergence.problem(status.loss, status.updated, scale)
        if problem is not None:
            what, advice = problem
            last = status.step - 1
            saved = (
                f"last checkpoint: {status.last_saved}" if status.last_saved else "no checkpoint saved yet"
            )
            raise TrainingError(
                f"{what} at step {status.step} (epoch {last // self.steps.per_epoch}), learning rate"
                f" {self.steps.rates[last]:.4g}; {advice}; {saved}"
            )


class LogProgress(Hook):
    """The progress bar, the task's lines, and the lines of metrics.jsonl."""

    def __init__(self, job: JobContext, prepared: Prepared):
        self.job, self.log, self.prepared, self.steps = job, job.log, prepared, prepared.steps
        self.epoch_start = prepared.done, 0.0

    def on_start(self, status: Status) -> None:
        log_event("continued" if status.step else "start", self.job, self.prepared, status)
        graph = "taking the graph from the cache" if self.prepared.has_graphs else "compiling the graph"
        self.log.start_bar(f"train {self.job.cfg.net}", "step", self.steps.total, status.step, first=graph)
        self.epoch_start = status.step, time.perf_counter()

    def acts_after(self, step: int) -> bool:
        intervals = (self.job.cfg.log_interval, self.steps.per_epoch)
        return step == self.steps.total or any(step % interval == 0 for interval in intervals)

    def on_loss(self, status: Status) -> None:
        self.log.advance(loss=f"{status.loss:.3f}", lr=f"{self.steps.rates[status.step - 1]:.4g}")
        if self.acts_after(status.step):
            reading = status.pace.read()
            if reading is not None:
                status.images_per_second = reading.images_per_second
            self.report(status, reading)

    def on_epoch(self, status: Status) -> None:
        self.epoch_start = status.step, time.perf_counter()

    def on_end(self, status: Status) -> None:
        self.log.end_bar()
        self.tell_unread()
        samples = self.prepared.samples
        if samples.unread:
            self.log.warning(f"images that can't be read: {len(samples.unread)} of {len(samples)}")

    def tell_unread(self) -> None:
        for line in self.prepared.samples.news(batches.REPLACED):
            self.log.warning(line)

    def report(self, status: Status, reading: Reading | None) -> None:
        assert status.loss is not None
        epoch, before = divmod(status.step - 1, self.steps.per_epoch)
        first_step, began = self.epoch_start
        at = Progress(
            epoch,
            status.step,
            before + 1,
            self.steps.per_epoch,
            status.loss,
            status.images_per_second,
            status.step - first_step,
            time.perf_counter() - began,
            self.steps.total,
        )
        is_original = self.job.cfg.log_style == "original"
        fetched = ARRIVALS.fetched() if self.job.ranks.is_main else None
        for line in self.prepared.task.original_lines(at) if is_original else [at.line()]:
            self.log.info(line)
        if fetched is not None:
            waited = f", {100 * reading.data_wait:.0f} % of the time waiting for data" if reading else ""
            self.log.info(f"streaming: {fetched.text()}{waited}")
        self.tell_unread()
        self.log.metric(
            epoch=epoch,
            step=status.step,
            loss=status.loss,
            lr=float(self.steps.rates[status.step - 1]),
            images_per_second=status.images_per_second,
            updated=status.updated,
            data_wait=reading and round(reading.data_wait, 4),
            step_seconds=self.by_rank(reading.step_seconds) if reading else None,  # on all ranks alike
            memory_mb=self.by_rank(memory_mb()),
            loss_scale=float(self.prepared.step.scale.value.asnumpy()),
            skipped=status.skipped,
            **({} if fetched is None else fetched_record(fetched)),
        )

    def by_rank(self, value: float) -> list[float]:
        ranks = self.job.ranks
        return [round(each, 4) for each in collectives.of_all_ranks(value, ranks.rank, ranks.size)]


def fetched_record(fetched: Fetched) -> dict[str, float]:
    return {
        "files_here": round(fetched.here / max(1, fetched.all), 4),
        "fetch_mb_per_second": round(fetched.mb_per_second, 3),
    }


class SaveCheckpoints(Hook):
    """Saves every so many steps and minutes, before evaluations whose best are kept, and when the training ends."""

    def __init__(
        self,
        job: JobContext,
        prepared: Prepared,
        folder: Path,
        stop: Stop,
        on_saved: Callable[[Path], None],
        clock: Callable[[], float] = time.monotonic,
    ):
        cfg, per_epoch = job.cfg, prepared.steps.per_epoch
        self.prepared, self.folder, self.stop, self.on_saved = prepared, folder, stop, on_saved
        self.saves = job.ranks.rank == 0 or not cfg.is_save_on_master
        self.interval = per_epoch * (cfg.save_checkpoint_epochs or 0) or cfg.ckpt_interval
        self.minutes, self.clock = cfg.ckpt_minutes, clock
        self.keep, self.keep_best = cfg.keep_checkpoint_max, cfg.keep_best
        self.evaluations = Evaluations(cfg, per_epoch)
        self.saved_at, self.saved_time = prepared.done, clock()
        self.is_whole = cfg.accumulation_steps == 1  # a part of a step has moved batch norms' statistics
        self.info = checkpoint.TrainingInfo(
            models.file_name(cfg.net), per_epoch, cfg.seed, networks.network_options(cfg)
        )

    def on_start(self, status: Status) -> None:
        self.saved_time = self.clock()

    def acts_after(self, step: int) -> bool:
        is_scored = self.keep_best > 0 and self.evaluations.are_due(step)
        return step % self.interval == 0 or step == self.prepared.steps.total or is_scored

    def on_step(self, status: Status) -> None:
        if self.acts_after(status.step) or self.stop.is_agreed or self.is_late():
            self.save(status)

    def on_lack(self, status: Status) -> None:
        if self.is_whole and status.step > self.saved_at:
            self.save(status)

    def on_end(self, status: Status) -> None:
        if status.last_saved is None or self.saved_at != status.step:
            self.save(status)

    def is_late(self) -> bool:
        return self.minutes is not None and self.clock() - self.saved_time >= 60 * self.minutes

    def save(self, status: Status) -> None:
        self.saved_at, self.saved_time = status.step, self.clock()
        if self.saves:
            status.last_saved = checkpoint.save(self.folder, self.prepared.state, status.step, self.info)
            checkpoint.prune(self.folder, self.keep, self.keep_best)
            self.on_saved(status.last_saved)

    def add_score(self, step: int, metric: str, score: float) -> None:
        """Note what an evaluation of the checkpoint after `step` gave, and keep the best."""
        if self.saves and checkpoint.add_score(self.folder, step, metric, score):
            checkpoint.prune(self.folder, self.keep, self.keep_best)
            for saved in manifest.listed(self.folder):
                if saved.step == step:
                    self.on_saved(saved.path(self.folder))


class StopWhenAsked(Hook):
    """Ends the training after the step in which the ranks agreed to stop, once that is in a checkpoint."""

    def __init__(self, job: JobContext, prepared: Prepared, stop: Stop, saving: SaveCheckpoints):
        self.job, self.prepared, self.stop, self.saving = job, prepared, stop, saving

    def on_start(self, status: Status) -> None:
        self.stop.tell()

    def on_signal(self, status: Status) -> None:
        self.on_step(status)

    def on_step(self, status: Status) -> None:
        if not self.stop.is_agreed:
            self.stop.tell()
            return
        is_over = status.ended_by or status.step == self.prepared.steps.total
        if self.stop.is_planned and is_over:
            return
        if self.saving.saved_at != status.step:  # asked since, while it was evaluated
            self.saving.save(status)
        log_event("stopped", self.job, self.prepared, status)
        if self.stop.is_planned:
            status.ended_by = MAX_HOURS
            return
        device_adapter.part(self.job.ranks)  # a launcher may kill all ranks as soon as one has ended
        saved = f": {status.last_saved}" if status.last_saved else ""
        raise Stopped(
            f"stopped by {self.stop.reason()} after step {status.step}; the same command continues from step"
            f" {status.step}{saved}",
            self.stop.number,
        )


def log_event(name: str, job: JobContext, prepared: Prepared, status: Status) -> None:
    """A line of metrics.jsonl that is not of a step."""
    job.log.metric(
        event=name,
        step=status.step,
        images=len(prepared.samples),
        steps_per_epoch=prepared.steps.per_epoch,
        total=prepared.steps.total,
    )
